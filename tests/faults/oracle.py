"""Compares the sender's ledger with the database: nothing lost, nothing twice, nothing from nowhere, every count right.

Source: docs/reliability.md.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import httpx
from msgspec import Struct

from exporter.integrity import check
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.faults.bodies import SIGNALS
from tests.faults.sender import Sender

NUMBERS = {
    SPANS: "SELECT span_id AS number FROM otel_spans_fact",
    LOGS: "SELECT substr(body, 8)::bigint AS number FROM otel_logs_fact",
    METRICS: "SELECT value_int AS number FROM otel_metrics_data_points_number",
}
BY_BODY = """SELECT number / $1::bigint AS body, count(*) AS records, count(DISTINCT number) AS different
FROM ({}) AS stored GROUP BY 1"""
EVENTS = "SELECT (SELECT count(*) FROM otel_spans_fact) - (SELECT count(*) FROM otel_span_events)"
LEDGER = """SELECT signal, sum(received)::bigint AS received, sum(stored)::bigint AS stored,
sum(deduplicated)::bigint AS deduplicated, sum(dropped)::bigint AS dropped, sum(rejected)::bigint AS rejected
FROM v_otel_ingest_ledger GROUP BY 1"""
REFUSED = "SELECT signal, sum(count)::bigint FROM otel_rejected_records GROUP BY 1"
_METRIC = re.compile(r'^postel_(\w+)_records_total\{(?:reason="(\w+)",)?signal="(\w+)"\} (\S+)', re.M)


class Verdict(Struct):
    """What the comparison found; `problems` is empty when all is well."""

    sent: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicates: int = 0
    problems: list[str] = []


async def ledger(connection: asyncpg.Connection) -> dict[str, dict[str, int]]:
    """By signal: received, stored, deduplicated, dropped, rejected."""
    return {row["signal"]: {k: v for k, v in row.items() if k != "signal"} for row in await connection.fetch(LEDGER)}


async def judge(connection: asyncpg.Connection, sender: Sender) -> Verdict:
    """Compare a database with the ledger of the only one who sent to it."""
    verdict = Verdict(problems=sender.wrong[:5])
    for signal in SIGNALS:
        await _judge_signal(connection, signal, sender, verdict)
    if without := await connection.fetchval(EVENTS):
        verdict.problems.append(f"{without} more spans than events, of which each span has one")
    verdict.problems += await _judge_counts(connection, sender)
    verdict.problems += await check(connection)
    return verdict


async def _judge_signal(connection: asyncpg.Connection, signal: str, sender: Sender, verdict: Verdict) -> None:
    size = sender.plan.size
    rows = await connection.fetch(BY_BODY.format(NUMBERS[signal]), size)
    stored = {row["body"]: (row["records"], row["different"]) for row in rows}
    mine = {number: body for number, body in sender.sent.items() if body.signal == signal}
    acknowledged = {number for number, body in mine.items() if body.acknowledged}
    lost = sum(size - stored.get(number, (0, 0))[1] for number in acknowledged)
    duplicates = sum(records - different for records, different in stored.values())
    torn = [number for number in set(mine) - acknowledged if stored.get(number, (0, 0))[1] not in (0, size)]
    verdict.sent += len(mine) * size
    verdict.acknowledged += len(acknowledged) * size
    verdict.lost += lost
    verdict.duplicates += duplicates
    if lost:
        verdict.problems.append(f"{signal}: {lost} acknowledged records are not stored")
    if duplicates:
        verdict.problems.append(f"{signal}: {duplicates} records are stored again")
    if torn and not sender.plan.again:
        verdict.problems.append(f"{signal}: {len(torn)} bodies are stored in part")
    if surplus := set(stored) - set(mine):
        verdict.problems.append(f"{signal}: {len(surplus)} bodies are stored that were never sent")


async def _judge_counts(connection: asyncpg.Connection, sender: Sender) -> list[str]:
    """received = stored + deduplicated + dropped + rejected, and each is what the sender knows of."""
    problems: list[str] = []
    kept = await ledger(connection)
    rows: list[Any] = await connection.fetch(REFUSED)
    quarantined: dict[str, int] = dict(rows)
    for signal in SIGNALS:
        counts = kept.get(signal, dict.fromkeys(("received", "stored", "deduplicated", "dropped", "rejected"), 0))
        stored = await connection.fetchval(f"SELECT count(*) FROM ({NUMBERS[signal]}) AS stored")
        if counts["received"] != sum(counts[name] for name in ("stored", "deduplicated", "dropped", "rejected")):
            problems.append(f"{signal}: the ledger's counts do not add up: {counts}")
        if counts["stored"] != stored:
            problems.append(f"{signal}: the ledger says {counts['stored']} stored, there are {stored}")
        if quarantined.get(signal, 0) != counts["rejected"]:
            problems.append(
                f"{signal}: {quarantined.get(signal, 0)} refused records kept, {counts['rejected']} counted"
            )
        if all(body.acknowledged for body in sender.sent.values()):
            sent, refused = sender.records(signal), sender.records(signal, refused=True)
            if (sent, refused) != (counts["received"], counts["rejected"]):
                problems.append(f"{signal}: sent {sent}, of which {refused} to be refused, but the ledger has {counts}")
    return problems


def judge_metrics(urls: Sequence[str], sender: Sender) -> list[str]:
    """Whether /metrics of servers that lived throughout count what their sender knows of: none of it was in vain."""
    counted: dict[tuple[str, str], int] = {}
    for url in urls:
        text = httpx.get(f"{url}/metrics", timeout=30, verify=False).text
        for name, _, signal, count in _METRIC.findall(text):
            counted[name, signal] = counted.get((name, signal), 0) + int(float(count))
    return [problem for signal in SIGNALS for problem in _judge_counters(counted, signal, sender)]


def _judge_counters(counted: Mapping[tuple[str, str], int], signal: str, sender: Sender) -> list[str]:
    found = {name: counted.get((name, signal), 0) for name in ("accepted", "deduplicated", "dropped", "rejected")}
    received = counted.get(("received", signal), 0)
    problems = []
    if received != sum(found.values()):
        problems.append(f"{signal}: /metrics does not add up: {found} of {received}")
    # Where bodies were sent more often than once, each answer counts, also one that the sender did not wait for.
    once = len(sender.attempts) == len(sender.sent)
    sent, refused = sender.records(signal), sender.records(signal, refused=True)
    more = (received - sent, found["rejected"] - refused)
    if min(more) < 0 or (once and max(more) > 0):
        problems.append(f"{signal}: /metrics has {found}, but {sent} were acknowledged, {refused} refused")
    return problems
