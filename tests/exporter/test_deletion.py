"""Deleting beside a writer of the same trace: whoever is second adds to what the first one left."""

import asyncio

import asyncpg
import pytest

from exporter.columns import SPANS as SPAN_FACTS
from exporter.database import Connection, Database
from exporter.deletion import SIGNALS, Find, Windows, delete, key_of, sweep
from exporter.otlp.records import SPANS
from exporter.sidecar import Sidecar
from tests.exporter.sending import HOUR, NOW, run, send, sent, span, spans
from tests.sql.rows import ask

ADD = """WITH added AS (
    INSERT INTO otel_spans_fact (trace_id, span_id, start_time_unix_nano, end_time_unix_nano, resource_id, series_id)
    SELECT trace_id, 99, start_time_unix_nano, end_time_unix_nano, resource_id, series_id FROM otel_spans_fact
    WHERE span_id = 2 RETURNING 1
)
UPDATE otel_traces SET span_count = span_count + 1"""
WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
TRACES = "SELECT span_count::int AS spans, root_start_time_unix_nano AS root FROM otel_traces"


async def delete_span(connection: Connection, span_id: int) -> int:
    """Delete a span."""
    statement = f"SELECT {', '.join(key_of(SPAN_FACTS))} FROM otel_spans_fact WHERE span_id = $1"
    keys = [tuple(row) for row in await connection.fetch(statement, span_id)]
    return await delete(connection, SIGNALS[SPANS], SPAN_FACTS, keys)


def test_a_writer_that_was_first_is_waited_for(store: str) -> None:
    sent(store, spans(span(1, 1), span(1, 2, NOW + 5)))

    async def session() -> None:
        database = Database(store, 1, 8.0)
        writer = await asyncpg.connect(store)
        async with asyncio.timeout(8):
            transaction = writer.transaction()
            await transaction.start()
            await writer.execute(ADD)
            deleting = asyncio.create_task(database.retrying(lambda c: delete_span(c, 1)))
            while not await asyncio.to_thread(ask, store, WAITING):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await transaction.commit()
            assert await deleting == 1
        await writer.close()
        await database.close()

    asyncio.run(session())
    assert ask(store, TRACES) == [{"spans": 2, "root": NOW + 5}]


@pytest.mark.parametrize("left", [0, 1])
def test_a_writer_that_comes_second_adds_to_what_is_left(left: int, store: str) -> None:
    async def session(running: Sidecar) -> None:
        await send(running, *spans(span(1, 1), *(span(1, 2 + i, NOW + 5) for i in range(left))))
        async with running._control.transaction() as connection:
            assert await delete_span(connection, 1) == 1
            writing = asyncio.create_task(send(running, *spans(span(1, 7, NOW + 9))))
            while not await asyncio.to_thread(ask, store, WAITING):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (await writing).stored == 1

    run(store, session)
    assert ask(store, TRACES) == [{"spans": 1 + left, "root": NOW + 5 if left else NOW + 9}]


def test_windows_cover_partitions_and_nothing_else(store: str) -> None:
    sent(store, spans(span(1, 1), span(1, 2, NOW - 9 * 24 * HOUR)))

    async def session() -> list[tuple[int, int]]:
        database = Database(store, 1, 8.0)
        windows, found = Windows(database), []
        async for begin, until in windows.of(SPAN_FACTS, NOW - 240 * HOUR, NOW + 7):
            await windows.ask(Find("SELECT WHERE $1::bigint < $2::bigint"), begin, until)
            found.append((begin, until))
        await database.close()
        return found

    found = asyncio.run(session())
    bounds = ask(
        store,
        "SELECT greatest(lower_unix_nano, $1) AS low, least(upper_unix_nano, $2) AS high FROM otel_partitions "
        "WHERE parent = 'otel_spans_fact' AND upper_unix_nano > $1 AND lower_unix_nano < $2 ORDER BY 1",
        NOW - 240 * HOUR,
        NOW + 7,
    )
    joined: list[list[int]] = []
    for begin, until in found:
        if joined and joined[-1][1] == begin and begin not in [row["low"] for row in bounds]:
            joined[-1][1] = until
        else:
            joined.append([begin, until])
    assert joined == [[row["low"], row["high"]] for row in bounds]
    assert len(found) < 12 * len(bounds), "they grow"


@pytest.mark.parametrize(("locked_s", "sizes"), [(0.0, [4, 2, 1, 1, 1, 1]), (3600.0, [4, 6])])
def test_a_batch_is_as_large_as_is_done_in_a_moment(
    locked_s: float, sizes: list[int], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(store, spans(*(span(1, 1 + i) for i in range(10))))
    monkeypatch.setattr("exporter.deletion._FIRST_BATCH", 4)
    monkeypatch.setattr("exporter.deletion._LOCKED_S", locked_s)
    statement = f"""SELECT {", ".join(key_of(SPAN_FACTS))} FROM otel_spans_fact
    WHERE start_time_unix_nano >= $1 AND start_time_unix_nano < $2 LIMIT $3"""

    async def noted(_connection: Connection, _count: int) -> None:
        """Nobody asks."""

    async def session() -> list[int]:
        database = Database(store, 1, 8.0)
        try:
            swept = sweep(database, SIGNALS[SPANS], SPAN_FACTS, Find(statement), (NOW - HOUR, NOW + HOUR), noted)
            return [count async for count, _ in swept if count]
        finally:
            await database.close()

    assert asyncio.run(session()) == sizes
    assert ask(store, "SELECT FROM otel_spans_fact") == []
