"""Maintenance beside writers who never pause: what it makes them wait for, row 17d of docs/reliability.md."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import asyncpg
from msgspec import Struct

from exporter.analyzing import analyze
from exporter.database import Database
from exporter.dropping import RETENTION, Dropping
from exporter.maintenance import tend
from exporter.minutes import Minutes, Pace
from exporter.partitions import SIGNALS, Partitions
from exporter.settings import Retention, load
from tests.exporter.sending import DAY, HOUR, NOW
from tests.faults.bodies import Plan
from tests.faults.life import living_on
from tests.faults.outcome import Outcome, percentile, verdict_of
from tests.faults.sender import Attempt, Manner, Sender

LONGEST_WAIT_S = 0.1
_ROWS = 5_000
_HOURS = 2
OLD = (NOW - 20 * DAY) // DAY * DAY
FILL = f"""INSERT INTO otel_spans_fact (
    trace_id, span_id, start_time_unix_nano, end_time_unix_nano, resource_id, series_id)
SELECT gen_random_uuid(), n, $1::bigint + n, $1::bigint + n, 1, 1 FROM generate_series(1, {_ROWS}) AS n"""
AGAIN = "UPDATE pg_class SET reltuples = 1 WHERE oid IN (SELECT to_regclass(parent) FROM otel_partitioned_tables)"
"""Every table is to be analysed."""
WAITS = """SELECT extract(epoch FROM clock_timestamp() - w.waitstart)::float8 AS waited_s,
    coalesce(w.relation::regclass::text, w.locktype) || ' ' || w.mode AS what, w.pid, w.waitstart
FROM pg_locks AS w JOIN pg_stat_activity AS a ON a.pid = w.pid
WHERE NOT w.granted AND a.application_name IN ('postel writer', 'postel control') AND EXISTS (
    SELECT FROM unnest(pg_blocking_pids(w.pid)) AS b (pid) JOIN pg_stat_activity AS by ON by.pid = b.pid
    WHERE by.application_name NOT IN ('postel writer', 'postel control'))"""


class Seen(Struct):
    """What was sampled: each wait of the server for maintenance, and what maintenance got done."""

    waits: dict[tuple[int, object, str], float] = {}
    samples: int = 0
    rounds: int = 0
    dropped: int = 0
    freed_bytes: float = 0
    analyzed: int = 0

    def longest(self) -> tuple[float, str]:
        """The seconds of the longest wait, and what was waited for."""
        return max(((seconds, key[2]) for key, seconds in self.waits.items()), default=(0.0, "nothing"))


Work: TypeAlias = Callable[[str, Seen, threading.Event], Coroutine[None, None, None]]


def dropped_under_load(seconds: float, database_url: str) -> Outcome:
    """Row 17d: for `seconds` writers do not pause, then as long beside partitions that are made and dropped."""
    plan = Plan(size=200, again=0, refused=False)
    seen = Seen()
    with living_on(database_url) as life, Sender([life.url], plan, Manner(connections=4, pace_s=0)) as sender:
        sender.wait_for(20)
        alone_from = len(sender.attempts)
        time.sleep(seconds)
        beside_from = len(sender.attempts)
        with _in_thread(_maintain, database_url, seen), _in_thread(_watch, database_url, seen):
            time.sleep(seconds)
        beside_to = len(sender.attempts)
        sender.finish()
        verdict = verdict_of(life.postgres_url, sender, [life.url])
    waited_s, what = seen.longest()
    if waited_s > LONGEST_WAIT_S:
        verdict.problems.append(f"a writer waited {waited_s * 1e3:.0f} ms for {what}")
    if not (seen.dropped and seen.rounds and seen.analyzed and seen.samples > 10 * seconds):
        verdict.problems.append(f"nothing was measured: {seen}")
    alone, beside = sender.attempts[alone_from:beside_from], sender.attempts[beside_from:beside_to]
    figures = (
        f"{seen.dropped} partitions of {seen.freed_bytes / 2**20:.0f} MiB dropped in {seen.rounds} rounds,"
        f" {seen.analyzed} tables analysed; longest wait for maintenance {waited_s * 1e3:.0f} ms ({what});"
        f" acknowledged after {_latency(alone)} without it, {_latency(beside)} beside it"
    )
    return Outcome(f"partitions dropped under load for {seconds:g} s", seen.rounds, verdict, figures)


def _latency(attempts: list[Attempt]) -> str:
    p50, p99 = (percentile(attempts, share) * 1e3 for share in (0.5, 0.99))
    return f"{p50:.0f} ms, p99 {p99:.0f} ms"


@contextmanager
def _in_thread(work: Work, database_url: str, seen: Seen) -> Iterator[None]:
    """Does the work in a loop of its own until the block ends; its errors are the block's."""
    over, failures = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            asyncio.run(work(database_url, seen, over))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(90)
    if failures:
        raise failures[0]


async def _maintain(database_url: str, seen: Seen, over: threading.Event) -> None:
    """Partitions of long ago are made, filled and dropped again, and all else that maintenance does."""
    database = Database(database_url, 2, 60.0, "postel maintain")
    filling = await asyncpg.connect(database_url, server_settings={"application_name": "postel writer"})
    partitions = Partitions(database, dict.fromkeys(SIGNALS, 3600.0), 2)
    drops = Dropping(database, partitions, Retention(spans=DAY / 1e9, logs=DAY / 1e9, metrics=DAY / 1e9, max_size=None))
    settings = load(environ={})
    minutes = Minutes(database, partitions, Pace(lag_s=0, settle_s=0, patience_s=0))
    try:
        while not over.is_set() or not seen.rounds:
            for hour in range(_HOURS):
                for signal in SIGNALS:
                    await partitions.make(signal, OLD + hour * HOUR, OLD + (hour + 1) * HOUR)
                await filling.execute(FILL, OLD + hour * HOUR)
            seen.dropped += len(await drops.drop())
            await tend(database, partitions, settings)
            await minutes.roll_up(1.0)
            await filling.execute(AGAIN)
            seen.analyzed += len(await analyze(database_url))
            seen.rounds += 1
            seen.freed_bytes = drops.freed_bytes[RETENTION]
    finally:
        await filling.close()
        await database.close()


async def _watch(database_url: str, seen: Seen, over: threading.Event) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"application_name": "watcher"})
    try:
        while not over.is_set():
            for row in await connection.fetch(WAITS):
                key = row["pid"], row["waitstart"], row["what"]
                seen.waits[key] = max(seen.waits.get(key, 0.0), row["waited_s"])
            seen.samples += 1
            await asyncio.sleep(0.003)
    finally:
        await connection.close()
