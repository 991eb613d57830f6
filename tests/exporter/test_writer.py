"""Group commit: nobody is answered before it, and what goes wrong loses nothing and takes along no neighbour."""

import asyncio
import time

import asyncpg
import pytest

from exporter.batch import Outcome
from exporter.errors import ShuttingDown, Unavailable
from exporter.sidecar import Sidecar
from tests.exporter.sending import (
    DAY,
    HOUR,
    NOW,
    gauge,
    log,
    logs,
    metrics,
    point,
    run,
    send,
    send_until_stored,
    sidecar,
    span,
    spans,
    totals,
)
from tests.sql.rows import ask

Body = tuple[str, bytes]
IDS = "SELECT count(*) AS n, count(DISTINCT (trace_id, span_id)) AS ids FROM otel_spans_fact"


def bodies_of(count: int, each: int = 1) -> list[Body]:
    """Bodies of `each` spans."""
    return [spans(*(span(i + 1, j + 1) for j in range(each))) for i in range(count)]


async def answers(running: Sidecar, bodies: list[Body]) -> list[Outcome | BaseException]:
    """The answers to bodies sent at once, failures among them."""
    return await asyncio.gather(*(send(running, *body) for body in bodies), return_exceptions=True)


def test_nobody_is_answered_before_the_commit_and_many_share_one(store: str) -> None:
    async def session(running: Sidecar) -> None:
        await send(running, *spans(span(99, 1)))
        blocker, onlooker = await asyncpg.connect(store), await asyncpg.connect(store)
        lock = blocker.transaction()
        await lock.start()
        await blocker.execute("LOCK TABLE otel_spans_fact IN EXCLUSIVE MODE")
        waiting = [asyncio.create_task(send(running, *body)) for body in bodies_of(40)]
        await asyncio.sleep(0.4)
        assert not any(task.done() for task in waiting)
        await lock.rollback()

        async def stored(task: "asyncio.Task[Outcome]", trace: int) -> bool:
            await task
            statement = "SELECT count(*) FROM otel_spans_fact WHERE trace_id = $1::text::uuid"
            return bool(await onlooker.fetchval(statement, f"{trace:032x}") == 1)

        # One connection, so one after another; a task that is done at its turn was committed before.
        assert all([await stored(task, i + 1) for i, task in enumerate(waiting)])
        await blocker.close()
        await onlooker.close()

    run(store, session)
    commits = ask(store, "SELECT count(DISTINCT xmin::text) AS n FROM otel_ingest_ledger")
    assert commits[0]["n"] <= 10, "41 bodies in a few transactions"


def test_what_postgresql_refuses_takes_along_no_neighbour(store: str) -> None:
    ask(store, "SELECT", given="ALTER TABLE otel_spans_fact ADD CONSTRAINT odd CHECK (span_id <> 666)")

    async def session(running: Sidecar) -> list[Outcome | BaseException]:
        bodies = [*bodies_of(7, 10), spans(span(50, 1), span(50, 666)), logs(log("a")), metrics(gauge("g", point(1)))]
        return await answers(running, bodies)

    outcomes = run(store, session)
    assert [o.rejected for o in outcomes if isinstance(o, Outcome)] == [*([0] * 7), 1, 0, 0]
    assert ask(store, "SELECT count(*) AS n FROM otel_spans_fact")[0]["n"] == 71


def test_a_partition_that_somebody_dropped_is_made_again(store: str) -> None:
    """Every record of its time used to be refused until a restart."""
    at = NOW - 10 * DAY

    async def session(running: Sidecar) -> list[Outcome]:
        first = await send(running, *spans(span(1, 1, at)))
        await asyncio.to_thread(ask, store, "SELECT otel_drop_partitions('spans', $1)", NOW - 8 * DAY)
        return [first, await send(running, *spans(span(1, 2, at)))]

    assert [o.stored for o in run(store, session)] == [1, 1]
    assert ask(store, "SELECT count(*) AS n FROM otel_spans_fact")[0]["n"] == 1


def test_a_request_waits_no_longer_than_its_deadline_and_comes_again_for_nothing(store: str) -> None:
    async def session(running: Sidecar) -> tuple[float, Outcome]:
        blocker = await asyncpg.connect(store)
        lock = blocker.transaction()
        await lock.start()
        await blocker.execute("LOCK TABLE otel_spans_fact IN EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await send(running, *spans(span(1, 1)))
        waited_s = time.monotonic() - began
        await lock.rollback()
        await blocker.close()
        return waited_s, await send_until_stored(running, *spans(span(1, 1)))

    waited_s, outcome = run(store, session, {"REQUEST_DEADLINE": "800ms", "STATEMENT_TIMEOUT": "300ms"})
    assert 0.3 < waited_s < 3
    assert outcome.stored + outcome.deduplicated == 1
    assert ask(store, "SELECT count(*) AS n FROM otel_spans_fact")[0]["n"] == 1


def test_connections_that_are_cut_lose_nothing_and_double_nothing(store: str) -> None:
    """What a restart of PostgreSQL is to its clients, again and again under load."""

    async def cut(url: str, until: asyncio.Event) -> int:
        connection = await asyncpg.connect(url)
        cuts = 0
        while not until.is_set():
            cuts += await connection.fetchval(
                """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )
            await asyncio.sleep(0.15)
        await connection.close()
        return cuts

    async def session(running: Sidecar) -> tuple[list[Outcome], int]:
        finished = asyncio.Event()
        cutting = asyncio.create_task(cut(store, finished))
        outcomes: list[Outcome] = []
        for turn in range(12):
            bodies = [
                spans(*(span(turn * 100 + i, j + 1, has={"n": f"{turn} {i}"}) for j in range(20))) for i in range(1, 9)
            ]
            bodies += [logs(*(log(f"{turn} {i} {j}") for j in range(20))) for i in range(8)]
            bodies += [metrics(gauge(f"g{turn} {i}", *(point(1, NOW + j) for j in range(20)))) for i in range(8)]
            outcomes += await asyncio.gather(*(send_until_stored(running, *body) for body in bodies))
        finished.set()
        return outcomes, await cutting

    outcomes, cuts = run(store, session)
    assert cuts > 5
    stored, deduplicated, rejected = totals(outcomes)
    assert (stored + deduplicated, rejected) == (12 * 3 * 160, 0)
    assert ask(store, IDS) == [{"n": 1920, "ids": 1920}]
    assert ask(store, "SELECT count(*) AS n, count(DISTINCT body) AS b FROM otel_logs_fact") == [{"n": 1920, "b": 1920}]
    assert ask(store, "SELECT count(*) AS n FROM otel_metrics_data_points_number") == [{"n": 1920}]


def test_what_was_acknowledged_before_the_drain_is_stored(store: str) -> None:
    bodies = bodies_of(60, 20)

    async def session() -> list[Outcome | BaseException]:
        async with sidecar(store) as running:
            sending = [asyncio.create_task(send(running, *body)) for body in bodies]
            await asyncio.sleep(0.02)
            await running.stop(5)
            with pytest.raises(ShuttingDown):
                await send(running, *bodies[0])
            return await asyncio.gather(*sending, return_exceptions=True)

    outcomes = asyncio.run(session())
    assert [o for o in outcomes if not isinstance(o, Outcome | Unavailable)] == []
    acknowledged = sum(isinstance(outcome, Outcome) for outcome in outcomes)
    assert ask(store, IDS) == [{"n": acknowledged * 20, "ids": acknowledged * 20}]


def test_two_groups_of_the_same_traces_do_not_deadlock(store: str) -> None:
    async def session(running: Sidecar) -> list[Outcome]:
        numbers = range(1, 200)
        bodies = [spans(*(span(trace, i + 1) for trace in (numbers, reversed(numbers))[i % 2])) for i in range(10)]
        return list(await asyncio.gather(*(send(running, *body) for body in bodies)))

    assert totals(run(store, session, {"MAX_GROUP_ROWS": "1"})) == (1990, 0, 0)
    rollup = ask(store, "SELECT count(*)::int AS n, sum(span_count)::int AS spans FROM otel_traces")
    assert rollup == [{"n": 199, "spans": 1990}]


def test_records_of_every_time_share_a_group(store: str) -> None:
    async def session(running: Sidecar) -> list[Outcome]:
        hours = [span(1, i + 1, NOW - i * HOUR) for i in range(100)]
        return list(await asyncio.gather(*(send(running, *spans(one)) for one in hours)))

    assert totals(run(store, session)) == (100, 0, 0)
