"""Which minutes are counted from the records, what is known of quantiles, and that clean minutes cost no scan."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import asyncpg
import pytest

from exporter.sidecar import Sidecar
from queries import graph, minutes, operations, services
from queries.database import Connection, ReadDatabase
from queries.minutes import MINUTE_NANO, Minutes, Tally, window_of
from queries.params import MAX_TIME, GraphSearch, OperationSearch, ServiceSearch, Window
from sql.codecs import set_codecs
from tests.exporter.sending import DAY, HOUR, NOW, SECOND, log, logs, run, send, sent, span, spans
from tests.queries.rollup_oracle import WIDTH
from tests.queries.test_rollups import compute
from tests.sql.rows import ask

M = MINUTE_NANO


def of(window: Window, anew: list[int]) -> Minutes:
    """The minutes of a window, some of which are not settled."""
    return Minutes(window, anew, [])


def test_whole_minutes_lie_inside_the_window() -> None:
    assert of(Window(5 * M, 9 * M), []).whole == (5 * M, 9 * M)
    assert of(Window(5 * M + 1, 9 * M - 1), []).whole == (6 * M, 8 * M)
    low, high = of(Window(5 * M + 1, 5 * M + 9), []).whole
    assert low > high, "none"


def test_neighbours_are_counted_together_the_newest_first() -> None:
    anew = [0, *range(5 * M, 17 * M, M), 30 * M]
    parts = list(minutes._parts(anew))
    assert parts == [(30 * M, 31 * M), (7 * M, 17 * M), (5 * M, 7 * M), (0, M)]
    assert list(minutes._parts([])) == []


def test_a_window_begins_with_a_whole_minute_unless_it_is_said_when() -> None:
    assert window_of(OperationSearch(since=HOUR)).start % M == 0
    assert window_of(OperationSearch()).start % M == 0
    assert window_of(OperationSearch(start_time=5, end_time=M)) == (5, M)
    assert window_of(OperationSearch(since=HOUR, end_time=2 * HOUR + 7)) == (HOUR, 2 * HOUR + 7)


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_within_a_bucket(database_url: str, seed: int) -> None:
    rng = Random(seed)
    shape = rng.choice((lambda: rng.lognormvariate(16, 2), lambda: rng.randrange(3), lambda: 10 ** rng.randrange(18)))
    durations = sorted(int(shape()) for _ in range(rng.choice((1, 2, 99, 1000))))
    rows = ask(database_url, "SELECT otel_duration_bucket(d) AS b FROM unnest($1::bigint[]) AS d", durations)
    tally = Tally()
    for row in rows:
        tally.add(0, [row["b"]], [1])
    assert tally.calls == len(durations)
    for percent in (1, 50, 95, 99, 100):
        exact = durations[-(-percent * len(durations) // 100) - 1]
        assert exact / WIDTH - 1 <= tally.percentile(percent) <= exact * WIDTH + 1


def test_buckets_hold_every_duration(database_url: str) -> None:
    edges = [0, 1, 2, 1 << 20, (1 << 63) - 1]
    rows = ask(database_url, "SELECT otel_duration_bucket(d) AS b FROM unnest($1::bigint[]) AS d", edges)
    found = [row["b"] for row in rows]
    assert found == sorted(set(found))
    assert found[0] == 0 and found[1] == 1 and found[2] == 17
    assert Tally().percentile(50) == 0


def test_what_time_does_not_allow_is_told(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def session(running: Sidecar) -> None:
        reading = ReadDatabase(database_url, running.settings)
        window = Window(NOW, NOW + 10 * M)
        await send(running, *spans(span(1, 1, kind=2), span(1, 2, NOW + M, kind=2)))
        await compute(running)
        await send(running, *spans(span(1, 3, NOW + 1, kind=2)))
        monkeypatch.setattr(minutes, "BUDGET_S", 0.0)
        (operation,), complete = await operations.find(reading, "shop", OperationSearch(), window)
        assert (operation.calls, complete) == (2, False)
        nodes, _, complete = await graph.find(reading, GraphSearch(service=["shop"]), window)
        assert (nodes[0].span_count, complete) == (None, False)
        (service,) = await services.catalogue(reading, ServiceSearch(), window)
        assert (service.span_count, service.log_count) == (None, 0)
        monkeypatch.undo()
        (operation,), complete = await operations.find(reading, "shop", OperationSearch(), window)
        assert (operation.calls, complete) == (3, True)
        await reading.close()

    run(database_url, session)


def test_any_window_is_legal(database_url: str) -> None:
    async def session(running: Sidecar) -> None:
        reading = ReadDatabase(database_url, running.settings)
        await send(running, *spans(span(1, 1)))
        for window in (
            Window(0, MAX_TIME),
            Window(MAX_TIME - 1, MAX_TIME),
            Window(0, 1),
            Window(0, M),
            Window(1, 2 * M),
        ):
            _, complete = await operations.find(reading, "shop", OperationSearch(), window)
            assert complete
            _, _, complete = await graph.find(reading, GraphSearch(), window)
            assert complete
            await services.catalogue(reading, ServiceSearch(), window)
        await reading.close()

    run(database_url, session)


class Explaining:
    """A database whose every plan is kept, also those inside functions."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.plans: list[str] = []

    @asynccontextmanager
    async def reading(self, *, one_snapshot: bool) -> AsyncIterator[Connection]:
        """A connection as ReadDatabase has it."""
        assert one_snapshot
        settings = {"plan_cache_mode": "force_custom_plan", "jit": "off"}
        connection: Any = await asyncpg.connect(self._url, server_settings=settings)
        await set_codecs(connection)
        await connection.execute(
            "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_level = notice; "
            "SET auto_explain.log_nested_statements = on; SET auto_explain.log_analyze = on"
        )
        connection.add_log_listener(lambda _connection, message: self.plans.append(str(message)))
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection
        finally:
            await connection.close()

    def scanned(self, table: str) -> set[str]:
        """The partitions of a table that plans have looked into."""
        return set(re.findall(rf"otel_{table}_p\d{{8}}t\d\d", "".join(self.plans)))


def test_clean_minutes_are_read_from_their_rows_alone(database_url: str) -> None:
    noon = NOW // DAY * DAY - 12 * HOUR
    days = [noon - number * DAY for number in range(4)]
    names = [time.strftime("p%Y%m%dt00", time.gmtime(day / SECOND)) for day in days]
    window = Window(days[2] - HOUR, noon + HOUR)

    def asked() -> Explaining:
        database: Any = Explaining(database_url)

        async def session() -> None:
            found, complete = await operations.find(database, "shop", OperationSearch(), window)
            assert complete and found[0].calls >= 3
            await graph.find(database, GraphSearch(), window)
            await services.catalogue(database, ServiceSearch(), window)

        asyncio.run(session())
        return database  # type: ignore[no-any-return]

    async def store(running: Sidecar) -> None:
        for number, day in enumerate(days):
            await send(
                running,
                *spans(span(number + 1, 1, day), span(number + 1, 2, day, kind=2, parent_span_id=b"\0" * 7 + b"\1")),
            )
            await send(running, *logs(log("a", day)))
        await compute(running)

    run(database_url, store)
    clean = asked()
    for table in ("spans_fact", "logs_fact", "span_links", "traces"):
        assert clean.scanned(table) == set()
    for table in ("operation_minutes", "edge_minutes", "log_minutes"):
        assert clean.scanned(table) == {f"otel_{table}_{name}" for name in names[:3]}
    sent(database_url, spans(span(9, 9, days[1])), logs(log("b", days[1])))
    dirty = asked()
    for table in ("spans_fact", "logs_fact", "traces"):
        assert dirty.scanned(table) == {f"otel_{table}_{names[1]}"}
