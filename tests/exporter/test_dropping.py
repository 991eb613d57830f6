"""What is old goes in whole stretches of time, once, resumed where it was held up, and nothing dangles meanwhile."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from exporter import dropping
from exporter.database import Database
from exporter.dropping import MAX_SIZE, RETENTION, Dropping
from exporter.minutes import Minutes, Pace
from exporter.otlp.records import SPANS
from exporter.partitions import SIGNALS, Partitions
from exporter.settings import Retention
from exporter.sidecar import Sidecar
from sql import query
from tests.exporter.sending import (
    DAY,
    HOUR,
    NOW,
    SECOND,
    gauge,
    log,
    logs,
    metrics,
    point,
    run,
    send,
    sent,
    span,
    spans,
)
from tests.sql.rows import ask

COUNTS = """SELECT (SELECT count(*) FROM otel_spans_fact) AS spans, (SELECT count(*) FROM otel_logs_fact) AS logs,
(SELECT count(*) FROM otel_metrics_data_points_number) AS points"""
ONE_OF_EACH = [{"spans": 1, "logs": 1, "points": 1}]
TODAY = time.time_ns()
LEAVING = "SELECT partition FROM otel_partitions WHERE is_leaving ORDER BY partition"
NOTHING = Retention(spans=None, logs=None, metrics=None, max_size=None)
THREE_DAYS = Retention(spans=3 * 86_400, logs=3 * 86_400, metrics=3 * 86_400, max_size=None)
TABLES = {"spans": 6, "logs": 2, "metrics": 5}


def of_all_signals(at: int) -> list[tuple[str, bytes]]:
    """A span with a child and a link, a log and a point with an exemplar, at a time."""
    number = at // SECOND
    return [
        spans(span(number, 1, at, events=[{"name": "e"}], links=[{}])),
        logs(log("x", at)),
        metrics(gauge("g", point(1, at, exemplars=[{"as_int": 1}]))),
    ]


@asynccontextmanager
async def dropper(url: str, kept: Retention) -> AsyncIterator[Dropping]:
    """A process that does nothing but drop."""
    database = Database(url, 2, 8.0, "postel control")
    try:
        yield Dropping(database, Partitions(database, dict.fromkeys(SIGNALS, 86_400.0), 2), kept)
    finally:
        await database.close()


def dropped(url: str, kept: Retention) -> Dropping:
    """A process after it dropped once."""

    async def session() -> Dropping:
        async with dropper(url, kept) as drops:
            await drops.drop()
            return drops

    return asyncio.run(session())


def stored_bytes(url: str) -> int:
    """What everything takes, by what the budget is compared with."""
    ((size,),) = [row.values() for row in ask(url, query("partitions", "measure-stored"))]
    return int(size)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds end soon."""
    monkeypatch.setattr(dropping, "_ROUND_S", 1.0)
    monkeypatch.setattr(dropping, "_PAUSE_S", (0.01, 0.05))


def test_it_counts_and_tells_what_it_drops(store: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "postel")
    sent(store, *of_all_signals(NOW - 10 * DAY), *of_all_signals(TODAY))
    drops = dropped(store, THREE_DAYS)
    assert drops.ranges == {RETENTION: 3, MAX_SIZE: 0}
    assert drops.freed_bytes[RETENTION] > 13 * 8192
    assert ask(store, COUNTS) == ONE_OF_EACH
    assert sorted(line.split(" until ")[0] for line in caplog.messages if "(retention)" in line) == [
        "dropped logs",
        "dropped metrics",
        "dropped spans",
    ]


def test_more_than_max_size_takes_the_oldest_of_any_signal(store: str) -> None:
    sent(store, logs(log("a", NOW - 20 * DAY)), *of_all_signals(NOW - 10 * DAY), *of_all_signals(TODAY))
    size = stored_bytes(store)
    drops = dropped(store, Retention(spans=None, logs=None, metrics=None, max_size=size))
    assert (drops.ranges, drops.stored_bytes) == ({RETENTION: 0, MAX_SIZE: 0}, {"": size})
    drops = dropped(store, Retention(spans=None, logs=None, metrics=None, max_size=size - 1))
    assert drops.ranges == {RETENTION: 0, MAX_SIZE: 1}
    assert ask(store, COUNTS) == [{"spans": 2, "logs": 2, "points": 2}]
    assert drops.stored_bytes[""] <= size - 1
    assert stored_bytes(store) <= size - drops.freed_bytes[MAX_SIZE]


def test_what_is_of_now_stays_whatever_it_takes(store: str, caplog: pytest.LogCaptureFixture) -> None:
    ahead = TODAY + DAY - HOUR
    sent(store, *of_all_signals(NOW - 10 * DAY), *of_all_signals(TODAY), logs(log("early", ahead)))
    drops = dropped(store, Retention(spans=None, logs=None, metrics=None, max_size=2**20))
    assert ask(store, COUNTS) == [{"spans": 1, "logs": 2, "points": 1}]
    assert f"{int(drops.stored_bytes[''])} bytes are stored, max_size is {2**20}" in caplog.text


def test_the_server_keeps_within_max_size(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.sidecar._ROUND_S", 0.05)

    async def session(running: Sidecar) -> str:
        for body in of_all_signals(NOW - 10 * DAY) + of_all_signals(TODAY):
            await send(running, *body)
        async with asyncio.timeout(30):
            while await asyncio.to_thread(ask, store, COUNTS) != ONE_OF_EACH:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await running.readiness() == ""
        return running.telemetry.exposition().decode()

    shown = run(store, session, {"RETENTION_MAX_SIZE": "1MiB"})
    assert 'postel_dropped_partitions_total{reason="max_size"} ' in shown
    assert "postel_stored_bytes " in shown


def test_a_record_of_a_stretch_that_was_dropped_is_stored_until_the_next_round(store: str) -> None:
    old = NOW - 10 * DAY
    small = Retention(spans=None, logs=None, metrics=None, max_size=2**20)

    async def session(running: Sidecar) -> None:
        async with dropper(store, small) as drops:
            for body in of_all_signals(old):
                await send(running, *body)
            assert len(await drops.drop()) == 13
            assert (await send(running, *spans(span(1, 2, old)))).stored == 1
            assert len(await drops.drop()) == 6

    run(store, session)
    assert ask(store, COUNTS) == [{"spans": 0, "logs": 0, "points": 0}]


def test_replicas_drop_each_partition_once(store: str, caplog: pytest.LogCaptureFixture) -> None:
    sent(store, *(body for days in (5, 6, 7, 8) for body in of_all_signals(NOW - days * DAY)), *of_all_signals(TODAY))

    async def session() -> tuple[list[list[str]], float]:
        async with dropper(store, THREE_DAYS) as a, dropper(store, THREE_DAYS) as b, dropper(store, THREE_DAYS) as c:
            names = await asyncio.gather(*(drops.drop() for drops in (a, b, c)))
            names += await asyncio.gather(*(drops.drop() for drops in (a, b, c)))
            return names, sum(drops.ranges[RETENTION] for drops in (a, b, c))

    names, ranges = asyncio.run(session())
    every = [name for some in names for name in some]
    assert (len(every), len(set(every)), ranges) == (4 * 13, 4 * 13, 12)
    assert ask(store, COUNTS) == ONE_OF_EACH
    assert ask(store, LEAVING) == []
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("hurried")
def test_what_is_read_goes_in_a_later_round(store: str, caplog: pytest.LogCaptureFixture) -> None:
    """A reader of the partition holds up its stretch, and no other signal's: all of it stays whole."""
    sent(store, *of_all_signals(NOW - 10 * DAY))
    ((partition,),) = [
        row.values()
        for row in ask(
            store,
            "SELECT partition FROM otel_partitions WHERE parent = $1 "
            "AND lower_unix_nano <= $2 AND upper_unix_nano > $2",
            "otel_span_events",
            NOW - 10 * DAY,
        )
    ]

    async def session() -> None:
        reader = await asyncpg.connect(store)
        async with dropper(store, THREE_DAYS) as drops:
            async with reader.transaction():
                await reader.fetch(f'SELECT FROM "{partition}"')
                assert len(await drops.drop()) == TABLES["logs"] + TABLES["metrics"]
                assert [dict(row) for row in await reader.fetch(COUNTS)] == [{"spans": 1, "logs": 0, "points": 0}]
            assert len(await drops.drop()) == TABLES["spans"]
        await reader.close()

    asyncio.run(session())
    assert "are in use: dropped later" in caplog.text


@pytest.mark.usefixtures("hurried")
def test_an_emptied_stretch_is_dropped_when_its_tables_are_free(store: str) -> None:
    """A reader of other partitions holds a lock on the tables: the stretch is emptied, and dropped in a later round."""
    old = NOW - 10 * DAY
    sent(store, *of_all_signals(old), *of_all_signals(TODAY))
    small = Retention(spans=None, logs=None, metrics=None, max_size=2**20)

    async def session(running: Sidecar) -> None:
        reader = await asyncpg.connect(store)
        async with dropper(store, small) as drops:
            async with reader.transaction():
                await reader.fetch("LOCK TABLE ONLY otel_span_events, ONLY otel_spans_fact IN ACCESS SHARE MODE")
                names = await drops.drop()
                assert len(names) == 11
            assert [row["partition"] for row in await reader.fetch(LEAVING)] != []
            assert [dict(row) for row in await reader.fetch(COUNTS)] == ONE_OF_EACH
            # What comes for it now is kept, children and rollup too, though some of its tables are there and some not.
            assert (await send(running, *of_all_signals(old + SECOND)[0])).stored == 1
            drops._max_bytes = None
            await drops.drop()
            assert [dict(row) for row in await reader.fetch(COUNTS)] == [{"spans": 2, "logs": 1, "points": 1}]
            assert await reader.fetch(LEAVING) == []
        await reader.close()

    run(store, session)


def test_partitions_of_several_lengths_go_together(store: str) -> None:
    """Where one table's partition begins in the middle of another's, neither goes alone."""
    day = (NOW - 10 * DAY) // DAY * DAY
    hours = "SELECT otel_create_partitions('spans', ARRAY[$1::bigint], $2)"
    ask(store, hours, day + 5 * HOUR, HOUR)
    ask(store, "UPDATE otel_partitioned_tables SET signal = 'logs' WHERE parent = 'otel_traces'")
    ask(store, hours, day + 6 * HOUR, HOUR)
    ask(store, "UPDATE otel_partitioned_tables SET signal = 'spans' WHERE parent = 'otel_traces'")
    ask(store, hours, day, DAY)
    ask(store, hours, day + 23 * HOUR, DAY)
    found = ask(
        store,
        "SELECT lower_unix_nano - $1 AS lower, upper_unix_nano - $1 AS upper, cardinality(partitions) AS n"
        " FROM otel_partition_ranges() WHERE signal = 'spans' ORDER BY 1",
        day,
    )
    assert found[0] == {"lower": 0, "upper": 5 * HOUR, "n": 6}
    assert found[1] == {"lower": 5 * HOUR, "upper": 6 * HOUR, "n": 6}
    assert found[2]["lower"] == 6 * HOUR
    assert found[2]["upper"] == 24 * HOUR
    drops = dropped(store, THREE_DAYS)
    assert drops.ranges[RETENTION] == len(found)
    assert ask(store, "SELECT FROM otel_partitions WHERE lower_unix_nano < $1", day + DAY) == []


def test_calls_from_a_span_that_went_are_counted_no_more(store: str) -> None:
    """A call belongs to the minute of its server's span; integrity holds when only its client's partition is gone."""
    turn = NOW // DAY * DAY - 5 * DAY
    client = spans(span(1, 1, turn - SECOND, kind=3), resource={"service.name": "front"})
    server = spans(span(1, 2, turn + SECOND, kind=2, parent_span_id=(1).to_bytes(8, "big")))

    async def session(running: Sidecar) -> None:
        for body in (client, server):
            await send(running, *body)
        pace = Pace(lag_s=0, settle_s=0, patience_s=0)
        assert await Minutes(running._control, running._partitions, pace).roll_up() == 2

    run(store, session)
    edges = "SELECT count(*)::int AS n FROM otel_edge_minutes"
    assert ask(store, edges) == [{"n": 1}]
    kept = Retention(spans=(NOW - turn) / SECOND, logs=None, metrics=None, max_size=None)
    assert dropped(store, kept).ranges[RETENTION] == 1
    assert ask(store, edges) == [{"n": 0}]
    assert ask(store, COUNTS)[0][SPANS] == 1


def test_a_call_may_be_counted_where_its_partition_went_and_its_spans_came_again(store: str) -> None:
    """As clocks differ the server's span may begin before the client's, in a stretch that was just dropped."""
    turn = NOW // DAY * DAY - 5 * DAY
    client = spans(span(1, 1, turn + SECOND, kind=3), resource={"service.name": "front"})
    server = spans(span(1, 2, turn - SECOND, kind=2, parent_span_id=(1).to_bytes(8, "big")))
    sent(store, client, server)
    leave = """UPDATE otel_partitions SET is_leaving = true
        WHERE parent = 'otel_edge_minutes' AND upper_unix_nano = $1 RETURNING partition"""
    ((partition,),) = [row.values() for row in ask(store, leave, turn)]

    async def session() -> int:
        database = Database(store, 1, 8.0)
        partitions = Partitions(database, dict.fromkeys(SIGNALS, 86_400.0), 2)
        assert await Dropping(database, partitions, NOTHING).drop() == [partition]
        computed = await Minutes(database, partitions, Pace(lag_s=0, settle_s=0, patience_s=0)).roll_up()
        await database.close()
        return computed

    assert asyncio.run(session()) == 2
    assert ask(store, "SELECT count(*)::int AS n FROM otel_edge_minutes") == [{"n": 1}]
