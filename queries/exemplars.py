"""Exemplars: from a metric's to their traces, and from a trace to the metrics that point at it.

Source: sql/migrations/0006_metrics.sql; docs/decisions/0017-exemplars.md.
"""

from collections.abc import Sequence

from exporter import columns
from exporter.otlp import records as r
from queries import cursors, dimensions, metrics, pages, stored
from queries.answers_metrics import MetricExemplar
from queries.database import Connection
from queries.filters import PAGE, Match
from queries.pages import Request, Row, Source, Total
from queries.params import MAX_TIME, ExemplarSearch, Window
from queries.points import stored_exemplar
from sql import query

SOURCE = Source(
    r.METRICS,
    columns.EXEMPLARS,
    query("reading_points", "match-exemplars"),
    ("time_unix_nano", "series_id", "ordinal"),
)
_DAY_NANO = 86_400_000_000_000


async def select(connection: Connection, asked: ExemplarSearch) -> Match | None:
    """The statement that finds the exemplars of a search; None where no series is any of it."""
    selection = await metrics.select(connection, asked)
    if not selection.tables:
        return None
    span_id = None if asked.span_id is None else int.from_bytes(asked.span_id, "big", signed=True)
    return Match(SOURCE.statement(), (selection.series, asked.trace_id, span_id), PAGE)


async def find(connection: Connection, match: Match | None, request: Request, *, narrow: bool) -> list[Row]:
    """The rows of a page and, where there are more, one more; newest first by their points' time.

    `narrow`: the search names a trace, whose exemplars an index finds in each partition of the window.
    """
    rows: list[Row] = []
    if match is None:
        return rows
    statement = SOURCE.page(match.text)
    after = request.after or cursors.NO_KEY
    if narrow:
        bounds = request.window.start, request.high
        rows = await connection.fetch(statement, *bounds, *after, request.wanted, *match.arguments)
        return rows[request.offset :]
    async for low, high in pages.slices(connection, SOURCE, request, rows):
        rows += await connection.fetch(statement, low, high, *after, request.wanted - len(rows), *match.arguments)
    return rows[request.offset :]


async def total(connection: Connection, match: Match | None, request: Request, rows: Sequence[Row]) -> Total:
    """How many exemplars there are in the window; the last question of its transaction."""
    return Total(0, "eq") if match is None else await pages.total(connection, match, request, rows)


async def load(connection: Connection, rows: Sequence[Row]) -> list[MetricExemplar]:
    """Exemplars with their metrics, in the order of their rows."""
    series = await dimensions.metric_series(connection, (row["series_id"] for row in rows))
    return [_shown(row, series[row["series_id"]]) for row in rows]


def _shown(row: Row, series: dimensions.MetricSeries) -> MetricExemplar:
    exemplar = stored_exemplar(row)
    about = metrics.head(series.metric.record)
    return MetricExemplar(
        about["metric_name"],
        about["metric_type"],
        about["unit"],
        series.resource.service_name,
        series.resource.service_namespace,
        stored.plain(series.attributes),
        row["time_unix_nano"],
        exemplar.time_unix_nano,
        stored.number(exemplar.value),
        stored.plain({a.key: a.value for a in exemplar.filtered_attributes}),
        stored.hex_or_null(exemplar.trace_id),
        stored.hex_or_null(exemplar.span_id),
    )


async def count_metrics(connection: Connection, trace_id: bytes, lasting: Window) -> int:
    """How many metrics have an exemplar of a trace that lasted so long, at points up to a day off."""
    bounds = lasting.start - _DAY_NANO, min(MAX_TIME, lasting.end + _DAY_NANO)
    found: int = await connection.fetchval(query("reading_points", "count-trace-metrics"), trace_id, *bounds)
    return found
