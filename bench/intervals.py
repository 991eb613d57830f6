"""`python -m bench.intervals`: what the length of partitions costs to write and to read, and dropping beside deleting.

The spans of a month, an hour in a statement, in the order of time, with 100 traces, 50 series and 10 resources an hour.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
from msgspec import Struct

from bench.command import Findings, natural, parser_of, publish
from bench.database import empty_database
from bench.figures import MIB, markdown
from bench.stage import Stage, findings
from exporter.migrations import migrate

HOUR = 3600 * 10**9
INTERVALS = {"1h": HOUR, "6h": 6 * HOUR, "1d": 24 * HOUR, "1w": 168 * HOUR}
BEGIN = 1_767_571_200 * 10**9
"""2026-01-05, a Monday: weeks of partitions begin on Thursdays."""
FILL = """INSERT INTO otel_spans_fact (
    trace_id, span_id, start_time_unix_nano, end_time_unix_nano, resource_id, series_id)
SELECT lpad(to_hex($1::bigint + n % 100), 32, '0')::uuid, n, at.nano, at.nano, n % 10, n % 50
FROM generate_series(1, $3::bigint) AS n
CROSS JOIN LATERAL (SELECT $2::bigint + n * (3600000000000 / $3) - 1) AS at (nano)"""
TRACE = "SELECT * FROM otel_spans_fact WHERE trace_id = lpad(to_hex(100000), 32, '0')::uuid"
QUESTIONS = {
    "an hour of a resource": """SELECT * FROM otel_spans_fact WHERE resource_id = 5
AND start_time_unix_nano / 1000000000 BETWEEN $1 / 1000000000 - 3600 AND $1 / 1000000000
AND start_time_unix_nano >= $1 - 3600000000000 AND start_time_unix_nano < $1
ORDER BY start_time_unix_nano / 1000000000 DESC LIMIT 100""",
    "a trace, its day known": f"{TRACE} AND start_time_unix_nano >= $1 - 86400000000000 AND start_time_unix_nano < $1",
    "a trace, any time": TRACE,
    "all of a series counted": "SELECT count(*) FROM otel_spans_fact WHERE series_id = 5 AND start_time_unix_nano < $1",
}
SIZE = """SELECT count(*) AS partitions, sum(pg_total_relation_size(to_regclass(partition)))::bigint AS bytes
FROM otel_partitions WHERE parent = 'otel_spans_fact'"""
_ASKED = 7


class Plan(Struct, frozen=True):
    """How many days, and spans in each hour of them."""

    days: int
    spans: int


async def measure(stage: Stage, plan: Plan) -> Findings:
    """Each interval once, in a database of its own."""
    rows = [await _of_interval(stage.url, name, plan) for name in INTERVALS]
    head = ["interval", "partitions", "to make one (6 tables), ms", "to write, us/span", "bytes/span"]
    head += [f"{question}, ms planning + running" for question in QUESTIONS]
    head += ["a day (week) dropped: ms, WAL MiB", "the same deleted and vacuumed: ms, WAL MiB"]
    return Findings(f"{plan.days} days, {plan.spans:,} spans an hour.\n\n{markdown(head, rows)}")


async def _of_interval(server_url: str, name: str, plan: Plan) -> list[str]:
    async with empty_database(server_url) as url:
        await migrate(url)
        connection = await asyncpg.connect(url)
        try:
            return [name, *await _figures(connection, INTERVALS[name], plan)]
        finally:
            await connection.close()


async def _figures(connection: Any, interval: int, plan: Plan) -> list[str]:
    keys = range(BEGIN, BEGIN + plan.days * 24 * HOUR, interval)
    make = "SELECT otel_create_partitions('spans', ARRAY[$1::bigint], $2)"
    making = [await _timed(connection, make, key, interval) for key in (*keys, keys[-1] + interval)]
    hours = range(BEGIN, BEGIN + plan.days * 24 * HOUR, HOUR)
    writing = [await _timed(connection, FILL, 1000 * n, hour, plan.spans) for n, hour in enumerate(hours)]
    await connection.execute("VACUUM ANALYZE")
    size = await connection.fetchrow(SIZE)
    spans = len(hours) * plan.spans
    figures = [
        f"{size['partitions']:,}",
        f"{statistics.median(making):.0f}",
        f"{sum(writing) * 1e3 / spans:.1f}",
        f"{size['bytes'] / spans:.0f}",
    ]
    figures += [await _answered(connection, question, hours[-1] + HOUR) for question in QUESTIONS.values()]
    return [*figures, *await _taken_away(connection, interval)]


async def _timed(connection: Any, statement: str, *arguments: object) -> float:
    began = time.perf_counter()
    await connection.execute(statement, *arguments)
    return (time.perf_counter() - began) * 1e3


async def _answered(connection: Any, question: str, until: int) -> str:
    """The medians of planning and of running a question, in ms."""
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {question.replace('$1', str(until))}"
    answers = [json.loads(await connection.fetchval(explain))[0] for _ in range(_ASKED)]
    medians = (statistics.median(a[f"{step} Time"] for a in answers) for step in ("Planning", "Execution"))
    return " + ".join(f"{median:.1f}" for median in medians)


async def _taken_away(connection: Any, interval: int) -> list[str]:
    """The first day, or partition where that is longer, dropped; and the next deleted, with the VACUUM after it."""
    stretch = max(interval, 24 * HOUR)
    first = BEGIN // interval * interval + stretch
    ranges = await connection.fetch(
        "SELECT upper_unix_nano FROM otel_partition_ranges() WHERE upper_unix_nano <= $1 ORDER BY 1", first
    )
    figures = []
    for statements in (
        [("SELECT otel_empty_range('spans', $1)", row[0]) for row in ranges]
        + [("SELECT count(otel_drop_partition(partition)) FROM otel_partitions WHERE is_leaving AND $1 > 0", 1)],
        [("DELETE FROM otel_spans_fact WHERE start_time_unix_nano < $1", first + stretch), ("VACUUM otel_spans_fact",)],
    ):
        before = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
        took = sum([await _timed(connection, *statement) for statement in statements])
        wal = await connection.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", before)
        figures.append(f"{took:,.0f}, {float(wal) / MIB:.1f}")
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser: argparse.ArgumentParser = parser_of("bench-intervals", __doc__, has_targets=False)
    parser.add_argument("--days", type=natural, default=30)
    parser.add_argument("--spans", type=natural, default=1000, help="in each hour")
    args = parser.parse_args(argv)
    plan = Plan(args.days, args.spans)
    return publish("bench.intervals", args, findings(lambda stage: measure(stage, plan)))


if __name__ == "__main__":
    raise SystemExit(main())
