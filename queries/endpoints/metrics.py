"""Metrics: which there are, and their data points."""

from starlette.responses import Response

from exporter.otlp import export
from exporter.otlp import records as r
from queries import answers, cursors, metrics, params, points
from queries.asking import NOT_COUNTED, Ask, Endpoint
from queries.formats import export_request
from queries.pages import Request


async def search_points(ask: Ask[params.PointSearch]) -> Response:
    """Data points by series, newest first."""
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


async def list_metrics(ask: Ask[params.MetricSearch]) -> Response:
    """Metrics by name."""
    async with ask.database.reading() as connection:
        found = await metrics.catalogue(connection, ask.given)
    return ask.part("metrics", found, ask.given.window(None), answers.MetricList)


ENDPOINTS = (
    Endpoint("/metrics", params.MetricSearch, answers.MetricList, list_metrics),
    Endpoint("/metrics/series", params.PointSearch, answers.PointList, search_points),
)
