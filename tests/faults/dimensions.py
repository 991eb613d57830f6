"""What repeats nowhere, and what is pruned while it sleeps: rows 17 and 17b of docs/reliability.md."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any

import asyncpg

from exporter.integrity import check
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.faults.bodies import TRACES, Plan
from tests.faults.kills import clock
from tests.faults.life import Life, living_on
from tests.faults.load import MEMORY_BYTES
from tests.faults.oracle import Verdict
from tests.faults.outcome import MIB, Outcome, verdict_of
from tests.faults.sender import Manner, Sender

DAY_S = 86_400
CONNECTIONS = 4
_SHARE = 0.5
FOUND = """SELECT service_name, attributes FROM v_otel_spans_enriched
WHERE trace_key = lpad(to_hex($1::bigint), 32, '0')::uuid AND attributes ->> 'unique' = $2"""
AGE = """UPDATE otel_resources_dim SET last_seen = last_seen - INTERVAL '1 day';
UPDATE otel_scopes_dim SET last_seen = last_seen - INTERVAL '1 day';
UPDATE otel_metrics_dim SET last_seen = last_seen - INTERVAL '1 day';
UPDATE otel_span_series_dim SET last_seen = last_seen - INTERVAL '1 day';
UPDATE otel_log_series_dim SET last_seen = last_seen - INTERVAL '1 day';
UPDATE otel_metric_series_dim SET last_seen = last_seen - INTERVAL '1 day'"""
NOT_IN_A_VIEW = """SELECT (SELECT count(*) FROM otel_spans_fact) - (SELECT count(*) FROM v_otel_spans_enriched),
(SELECT count(*) FROM otel_logs_fact) - (SELECT count(*) FROM v_otel_logs_enriched),
(SELECT count(*) FROM otel_metrics_data_points_number) - (SELECT count(*) FROM v_otel_metrics_enriched)"""
STORED_SINCE = """SELECT (SELECT count(*) FROM otel_spans_fact WHERE span_id >= $1)
+ (SELECT count(*) FROM otel_logs_fact WHERE substr(body, 8)::bigint >= $1)
+ (SELECT count(*) FROM otel_metrics_data_points_number WHERE value_int >= $1)"""
AWAKE = (True, True, False, False, True, False, False, False, False)
"""On which days they come: back when their dimensions may just be pruned, then when they are long gone."""
ASLEEP = """SELECT (SELECT count(*) FROM otel_resources_dim WHERE service_name ^@ 'sleepy')
+ (SELECT count(*) FROM otel_scopes_dim WHERE name = 'lib') + (SELECT count(*) FROM otel_metrics_dim)
+ (SELECT count(*) FROM otel_span_series_dim) + (SELECT count(*) FROM otel_metric_series_dim)"""
NOTHING_KEPT = {f"RETENTION_{signal}": "0s" for signal in ("SPANS", "LOGS", "METRICS")}


def every_attribute_unique(bodies: int, resources: int, settings: Mapping[str, str], database_url: str) -> Outcome:
    """Row 17: resources and attribute keys that never come again, `resources` of each in every body."""
    normal = Plan(size=2 * resources, again=0, refused=False, signals=(SPANS, LOGS))
    unique = Plan(size=normal.size, again=0, refused=False, signals=normal.signals, resources=resources)
    points = Plan(size=normal.size, again=0, refused=False, signals=(METRICS,), resources=resources)
    rates = []
    with living_on(database_url, settings) as life:
        manner = Manner(connections=CONNECTIONS, pace_s=0, bodies=bodies)
        everything = Sender([life.url], normal, manner)
        for turn, plan in enumerate((normal, unique, points)):
            with Sender([life.url], plan, manner, first=1 + (turn << 20)) as sender:
                rates.append(CONNECTIONS * bodies * plan.size / sender.finish(900))
            everything.include(sender)
        most = life.memory()
        verdict = verdict_of(life.postgres_url, everything, [life.url])
        verdict.problems += _wrong_answers(life, everything, unique)
    if most > MEMORY_BYTES:
        verdict.problems.append(f"{most / MIB:.0f} MiB of memory")
    share = rates[1] / rates[0]
    missed = [f"spans and logs at {share:.0%} of normal"] if share < _SHARE else []
    figures = (
        f"spans and logs {rates[1]:,.0f} records/s, {share:.0%} of normal; points {rates[2]:,.0f}/s; most memory"
        f" {most / MIB:.0f} MiB; answers are right"
    )
    count = 2 * CONNECTIONS * bodies * resources
    return Outcome(f"{count:,} resources and keys, every attribute unique", 1, verdict, figures, missed)


def series_that_sleep(days: int, database_url: str) -> Outcome:
    """Row 17b: nothing is kept, pruning runs in a loop beside two replicas, and what slept comes back after days."""
    verdict, pruned = Verdict(), 0
    with (
        clock() as (file, launcher),
        living_on(database_url, NOTHING_KEPT, launcher) as life,
        living_on(database_url, NOTHING_KEPT, launcher) as other,
    ):
        with maintaining(launcher, database_url) as rounds:
            for day in range(days):
                if day:
                    # PostgreSQL's clock cannot be moved on: what it stored is made older instead.
                    life.execute(AGE)
                    file.write_text(str(day * DAY_S))
                first = 1 + (day << 16)
                awake = AWAKE[day % len(AWAKE)]
                with ExitStack() as sending:
                    senders = [sending.enter_context(s) for s in _senders([life.url, other.url], day, first, awake)]
                    for sender in senders:
                        sender.wait_for(20)
                    for sender in senders:
                        sender.finish()
                sender = senders[0]
                for one in senders[1:]:
                    sender.include(one)
                _wait_for_round(rounds)
                if day % len(AWAKE) == len(AWAKE) - 1:
                    pruned += _wait_until_pruned(life)
                _judge_day(life, sender, first, verdict)
        runs = len(rounds)
    figures = f"{runs} rounds of pruning, {pruned} times all that slept was gone; no orphan, nothing missing in a view"
    return Outcome(f"series that sleep and come back, {days} days", days, verdict, figures)


@contextmanager
def maintaining(launcher: Sequence[str], database_url: str) -> Iterator[list[int]]:
    """`postel maintain` over and over; yields the exit codes so far."""
    over, codes = threading.Event(), list[int]()
    environment = os.environ | {f"POSTEL_{name}": text for name, text in NOTHING_KEPT.items()}
    command = [*launcher, "maintain", "--database-url", database_url]

    def repeat() -> None:
        while not over.is_set():
            done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
            codes.append(done.returncode)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield codes
    finally:
        over.set()
        thread.join(60)


def _senders(urls: Sequence[str], day: int, first: int, awake: bool) -> Iterator[Sender]:
    """Who sends on a day: one whose logs come always, and one of all signals while it is awake."""

    def sender(service: str, signals: tuple[str, ...], number: int) -> Sender:
        plan = Plan(again=0, refused=False, signals=signals, now=lambda: _now(day), service=service)
        return Sender(urls, plan, Manner(connections=CONNECTIONS), first=number)

    yield sender("steady", (LOGS,), first)
    if awake:
        yield sender("sleepy", (SPANS, LOGS, METRICS), first + (1 << 15))


def _now(day: int) -> int:
    return time.time_ns() + day * DAY_S * 1_000_000_000


def _wait_for_round(rounds: list[int]) -> None:
    """Wait until pruning has ended once more."""
    before, deadline = len(rounds), time.monotonic() + 60
    while len(rounds) == before:
        assert time.monotonic() < deadline, "pruning does not end"
        time.sleep(0.02)


def _wait_until_pruned(life: Life) -> int:
    """Wait until nothing is left of what sleeps: resources, scopes, metrics and series; 1."""
    deadline = time.monotonic() + 60
    while life.ask(lambda connection: connection.fetchval(ASLEEP)):
        assert time.monotonic() < deadline, "what sleeps is never pruned"
        time.sleep(0.1)
    return 1


def _judge_day(life: Life, sender: Sender, first: int, verdict: Verdict) -> None:
    """Add what became of a day's records; those of the days before are gone as they should."""

    async def find(connection: asyncpg.Connection) -> tuple[Any, int, list[str]]:
        missing = await connection.fetch(NOT_IN_A_VIEW)
        stored = await connection.fetchval(STORED_SINCE, first * sender.plan.size)
        return missing[0], stored, await check(connection)

    missing, stored, violations = life.ask(find)
    acknowledged = sum(body.records for body in sender.sent.values() if body.acknowledged)
    verdict.sent += sum(body.records for body in sender.sent.values())
    verdict.acknowledged += acknowledged
    verdict.lost += max(0, acknowledged - stored)
    verdict.duplicates += max(0, stored - acknowledged)
    verdict.problems += sender.wrong[:5] + violations
    if stored != acknowledged:
        verdict.problems.append(f"{acknowledged} records acknowledged, {stored} stored")
    if any(missing):
        verdict.problems.append(f"not in a view: {tuple(missing)} spans, logs, points")


def _wrong_answers(life: Life, sender: Sender, plan: Plan) -> list[str]:
    """Ask for some records that are like no other, by the view and by the API."""
    rng, problems = Random(17), []
    unique = [number for number, body in sender.sent.items() if body.signal == SPANS and number > 1 << 20]
    for body in rng.sample(unique, min(10, len(unique))):
        number = body * plan.size + rng.randrange(plan.size)
        place = number % plan.resources
        service = f"body-{body}-{place}"
        asked = (1 + number % TRACES, f"u{number}")
        rows = life.ask(lambda connection, asked=asked: connection.fetch(FOUND, *asked))  # type: ignore[misc]
        spans = life.get(f"/api/spans?service={service}&since=3h").json()["spans"]
        if len(rows) != 1 or rows[0]["service_name"] != service or f"key-body-{body}-{place}" not in rows[0][1]:
            problems.append(f"the view has {len(rows)} rows of span {number}")
        if len(spans) != plan.size // plan.resources:
            problems.append(f"the API has {len(spans)} spans of {service}")
    return problems
