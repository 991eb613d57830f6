"""The reading connections: read-only, bounded in time, and never looking outside a window's partitions."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from exporter.errors import Overloaded, StorageUnavailable
from exporter.settings import Settings, load
from queries import logs, metrics, pages, params, points, spans, traces
from queries.database import ReadDatabase, fetch_within
from queries.errors import QueryTimeout
from queries.pages import Request, Selection, Total
from queries.params import Window
from tests.queries.explaining import Explaining

DAY = 86_400_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The defaults, but for short time-outs."""
    return replace(load(environ={}), statement_timeout=0.3)


def run(database_url: str, settings: Settings, work: Any) -> Any:
    async def session() -> Any:
        database = ReadDatabase(database_url, settings)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(session())


def test_a_slow_query_ends(database_url: str, settings: Settings) -> None:
    async def work(database: ReadDatabase) -> Any:
        with pytest.raises(QueryTimeout):
            async with database.reading() as connection:
                await connection.fetch("SELECT pg_sleep(5)")
        async with database.reading() as connection:
            assert await fetch_within(connection, 5, "SELECT pg_sleep(5)") is None
        async with database.reading() as connection:
            return await connection.fetchval("SELECT 1")

    assert run(database_url, settings, work) == 1


def test_a_limit_ends_with_its_statement(database_url: str) -> None:
    async def work(database: ReadDatabase) -> None:
        async with database.reading() as connection:
            before = await connection.fetchval("SHOW statement_timeout")
            rows = await fetch_within(connection, 5000, "SELECT 1")
            # A COMMIT that is cut off would turn the whole answer into a 503.
            assert (rows, await connection.fetchval("SHOW statement_timeout")) == ([(1,)], before)

    run(database_url, load(environ={}), work)


def test_nothing_can_be_written(database_url: str, settings: Settings) -> None:
    async def work(database: ReadDatabase) -> None:
        async with database.reading() as connection:
            await connection.execute("CREATE TABLE t ()")

    with pytest.raises(StorageUnavailable, match="25006"):
        run(database_url, settings, work)


def test_readers_wait_for_each_other_only_so_long(database_url: str, settings: Settings) -> None:
    async def work(database: ReadDatabase) -> None:
        connections = [await database._acquire() for _ in range(settings.readers)]
        with pytest.raises(Overloaded):
            async with database.reading():
                pass
        for connection in connections:
            connection.terminate()

    run(database_url, settings, work)


def test_no_database(settings: Settings) -> None:
    async def work(database: ReadDatabase) -> None:
        async with database.reading():
            pass

    with pytest.raises(StorageUnavailable):
        run("postgresql://postgres@127.0.0.1:1/none", settings, work)


DAYS = [number * DAY for number in range(10_000, 10_010)]
TWO_DAYS = Request(Window(DAYS[3] + 5, DAYS[4] + DAY), None, 0, 10, False)
INSIDE = ("_p19970522t00", "_p19970523t00")
NEXT_TO_IT = ("_p19970521t00", "_p19970524t00")
OUTSIDE = ("_p19970519t00", "_p19970520t00", "_p19970525t00", "_p19970526t00")
MARK = """INSERT INTO attribute_keys (key_hash, key, spans_on_row, logs_on_row)
SELECT sha256(k::bytea), k, true, true FROM unnest(ARRAY['on.row', 'indexed']) AS u (k);
INSERT INTO otel_row_indexes SELECT sha256('indexed'), true, s, 'otel_' || s || '_fact', 'indexed'
FROM unnest(ARRAY['spans', 'logs']) AS u (s)"""


def prepare(database_url: str) -> None:
    """Partitions of ten days, and keys whose values may lie on rows."""
    create = "SELECT otel_create_partitions(s, $1, $2) FROM unnest(ARRAY['spans', 'logs', 'metrics']) AS t (s)"

    async def execute() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.fetch(create, DAYS, DAY)
        await connection.execute(MARK)
        await connection.close()

    asyncio.run(execute())


def named(plans: list[str], names: Sequence[str]) -> set[str]:
    """Which of the names stand in the plans."""
    return {name for name in names if name in "\n".join(plans)}


FILTERS = ("attr.in.series=a", "attr.on.row=a", "attr.indexed=a", "attr.on.row__gt=1", "attr.in.series__exists=false")


@pytest.mark.parametrize("given", [*FILTERS, "event.a=b", "semantic_type=http", "kind=server", "min_duration=1s", ""])
def test_no_plan_of_a_search_looks_outside_the_window(database_url: str, given: str) -> None:
    async def work(database: ReadDatabase) -> list[str]:
        parameters = [tuple(given.split("=", 1))] if given else []
        async with database.reading() as connection:
            explaining: Any = Explaining(connection)
            selection = await spans.select(explaining, params.read(params.SpanSearch, parameters))  # type: ignore[arg-type]
            await pages.find(explaining, spans.SOURCE, selection, TWO_DAYS)
            await pages.total_of(explaining, spans.SOURCE, selection, replace(TWO_DAYS, offset=1, exact=True), [])
            found: list[str] = explaining.plans
            return found

    prepare(database_url)
    plans = run(database_url, load(environ={}), work)
    assert not named(plans, (*NEXT_TO_IT, *OUTSIDE))


@pytest.mark.parametrize(
    "given", ["", "status=error", "status=ok", "min_duration=1s", "service=a", "name=a", "attr.on.row=a", "event.a=b"]
)
def test_no_plan_of_a_list_of_traces_looks_further_than_a_day_outside(database_url: str, given: str) -> None:
    """The other hours of a trace count."""

    async def work(database: ReadDatabase) -> list[str]:
        parameters = [tuple(given.split("=", 1))] if given else []
        async with database.reading() as connection:
            explaining: Any = Explaining(connection)
            asked = params.read(params.TraceSearch, parameters)  # type: ignore[arg-type]
            await traces.find(explaining, asked, replace(TWO_DAYS, exact=True), True)
            found: list[str] = explaining.plans
            return found

    prepare(database_url)
    assert not named(run(database_url, load(environ={}), work), OUTSIDE)


def test_no_plan_looks_outside_the_window(database_url: str) -> None:
    selections = [Selection(), Selection([1]), Selection([1, 2], [3]), Selection(list(range(20)))]

    async def work(database: ReadDatabase) -> list[str]:
        async with database.reading() as connection:
            explaining: Any = Explaining(connection)
            for source, filters in ((spans.SOURCE, (None,) * 5), (logs.SOURCE, (None,) * 3)):
                for selection in selections:
                    asked = replace(selection, filters=filters)
                    await pages.find(explaining, source, asked, TWO_DAYS)
                    await pages.total_of(explaining, source, asked, replace(TWO_DAYS, offset=1, exact=True), [])
            every = [table.name for table in set(points.TABLES.values())]
            await metrics.find(explaining, metrics.Selection(every, [1, 2]), TWO_DAYS)
            found: list[str] = explaining.plans
            return found

    prepare(database_url)
    plans = run(database_url, load(environ={}), work)
    assert named(plans, INSIDE) == set(INSIDE)
    assert not named(plans, (*NEXT_TO_IT, *OUTSIDE))


def test_many_statements_take_no_longer_than_one_may(database_url: str) -> None:
    async def work() -> None:
        database = ReadDatabase(database_url, replace(load(environ={}), statement_timeout=0.3))
        try:
            async with database.reading() as connection:
                for _ in range(20):
                    await connection.fetch("SELECT pg_sleep(0.1)")
        finally:
            await database.close()

    with pytest.raises(QueryTimeout):
        asyncio.run(work())


def test_what_took_long_to_find_is_not_counted(database_url: str) -> None:
    """To count it would take at least as long; what was seen is a lower bound."""

    async def work(database: ReadDatabase) -> list[Total]:
        async with database.reading() as connection:
            slow = replace(TWO_DAYS, looked_s=1.0)
            asked = (slow, replace(slow, offset=5), replace(slow, exact=True))
            rows = [None] * (TWO_DAYS.limit + 1)
            selection = Selection(filters=(None,) * 5)
            return [await pages.total_of(connection, spans.SOURCE, selection, request, rows) for request in asked]

    assert run(database_url, load(environ={}), work) == [Total(11, "gte"), Total(16, "gte"), Total(0, "eq")]
