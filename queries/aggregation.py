"""Aggregations of data points: one value for each line and step.

A point with the flag NO_RECORDED_VALUE is a gap: it has no value, and the next one does not count from it.

Numbers: avg, sum, min, max and count are of all points in the step. The points of histograms and summaries stand for
many values each: count and sum are of what came in during the step, avg is that sum through that count, min and max are
the lowest and highest that the points themselves say.

increase is what came in during the step, and rate that a second; of histograms and summaries it is their count. Delta
points count in the step of their time. Cumulative points count from the one before, which may be LOOKBACK older than
the step, so that steps add up to the whole; nothing is extrapolated. Where the value dropped, or the start time is
after the point before, there was a reset, and the whole value counts, as in Prometheus. Without a point before, the
whole value counts if it started in that time, too, else nothing. A start time that is the point's own is unknown, as
OpenTelemetry has it. A sum that may fall is never reset: its increase may be negative.

Percentiles are of what came in during the step: queries/histograms.py.
Sources: https://prometheus.io/docs/prometheus/latest/querying/functions/#increase and
https://opentelemetry.io/docs/specs/otel/metrics/data-model/#resets-and-gaps
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from exporter import columns
from exporter.columns import Table
from exporter.otlp import records as r
from queries import stored
from queries.answers_metrics import Value
from queries.database import Connection
from queries.errors import QueryError
from queries.histograms import Explicit, Exponential, Side
from queries.lines import Line, Plan, Series
from queries.metrics import TYPES
from queries.pages import Row
from queries.points import TABLES
from sql import query

LOOKBACK_NANO = 300_000_000_000
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_GROWTH = ("rate", "increase")
_OWN_COLUMN = {"avg": "sum", "sum": "sum", "min": "min", "max": "max"}
"""What an aggregation of histograms and summaries adds up, where it is not their count."""
_BUCKETS = {
    columns.HISTOGRAM: "bucket_counts bucket_counts_wide",
    columns.EXP_HISTOGRAM: """scale zero_threshold zero_count positive_offset positive_bucket_counts
    positive_bucket_counts_wide negative_offset negative_bucket_counts negative_bucket_counts_wide""",
}
_DELTA = 1
_PREFETCH = 500


class _Batch(NamedTuple):
    """What one statement can answer: series of one table, whose points count for themselves (`alone`) or from the one
    before, which may be a reset."""

    table: Table
    alone: bool
    may_reset: bool


Placed = list[tuple[int, Series]]
"""Series with the place of their line."""
Key = tuple[int, int]
"""The place of a line, and a step: its start through its length."""


def check(aggregation: str, lines: Sequence[Line]) -> None:
    """Raises QueryError for the first line whose type has no such aggregation."""
    for metric in (line.metric for line in lines):
        problem = _problem(aggregation, metric.type)
        if problem is not None:
            said, hint = problem
            raise QueryError(f"{metric.name} is a {TYPES[metric.type].replace('_', ' ')}: {said}", "aggregation", hint)


def _problem(aggregation: str, metric_type: int) -> tuple[str, str] | None:
    """What is wrong with an aggregation of such a metric, and what to ask for instead."""
    if metric_type == r.GAUGE and aggregation in _GROWTH:
        return "it has no rate or increase", "aggregation=avg, or max"
    if metric_type == r.SUMMARY and (aggregation in PERCENTILES or aggregation in ("min", "max")):
        return "it has quantiles of its own, which cannot be put together", "leave out aggregation, or aggregation=avg"
    if metric_type in (r.GAUGE, r.SUM) and aggregation in PERCENTILES:
        return "percentiles are of histograms", "aggregation=max" if metric_type == r.GAUGE else "aggregation=rate"
    return None


async def values(connection: Connection, lines: Sequence[Line], aggregation: str, plan: Plan) -> list[list[Value]]:
    """The points of each of these lines, newest first; a step in which there is nothing is left out.

    A value is a double: integers past 2^53 lose their last digits.
    """
    batches: dict[_Batch, Placed] = {}
    for place, line in enumerate(lines):
        for series in line.series:
            batches.setdefault(_batch(aggregation, series.metric), []).append((place, series))
    find = _quantiles if aggregation in PERCENTILES else _numbers
    found = await find(connection, batches, aggregation, plan)
    points: list[list[Value]] = [[] for _ in lines]
    for (place, step), number in sorted(found.items(), reverse=True):
        if number is not None:
            points[place].append(Value(step * plan.step, stored.number(number)))
    return points


async def _numbers(
    connection: Connection, batches: dict[_Batch, Placed], aggregation: str, plan: Plan
) -> dict[Key, float | None]:
    found: dict[Key, tuple[float, float]] = {}
    for batch, placed in batches.items():
        for row in await _amounts(connection, batch, placed, aggregation, plan):
            if row["value"] is not None:
                value, weight = found.get((row["line"], row["step"]), (0, 0))
                found[row["line"], row["step"]] = value + row["value"], weight + (row["weight"] or 0)
    return {key: _number(aggregation, plan.step, *pair) for key, pair in found.items()}


async def _quantiles(
    connection: Connection, batches: dict[_Batch, Placed], aggregation: str, plan: Plan
) -> dict[Key, float | None]:
    found: dict[Key, Any] = {}
    for batch, placed in batches.items():
        await _add_buckets(connection, batch, placed, plan, found)
    return {key: distribution.quantile(PERCENTILES[aggregation]) for key, distribution in found.items()}


def _batch(aggregation: str, metric: r.Metric) -> _Batch:
    table = TABLES[metric.type]
    of_points = aggregation in ("min", "max") or (table is columns.NUMBER and aggregation in ("avg", "sum", "count"))
    if of_points or metric.aggregation_temporality == _DELTA:
        return _Batch(table, True, False)
    return _Batch(table, False, metric.type != r.SUM or metric.is_monotonic)


def _number(aggregation: str, step: int, value: float, weight: float) -> float | None:
    if aggregation == "avg":
        return value / weight if weight else None
    if aggregation == "rate":
        return value / (step / 1_000_000_000)
    return int(value) if aggregation == "count" else value


async def _amounts(connection: Connection, batch: _Batch, placed: Placed, aggregation: str, plan: Plan) -> list[Row]:
    points = _points(batch.table, _OWN_COLUMN.get(aggregation, "weight"))
    if batch.alone:
        operation = aggregation if aggregation in ("min", "max", "count") else "sum"
        statement = query("reading_lines", "combine-points").replace("__points__", points)
        return await connection.fetch(statement, *plan.request.window, *_columns(placed), plan.step, operation)
    statement = query("reading_lines", "sum-increases").replace("__links__", _links(batch.table, points))
    streams = [(place, series.identity, series.metric.aggregation_temporality) for place, series in placed]
    return await connection.fetch(statement, *_linked(batch, placed, streams, plan), aggregation)


async def _add_buckets(
    connection: Connection, batch: _Batch, placed: Placed, plan: Plan, found: dict[Key, Any]
) -> None:
    """Add the buckets of a batch to the distribution of each line and step."""
    names = _BUCKETS[batch.table].split()
    if batch.alone:
        statement = query("reading_lines", "find-delta-buckets")
        arguments: list[Any] = [*plan.request.window, *_columns(placed), plan.step]
    else:
        links = _links(batch.table, _points(batch.table, "weight"))
        statement = query("reading_lines", "find-buckets").replace("__links__", links)
        # Other bounds are other buckets: they have nothing to count from.
        streams = [(place, s.identity, s.metric.aggregation_temporality, s.bounds) for place, s in placed]
        arguments = _linked(batch, placed, streams, plan)
    statement = statement.replace("__table__", batch.table.name)
    statement = statement.replace("__columns__", ", ".join(f"p.{name}" for name in names))
    bounds = {series.id: series.bounds for _, series in placed}
    async for row in connection.cursor(statement, *arguments, prefetch=_PREFETCH):
        for step, sign in ((row["gained_in"], 1), (row["lost_in"], -1)):
            if step is not None:
                key = row["line"], step
                if batch.table is columns.HISTOGRAM:
                    _count_explicit(found.get(key) or found.setdefault(key, Explicit()), row, bounds, sign)
                else:
                    _count_exponential(found.get(key) or found.setdefault(key, Exponential()), row, sign)


def _count_explicit(known: Explicit, row: Row, bounds: dict[int, tuple[float, ...]], sign: int) -> None:
    counts = stored.unsigned_all(row["bucket_counts"], row["bucket_counts_wide"])
    known.count(sign, bounds[row["series_id"]], counts)


def _count_exponential(known: Exponential, row: Row, sign: int) -> None:
    positive, negative = (
        Side(
            row[f"{side}_offset"] or 0,
            stored.unsigned_all(row[f"{side}_bucket_counts"], row[f"{side}_bucket_counts_wide"]),
        )
        for side in ("positive", "negative")
    )
    zero = stored.unsigned(row["zero_count"])
    known.count(sign, row["scale"], row["zero_threshold"], zero, positive, negative)


def _points(table: Table, amount: str) -> str:
    name = "read-numbers" if table is columns.NUMBER else "read-distributions"
    text = query("reading_lines", name).replace("__table__", table.name).replace("__amount__", amount)
    return f"({text})"


def _links(table: Table, points: str) -> str:
    level = "amount" if table is columns.NUMBER else "weight"
    text = query("reading_lines", "link-points").replace("__points__", points).replace("__level__", level)
    return f"({text})"


def _columns(placed: Placed) -> tuple[list[int], list[int]]:
    return [series.id for _, series in placed], [place for place, _ in placed]


def _linked(batch: _Batch, placed: Placed, streams: Sequence[tuple[Any, ...]], plan: Plan) -> list[Any]:
    """The parameters of a statement about linked points; `streams` tell which series go on from each other."""
    numbers = {stream: number for number, stream in enumerate(dict.fromkeys(streams))}
    start, end = plan.request.window
    return [
        max(0, plan.begin - LOOKBACK_NANO),
        end,
        [series.id for _, series in placed],
        [numbers[stream] for stream in streams],
        plan.step,
        LOOKBACK_NANO,
        batch.may_reset,
        start,
        [stream[0] for stream in numbers],
    ]
