"""Metrics: which there are, and their data points by series."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from exporter import columns
from exporter.otlp import export
from exporter.otlp import records as r
from queries import answers, cursors, pages, spans, stored
from queries.answers_metrics import SeriesList
from queries.database import Connection
from queries.filters import ATTR, PAGE, Match, on_attributes
from queries.pages import Request, Row, Source, Total
from queries.params import ALL_TIME, ExemplarSearch, LabelSearch, MetricSearch, PointSearch, Window
from queries.points import TABLES, Point
from queries.selecting import resource_ids, scope_ids
from sql import query

SOURCE = Source(
    r.METRICS, columns.NUMBER, query("reading_points", "match-points"), ("time_unix_nano", "series_id", "series_id")
)
TYPES = ("none", "gauge", "sum", "histogram", "exponential_histogram", "summary")
"""Names of metric types, by number."""
TEMPORALITIES = ("unspecified", "delta", "cumulative")
"""Names of aggregation temporalities, by number."""
_WITH_TEMPORALITY = (r.SUM, r.HISTOGRAM, r.EXPONENTIAL_HISTOGRAM)


class Selection(Struct):
    """Which points are asked for: of these tables, and of these series (None = any)."""

    tables: Sequence[str]
    series: list[int] | None

    def match(self) -> Match:
        """The statement that finds their keys."""
        text = query("reading_points", "match-points")
        return Match(" UNION ALL ".join(text.replace("__table__", t) for t in self.tables), (self.series,), PAGE)


async def select(connection: Connection, asked: PointSearch | LabelSearch | ExemplarSearch) -> Selection:
    """Which points a search asks for."""
    every = sorted({table.name for table in TABLES.values()})
    filters = asked.filters_on(ATTR)
    resources, scopes = await resource_ids(connection, asked), await scope_ids(connection, asked)
    if not asked.name and not filters and resources is None and scopes is None:
        return Selection(every, None)
    names = stored.escaped(asked.name)
    match = Match(query("reading_dimensions", "match-metric-series"), (names, resources, scopes))
    match = match.around(map(on_attributes, filters))
    rows = await connection.fetch(match.text, *match.arguments)
    tables = {TABLES[row["metric_type_id"]].name for row in rows}
    return Selection(sorted(tables), [row["series_id"] for row in rows])


async def find(connection: Connection, selection: Selection, request: Request) -> list[Row]:
    """The keys of a page of points and, where there are more, one more; newest first."""
    rows: list[Row] = []
    if not selection.tables:
        return rows
    match = selection.match()
    statement = SOURCE.page(match.text, "page-by-time")
    after = request.after or cursors.NO_KEY
    async for low, high in pages.slices(connection, SOURCE, request, rows):
        rows += await connection.fetch(statement, low, high, *after, request.wanted - len(rows), *match.arguments)
    return rows[request.offset :]


async def total(connection: Connection, selection: Selection, request: Request, rows: Sequence[Row]) -> Total:
    """How many points there are in the window; the last question of its transaction."""
    if not selection.tables:
        return Total(0, "eq")
    return await pages.total(connection, selection.match(), request, rows)


def key_of(row: Row) -> cursors.Key:
    """What points are ordered by."""
    return row["time_unix_nano"], row["series_id"], 0


def to_otlp(points: list[Point]) -> list[export.Json]:
    """Metrics with these points, all of one resource and scope."""
    by_metric: dict[int, list[Point]] = {}
    for point in points:
        by_metric.setdefault(point.series.metric.id, []).append(point)
    return [
        export.metric(
            found[0].series.metric.record,
            stored.key_values(found[0].series.metric.metadata),
            [point.to_otlp() for point in found],
        )
        for found in by_metric.values()
    ]


def to_json(asked: PointSearch, points: list[Point], page: dict[str, Any]) -> SeriesList:
    """Points by line, both newest first; what several metrics do not share is null at the top."""
    lines: dict[bytes, list[Point]] = {}
    for point in points:
        lines.setdefault(point.series.identity, []).append(point)
    return listed(asked, [_line(found) for found in lines.values()], page)


def listed(asked: PointSearch, series: list[answers.Line], page: dict[str, Any], step: int | None = None) -> SeriesList:
    """Lines as an answer; `step` is that of an aggregation."""
    about = shared([{name: getattr(line, name) for name in answers.MetricHead.__struct_fields__} for line in series])
    if len(asked.name) == 1:
        about["metric_name"] = asked.name[0]
    return SeriesList(series=series, aggregation=asked.aggregation, step=step, **(about | page))


def shared(heads: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What metrics have in common of what `head` tells; null where they do not."""
    return {
        name: heads[0][name] if heads and all(head[name] == heads[0][name] for head in heads) else None
        for name in answers.MetricHead.__struct_fields__
    }


def head(metric: r.Metric) -> dict[str, Any]:
    """What a metric is: the fields of answers.MetricHead."""
    return {
        "metric_name": metric.name,
        "metric_type": spans.name_of(TYPES, metric.type),
        "unit": metric.unit or None,
        "description": metric.description or None,
        **_summed(metric.type, metric.aggregation_temporality, metric.is_monotonic),
    }


def _summed(metric_type: int, temporality: int, is_monotonic: bool) -> dict[str, Any]:
    return {
        "aggregation_temporality": spans.name_of(TEMPORALITIES, temporality)
        if metric_type in _WITH_TEMPORALITY
        else None,
        "is_monotonic": is_monotonic if metric_type == r.SUM else None,
    }


def _line(points: Sequence[Point]) -> answers.Line:
    series = points[0].series
    scope = series.scope.record
    return answers.Line(
        series.resource.service_name,
        stored.plain(series.resource.attributes),
        answers.ScopeName(scope.name or None, scope.version or None),
        stored.plain(series.attributes),
        [point.to_json() for point in points],
        **head(series.metric.record),
    )


async def catalogue(connection: Connection, asked: MetricSearch) -> list[answers.Metric]:
    """Every metric that is asked for, by name."""
    resources = await resource_ids(connection, asked)
    window = asked.window(None)
    names = stored.escaped(asked.name)
    rows = await connection.fetch(query("reading_dimensions", "list-metrics"), names, resources, seen_since(window))
    return [
        answers.Metric(
            stored.text(row["name"]),
            spans.name_of(TYPES, row["metric_type_id"]),
            stored.text(row["unit"]) or None,
            stored.text(row["description"]) or None,
            **_summed(row["metric_type_id"], row["aggregation_temporality_id"], row["is_monotonic"]),
            series_count=row["series_count"],
            last_seen=row["last_seen"],
        )
        for row in rows
    ]


def seen_since(window: Window) -> datetime | None:
    """When what has points in a window was noted last, at the earliest; None = whenever. It is once an hour at most."""
    return None if window == ALL_TIME else datetime.fromtimestamp(max(0, window.start // 10**9 - 3600), UTC)
