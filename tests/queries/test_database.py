"""The reading connections: read-only, bounded in time, and never looking outside a window's partitions."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from exporter.errors import Overloaded, StorageUnavailable
from exporter.settings import Settings, load
from queries import logs, metrics, pages, points, spans
from queries.database import ReadDatabase, fetch_within
from queries.errors import QueryTimeout
from queries.pages import Request, Selection
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


def test_no_plan_looks_outside_the_window(database_url: str) -> None:
    create = "SELECT otel_create_partitions(s, $1, $2) FROM unnest(ARRAY['spans', 'logs', 'metrics']) AS t (s)"
    days = [number * DAY for number in range(10_000, 10_010)]
    request = Request(Window(days[3] + 5, days[4] + DAY), None, 0, 10, False)
    selections = [Selection(), Selection([1]), Selection([1, 2], [3]), Selection(list(range(20)))]

    async def prepare() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.fetch(create, days, DAY)
        await connection.close()

    async def work(database: ReadDatabase) -> list[str]:
        async with database.reading() as connection:
            explaining: Any = Explaining(connection)
            for source, filters in ((spans.SOURCE, (None,) * 5), (logs.SOURCE, (None,) * 3)):
                for selection in selections:
                    asked = replace(selection, filters=filters)
                    await pages.find(explaining, source, asked, request)
                    await pages.total_of(explaining, source, asked, replace(request, offset=1, exact=True), [])
            every = [table.name for table in set(points.TABLES.values())]
            await metrics.find(explaining, metrics.Selection(every, [1, 2]), request)
            found: list[str] = explaining.plans
            return found

    asyncio.run(prepare())
    plans = run(database_url, load(environ={}), work)
    outside = [f"_p{day}t00" for day in ("19970519", "19970520", "19970521", "19970524", "19970525")]
    scanned = "\n".join(plans)
    assert "_p19970522t00" in scanned and "_p19970523t00" in scanned
    assert not [name for name in outside if name in scanned]


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
