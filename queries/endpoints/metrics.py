"""Metrics: which there are, their data points and aggregations of these, and their labels."""

from starlette.responses import Response

from exporter.otlp import export
from exporter.otlp import records as r
from queries import aggregation, answers, cursors, labels, lines, metrics, params, points
from queries.answers_metrics import LabelList, SeriesList
from queries.asking import NOT_COUNTED, Ask, Endpoint
from queries.errors import QueryError
from queries.formats import export_request
from queries.pages import Request, Total


async def search_points(ask: Ask[params.PointSearch]) -> Response:
    """Data points by series, newest first, or aggregations of them."""
    if ask.given.aggregation is not None:
        return await _aggregate(ask, ask.given.aggregation)
    for name in ("group_by", "step"):
        if getattr(ask.given, name):
            raise QueryError(f"{name}: has a meaning only with an aggregation", name, "add aggregation=avg")
    request = Request.of("points", ask.given, ask.given.window(), cursors.BY_SERIES)
    async with ask.database.reading() as connection:
        selection = await metrics.select(connection, ask.given)
        rows = await metrics.find(connection, selection, request)
        found = await points.load(connection, rows[: request.limit])
        total = NOT_COUNTED
        if ask.counts:
            total = await metrics.total(connection, selection, request, rows)

    def to_otlp() -> tuple[str, export.Json]:
        return r.METRICS, export_request(r.METRICS, found, metrics.to_otlp)

    keys = [metrics.key_of(row) for row in rows]
    return ask.page("points", request, keys, total, lambda page: metrics.to_json(ask.given, found, page), to_otlp)


async def _aggregate(ask: Ask[params.PointSearch], kind: str) -> Response:
    """Lines of an aggregation, by metric and by what they are grouped by; `limit` and `cursor` are of lines."""
    plan = lines.plan(ask.given)
    request = plan.request
    async with ask.database.reading() as connection:
        selection = await metrics.select(connection, ask.given)
        found = await lines.find(connection, selection, ask.given.group_by, request.window)
        aggregation.check(kind, found)
        begin = request.offset if request.after is None else request.after[0]
        shown = found[begin : begin + request.limit]
        values = await aggregation.values(connection, shown, kind, plan)
    series = [line.to_json(points) for line, points in zip(shown, values, strict=True)]
    keys = [(begin + place, plan.step, 0) for place in range(1, len(found) - begin + 1)]
    total = Total(len(found), "eq")
    return ask.page("lines", request, keys, total, lambda page: metrics.listed(ask.given, series, page, plan.step))


async def list_labels(ask: Ask[params.LabelSearch]) -> Response:
    """The keys of a metric's attributes or, with `attribute`, the values of one."""
    asked = labels.asked_for(ask.given, ask.http.path_params.get("name"))
    request = Request.of("labels", asked, asked.window(None), cursors.BY_PLACE)
    begin = request.offset if request.after is None else request.after[0]
    async with ask.database.reading() as connection:
        found, total = await labels.find(connection, asked, request, begin)
    keys = [(begin + place, 0, 0) for place in range(1, len(found) + 1)]
    return ask.page("labels", request, keys, total, lambda page: labels.to_json(asked, found[: request.limit], page))


async def list_metrics(ask: Ask[params.MetricSearch]) -> Response:
    """Metrics by name."""
    async with ask.database.reading() as connection:
        found = await metrics.catalogue(connection, ask.given)
    return ask.part("metrics", found, ask.given.window(None), answers.MetricList)


ENDPOINTS = (
    Endpoint("/metrics", params.MetricSearch, answers.MetricList, list_metrics),
    Endpoint("/metrics/series", params.PointSearch, SeriesList, search_points),
    Endpoint("/metrics/labels", params.LabelSearch, LabelList, list_labels),
    Endpoint("/metrics/{name:path}/labels", params.LabelSearch, LabelList, list_labels),
)
