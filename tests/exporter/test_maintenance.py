"""Dimensions are pruned by what is left, and by nothing else: whatever was dropped, and for whatever reason."""

import asyncio
import time

import pytest

from exporter.analyzing import analyze
from exporter.database import Database
from exporter.dimensions import KINDS, LOG_SERIES, RESOURCES, SCOPES, SPAN_SERIES, Kind
from exporter.maintenance import maintain, tend
from exporter.partitions import Partitions
from exporter.settings import load
from exporter.sidecar import Sidecar
from tests.exporter.sending import DAY, NOW, SECOND, gauge, log, logs, metrics, point, run, send, span, spans
from tests.sql.rows import ask

TYPED = "SELECT count(*)::int AS n FROM otel_span_series_attrs_string"
TODAY = time.time_ns()


def some(at: int) -> list[tuple[str, bytes]]:
    """A record of each signal."""
    return [
        spans(span(1, at // SECOND, at, {"http.request.method": "GET"})),
        logs(log("x", at, {"http.request.method": "GET"})),
        metrics(gauge("g", point(1, at, {"http.request.method": "GET"}))),
    ]


async def age(running: Sidecar, days: float, *kinds: Kind) -> None:
    """Make rows of dimensions that old."""
    statements = (f"UPDATE {kind.table} SET last_seen = now() - {days} * INTERVAL '1 day';" for kind in kinds or KINDS)
    await asyncio.to_thread(ask, running.database_url, "SELECT", given="".join(statements))


async def sizes(running: Sidecar) -> dict[str, int]:
    """How many rows each dimension has."""
    counts = ", ".join(f"(SELECT count(*)::int FROM {kind.table}) AS {kind.table}" for kind in KINDS)
    (row,) = await asyncio.to_thread(ask, running.database_url, f"SELECT {counts}")
    return row


async def tended(running: Sidecar) -> dict[str, int]:
    """The sizes after pruning."""
    await tend(running._control, running._partitions, running.settings)
    return await sizes(running)


def test_max_size_alone_prunes(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a record points to stays as long as the record, and no retention is needed for it to go."""
    monkeypatch.setattr("exporter.dimensions._PRUNED_AT_ONCE", 1)

    async def session(running: Sidecar) -> None:
        for body in some(NOW - 20 * DAY):
            await send(running, *body)
        await age(running, 15)
        whole = await sizes(running)
        assert min(whole.values()) == 1
        assert await tended(running) == whole
        dropped = await maintain(running._control, running._partitions, running.settings)
        assert len(dropped) == 13
        assert set((await sizes(running)).values()) == {0}
        assert await asyncio.to_thread(ask, store, TYPED) == [{"n": 0}]

    run(store, session, {"RETENTION_MAX_SIZE": "1MiB"})


def test_series_go_with_their_own_signal(store: str) -> None:
    async def session(running: Sidecar) -> None:
        for body in some(NOW - 20 * DAY):
            await send(running, *body)
        await age(running, 15)
        whole = await sizes(running)
        settings = load(environ={"POSTEL_RETENTION_LOGS": "10d"})
        assert len(await maintain(running._control, running._partitions, settings)) == 2
        assert await sizes(running) == whole | {LOG_SERIES.table: 0}

    run(store, session)


def test_replicas_do_each_thing_once(store: str, caplog: pytest.LogCaptureFixture) -> None:
    """Three processes at the same moment: what one does the others leave, and none fails."""
    settings = load(environ={"POSTEL_RETENTION_MAX_SIZE": "1MiB"})

    async def session(running: Sidecar) -> list[list[str]]:
        for days in (20, 19):
            for body in some(TODAY - days * DAY):
                await send(running, *body)
        await age(running, 15)
        databases = [Database(store, 2, 8.0) for _ in range(3)]
        try:
            rounds = [maintain(one, Partitions(one, settings.intervals, 2), settings) for one in databases]
            return await asyncio.gather(*rounds, analyze(store), analyze(store))
        finally:
            for one in databases:
                await one.close()

    *dropped, a, b = run(store, session)
    names = [name for some_names in dropped for name in some_names]
    assert (len(names), len(set(names))) == (26, 26)
    assert set(a).isdisjoint(b)
    assert [record.message for record in caplog.records if "max_size is" not in record.message] == []
    assert ask(store, "SELECT FROM otel_span_series_dim") == []


def test_no_series_outlives_what_it_is_of(store: str) -> None:
    """Its scope may have been confirmed an hour before it: the series came back and was in no view."""

    async def session(running: Sidecar) -> None:
        await send(running, *some(TODAY)[0])
        threshold = TODAY % DAY / DAY + 2
        hour = 1 / 24
        await age(running, threshold + 0.4 * hour, RESOURCES, SCOPES)
        await age(running, threshold - 0.4 * hour, SPAN_SERIES)
        await asyncio.to_thread(ask, store, "SELECT", given="TRUNCATE otel_spans_fact, otel_span_events, otel_traces")
        await tended(running)
        running.ingest.dimensions._born -= 4000
        await send(running, *some(TODAY + SECOND)[0])

    run(store, session)
    assert len(ask(store, "SELECT * FROM v_otel_spans_enriched")) == 1
