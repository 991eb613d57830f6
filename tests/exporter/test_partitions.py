"""Partitions: there before they are needed, whatever the clock, the backfill or the interval, and gone in time."""

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from exporter.database import Database
from exporter.dropping import Dropping
from exporter.maintenance import maintain
from exporter.partitions import SIGNALS, Partitions
from exporter.settings import Retention, load
from exporter.sidecar import Sidecar
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
    totals,
)
from tests.sql.rows import ask

BOUNDS = """SELECT lower_unix_nano AS lower, upper_unix_nano AS upper FROM otel_partitions
WHERE parent = $1 ORDER BY 1"""
DAYS = dict.fromkeys(SIGNALS, 86_400.0)


def bounds(url: str, table: str = "otel_spans_fact") -> list[tuple[int, int]]:
    """The bounds of a table's partitions."""
    return [(row["lower"], row["upper"]) for row in ask(url, BOUNDS, table)]


class Clock:
    """A clock that can be set, in nanoseconds."""

    def __init__(self) -> None:
        self.now = time.time_ns()

    def __call__(self) -> int:
        self.now += 1000
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Stands for `time.time_ns` everywhere in the process."""
    given = Clock()
    monkeypatch.setattr(time, "time_ns", given)
    yield given


def of_all_signals(at: int, number: int) -> list[tuple[str, bytes]]:
    """A span, a log and a point at a time."""
    return [
        spans(span(1, number, at, events=[{"name": "e"}], links=[{}])),
        logs(log(f"{number}", at)),
        metrics(gauge(f"g{number}", point(1, at, exemplars=[{"as_int": 1}]))),
    ]


def test_it_runs_over_midnight_and_takes_a_backfill(store: str, clock: Clock) -> None:
    today = clock.now // DAY * DAY

    async def session(running: Sidecar) -> None:
        for step in range(6):
            clock.now = today + DAY - SECOND + step * DAY
            for at in (clock.now, clock.now + 2 * SECOND, clock.now - 7 * DAY):
                for body in of_all_signals(at, step + 1):
                    assert (await send(running, *body)).stored == 1
        long = spans(*(span(2, i + 1, clock.now - i * 6 * HOUR) for i in range(100)))
        assert (await send(running, *long)).stored == 100

    run(store, session)
    late = "SELECT FROM otel_spans_fact WHERE sent_start_time_unix_nano IS NOT NULL"
    assert ask(store, late) == []
    found = bounds(store)
    assert all(upper - lower == DAY and lower % DAY == 0 for lower, upper in found)
    assert found[0][0] <= clock.now - 24 * DAY < found[0][1]


def test_partitions_are_made_ahead_for_every_signal(store: str) -> None:
    sent(store)
    now = time.time_ns()
    for days in (0, 1, 2):
        missing = "SELECT FROM otel_partitions WHERE $1 >= lower_unix_nano AND $1 < upper_unix_nano"
        assert len(ask(store, missing, now + days * DAY)) == 13, days


@pytest.mark.parametrize(("before", "after"), [("1h", "1w"), ("1w", "6h")])
def test_the_interval_may_be_changed_at_any_time(store: str, before: str, after: str) -> None:
    """Partitions in the middle of a longer interval used to leave the rest of it without one."""
    hours = [span(1, i + 1, NOW - i * HOUR) for i in range(80)]
    first = sent(store, spans(hours[5], hours[40]), PARTITION_INTERVAL=before)
    later = sent(
        store, spans(*hours), spans(*(span(2, i + 1, NOW + i * HOUR) for i in range(24))), PARTITION_INTERVAL=after
    )
    assert totals([*first, *later]) == (104, 2, 0)
    found = bounds(store)
    assert all(upper <= lower for (_, upper), (lower, _) in pairwise(found)), "none overlap"


def test_each_signal_has_its_own_interval_and_may_change_it(store: str) -> None:
    old = NOW - 30 * HOUR
    own = {"PARTITION_INTERVAL": "6h", "PARTITION_INTERVALS_SPANS": "1h", "PARTITION_INTERVALS_METRICS": "1w"}
    changed = {"PARTITION_INTERVALS_SPANS": "1w", "PARTITION_INTERVALS_LOGS": "1h", "PARTITION_INTERVALS_METRICS": "6h"}
    first = sent(store, *of_all_signals(old, 1), lists=None, **own)
    tables = {"otel_spans_fact": HOUR, "otel_operation_minutes": HOUR, "otel_logs_fact": 6 * HOUR}
    tables |= {"otel_log_minutes": 6 * HOUR, "otel_exemplars": 7 * DAY}
    for table, length in tables.items():
        assert {upper - lower for lower, upper in bounds(store, table)} == {length}, table
    everywhere = [body for i in range(60) for body in of_all_signals(NOW - i * HOUR, i + 2)]
    later = sent(store, *everywhere, lists=None, **changed)
    assert totals([*first, *later]) == (3 + len(everywhere), 0, 0)
    for table in tables:
        found = bounds(store, table)
        assert all(upper <= lower for (_, upper), (lower, _) in pairwise(found)), table


def test_retention_drops_old_partitions_and_files_old_records_under_their_receipt(store: str) -> None:
    settings = {"RETENTION_SPANS": "3d", "RETENTION_LOGS": "30d", "ACCEPT_PAST": "30d"}
    old = NOW - 10 * DAY

    async def session(running: Sidecar) -> None:
        for at in (NOW, NOW - 2 * DAY):
            for body in of_all_signals(at, 1):
                await send(running, *body)
        dropped = await maintain(running._control, running._partitions, running.settings)
        assert dropped == []
        for body in of_all_signals(old, 2):
            await send(running, *body)
        async with running._control.transaction() as connection:
            await connection.execute("SELECT otel_create_partitions('spans', ARRAY[$1::bigint], $2)", old, DAY)
        dropped = await maintain(running._control, running._partitions, running.settings)
        assert sorted(name.rpartition("_p")[0] for name in dropped) == [
            "otel_edge_minutes",
            "otel_operation_minutes",
            "otel_span_events",
            "otel_span_links",
            "otel_spans_fact",
            "otel_traces",
        ]
        for body in of_all_signals(old, 3):
            await send(running, *body)

    run(store, session, settings)
    rows = ask(store, "SELECT span_id, sent_start_time_unix_nano AS sent FROM otel_spans_fact ORDER BY 1, 2")
    assert [(row["span_id"], row["sent"]) for row in rows] == [(1, None), (1, None), (2, old), (3, old)]
    kept = ask(store, "SELECT count(*) AS n FROM otel_logs_fact WHERE time_unix_nano = $1", old)
    assert kept == [{"n": 2}]


def test_children_and_traces_leave_with_their_spans(store: str) -> None:
    old = NOW - 10 * DAY
    sent(store, *of_all_signals(old, 1), *of_all_signals(NOW, 2))

    async def drop() -> list[str]:
        database = Database(store, 1, 8.0)
        try:
            kept = Retention(spans=5 * 86_400.0, logs=None, metrics=5 * 86_400.0, max_size=None)
            return await Dropping(database, Partitions(database, DAYS, 2), kept).drop()
        finally:
            await database.close()

    assert len(asyncio.run(drop())) == 11
    for table in ("spans_fact", "span_events", "span_links", "traces", "metrics_data_points_number", "exemplars"):
        assert ask(store, f"SELECT count(*) AS n FROM otel_{table}") == [{"n": 1}], table
    assert ask(store, "SELECT count(*) AS n FROM otel_logs_fact") == [{"n": 2}]


def test_maintenance_keeps_everything_by_default(store: str) -> None:
    sent(store, *of_all_signals(NOW - 20 * DAY, 1))

    async def once() -> list[str]:
        database = Database(store, 1, 8.0)
        try:
            return await maintain(database, Partitions(database, DAYS, 2), load(environ={}))
        finally:
            await database.close()

    assert asyncio.run(once()) == []
    assert ask(store, "SELECT count(*) AS n FROM otel_spans_fact") == [{"n": 1}]
