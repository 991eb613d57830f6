"""START HERE on the read side: every endpoint, what it answers, and the one table from error to HTTP status."""

import difflib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from exporter.errors import Unavailable
from exporter.otlp import records as r
from queries import cursors, logs, metrics, pages, params, points, services, spans, traces
from queries.database import ReadDatabase
from queries.errors import NotFound, QueryError, QueryTimeout, shape
from queries.formats import export_request, frame, link, next_cursor, respond, window
from queries.pages import Request
from queries.values import hex_id

Endpoint = Callable[[ReadDatabase, HttpRequest], Awaitable[Response]]

_RETRY = {"retry-after": "1"}


def routes(database: ReadDatabase) -> list[Route]:
    """The routes, to be mounted under /api and /api/v2."""
    return [
        *(Route(path, _answering(endpoint, database)) for path, endpoint in ENDPOINTS.items()),
        Route("/{path:path}", _answering(_unknown, database)),
    ]


def _answering(endpoint: Endpoint, database: ReadDatabase) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def answer(http: HttpRequest) -> Response:
        try:
            return await endpoint(database, http)
        except QueryError as error:
            return respond(error.body(), status=error.status)
        except QueryTimeout as error:
            hint = "narrow it: a shorter window (since=15m), a service, a smaller limit"
            return respond(shape("timeout", str(error), hint=hint), _RETRY, 503)
        except Unavailable as error:
            return respond(shape("unavailable", str(error), hint="try again"), _RETRY, 503)

    return answer


async def _list_traces(database: ReadDatabase, http: HttpRequest) -> Response:
    asked = params.read(params.TraceSearch, http.query_params.multi_items())
    request = Request.of("traces", asked, asked.window(), cursors.BY_ID)
    async with database.reading() as connection:
        found, keys, total = await traces.find(connection, asked, request)
    cursor = next_cursor("traces", request, keys)
    content = {"traces": [trace.to_json() for trace in found]} | window(request)
    return respond(content | frame(total, cursor is not None, cursor), link(http, cursor))


async def _show_trace(database: ReadDatabase, http: HttpRequest) -> Response:
    asked = params.read(params.WholeTrace, http.query_params.multi_items())
    async with database.reading() as connection:
        trace, found = await traces.load(connection, _trace_id(http))
    if asked.format == params.OTLP:
        return respond(_spans_to_otlp(found))
    return respond(traces.to_json(trace, found))


async def _list_trace_spans(database: ReadDatabase, http: HttpRequest) -> Response:
    asked = params.read(params.TraceSpans, http.query_params.multi_items())
    trace_id = _trace_id(http)
    request = Request.of("trace", asked, params.ALL_TIME, cursors.BY_ID, traces.MAX_SPANS)
    async with database.reading() as connection:
        _, found = await traces.load(connection, trace_id)
    found = [span for span in found if _is_asked_for(span, asked)]
    total = pages.Total(len(found), "eq")
    found = [span for span in found if request.after is None or _key(span) > request.after][request.offset :]
    cursor = next_cursor("trace", request, [_key(span) for span in found])
    found = found[: request.limit]
    if asked.format == params.OTLP:
        return respond(_spans_to_otlp(found), link(http, cursor))
    content = {"trace_id": trace_id.hex(), "spans": [span.to_json() for span in found]}
    return respond(content | frame(total, cursor is not None, cursor), link(http, cursor))


def _is_asked_for(span: spans.Span, asked: params.TraceSpans) -> bool:
    return (
        (not asked.kind or span.record.kind in asked.kind)
        and (not asked.name or span.record.name in asked.name)
        and (asked.status is None or span.status.code == asked.status)
        and (not asked.semantic_type or span.semantic_type in asked.semantic_type)
    )


def _key(span: spans.Span) -> cursors.Key:
    span_id = int.from_bytes(span.record.span_id, "big", signed=True)
    return span.filed_unix_nano, span.record.trace_id, span_id


async def _search_spans(database: ReadDatabase, http: HttpRequest) -> Response:
    asked = params.read(params.SpanSearch, http.query_params.multi_items())
    default = params.DEFAULT_WINDOW_NANO if asked.trace_id is None else None
    request = Request.of("spans", asked, asked.window(default), cursors.BY_ID)
    async with database.reading() as connection:
        selection = await spans.select(connection, asked)
        rows = await pages.find(connection, spans.SOURCE, selection, request)
        found = await spans.load(connection, rows[: request.limit])
        cursor = next_cursor("spans", request, [spans.SOURCE.key_of(row) for row in rows])
        if asked.format == params.OTLP:
            return respond(_spans_to_otlp(found), link(http, cursor))
        total = await pages.total_of(connection, spans.SOURCE, selection, request, rows)
    content = {"spans": [span.to_json() for span in found]} | window(request)
    return respond(content | frame(total, cursor is not None, cursor), link(http, cursor))


def _spans_to_otlp(found: list[spans.Span]) -> dict[str, Any]:
    return export_request(r.SPANS, found, lambda part: [span.to_otlp() for span in part])


async def _search_logs(database: ReadDatabase, http: HttpRequest) -> Response:
    asked = params.read(params.LogSearch, http.query_params.multi_items())
    default = params.DEFAULT_WINDOW_NANO if asked.trace_id is None else None
    request = Request.of("logs", asked, asked.window(default), cursors.BY_ID)
    async with database.reading() as connection:
        selection = await logs.select(connection, asked)
        rows = await pages.find(connection, logs.SOURCE, selection, request)
        found = await logs.load(connection, rows[: request.limit])
        cursor = next_cursor("logs", request, [logs.SOURCE.key_of(row) for row in rows])
        if asked.format == params.OTLP:
            content = export_request(r.LOGS, found, lambda part: [log.to_otlp() for log in part])
            return respond(content, link(http, cursor))
        total = await pages.total_of(connection, logs.SOURCE, selection, request, rows)
    content = {"logs": [log.to_json() for log in found]} | window(request)
    return respond(content | frame(total, cursor is not None, cursor), link(http, cursor))


async def _search_points(database: ReadDatabase, http: HttpRequest) -> Response:
    asked = params.read(params.PointSearch, http.query_params.multi_items())
    request = Request.of("points", asked, asked.window(), cursors.BY_SERIES)
    async with database.reading() as connection:
        selection = await metrics.select(connection, asked)
        rows = await metrics.find(connection, selection, request)
        found = await points.load(connection, rows[: request.limit])
        cursor = next_cursor("points", request, [metrics.key_of(row) for row in rows])
        if asked.format == params.OTLP:
            return respond(export_request(r.METRICS, found, metrics.to_otlp), link(http, cursor))
        total = await metrics.total(connection, selection, request, rows)
    content = metrics.to_json(asked, found) | window(request)
    return respond(content | frame(total, cursor is not None, cursor), link(http, cursor))


async def _list_metrics(database: ReadDatabase, http: HttpRequest) -> Response:
    asked = params.read(params.MetricSearch, http.query_params.multi_items())
    async with database.reading() as connection:
        found = await metrics.catalogue(connection, asked)
    return _part(http, "metrics", found, asked, asked.window(None))


async def _list_services(database: ReadDatabase, http: HttpRequest) -> Response:
    asked = params.read(params.ServiceSearch, http.query_params.multi_items())
    used = asked.window()
    return _part(http, "services", await services.catalogue(database, asked, used), asked, used)


def _part(
    http: HttpRequest, name: str, found: list[dict[str, Any]], asked: params.Paged, used: params.Window
) -> Response:
    """A page of a list that is short enough to be made whole; its cursor is the place in it."""
    request = Request.of(name, asked, used, cursors.BY_PLACE)
    begin = request.offset if request.after is None else request.after[0]
    rest = found[begin:]
    key = begin + request.limit, 0, 0
    cursor = cursors.encode(name, request.window, key) if len(rest) > request.limit else None
    content = {name: rest[: request.limit]} | window(request)
    total = pages.Total(len(found), "eq")
    return respond(content | frame(total, cursor is not None, cursor), link(http, cursor))


def _trace_id(http: HttpRequest) -> bytes:
    try:
        return hex_id(16)(http.path_params["trace_id"])
    except ValueError as error:
        problem, _, hint = str(error).partition("; ")
        raise QueryError(f"trace_id: {problem}", "trace_id", hint) from None


async def _unknown(_database: ReadDatabase, http: HttpRequest) -> Response:
    path = "/" + http.path_params["path"].rstrip("/")
    near = difflib.get_close_matches(path, ENDPOINTS, 1, 0.5) or list(ENDPOINTS)
    raise NotFound(f"there is no {http.url.path}", hint=f"try {', '.join('/api' + found for found in near)}")


ENDPOINTS: dict[str, Endpoint] = {
    "/traces": _list_traces,
    "/traces/{trace_id}": _show_trace,
    "/traces/{trace_id}/spans": _list_trace_spans,
    "/spans": _search_spans,
    "/logs": _search_logs,
    "/metrics": _list_metrics,
    "/metrics/series": _search_points,
    "/services": _list_services,
}
"""Path below /api -> what answers it."""
