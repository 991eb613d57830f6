"""Log records: a search, and those of a trace."""

from starlette.responses import Response

from exporter.otlp import records as r
from queries import answers, answers_logs, cursors, logs, pages, params, trace_logs
from queries.asking import NOT_COUNTED, Ask, Endpoint, frame
from queries.pages import Request, Total
from queries.searches import Searched, exported, search

_NAME = "logs of a trace"
"""Whose cursors they are; all three endpoints have the same order."""


async def search_logs(ask: Ask[params.LogSearch]) -> Response:
    """Log records, newest first."""
    return await search(ask, _LOGS)


_LOGS = Searched("logs", logs.SOURCE, logs.select, logs.load, answers.LogList)


async def list_trace_logs(ask: Ask[params.TraceLogs]) -> Response:
    """The log records of a trace, earliest first. Ask for /spans below it instead, which tells them by span."""
    request, keys, found, total = await _of_trace(ask, None)
    shown = [log.to_json() for log in found]
    return ask.page(_NAME, request, keys, total, lambda page: answers.LogList(shown, **page), exported(r.LOGS, found))


async def list_span_logs(ask: Ask[params.TraceLogs]) -> Response:
    """The log records of one span, earliest first."""
    span_id = ask.id_of("span_id", 8)
    request, keys, found, total = await _of_trace(ask, span_id)
    shown = [log.to_json() for log in found]
    cursor = _cursor(request, keys)
    content = answers_logs.SpanLogs(ask.trace_id().hex(), span_id.hex(), shown, **frame(total, cursor))
    return ask.answer(content, cursor, exported(r.LOGS, found))


async def _of_trace(
    ask: Ask[params.TraceLogs], span_id: bytes | None
) -> tuple[Request, list[cursors.Key], list[logs.Log], Total]:
    request = _request(ask)
    wanted = trace_logs.match(ask.trace_id(), span_id)
    total = NOT_COUNTED
    async with ask.database.reading() as connection:
        rows = await trace_logs.find(connection, wanted, request)
        found = await logs.load(connection, rows[: request.limit])
        if ask.counts:
            total = await pages.total(connection, wanted, request, rows)
    return request, [logs.SOURCE.key_of(row) for row in rows], found, total


def _request(ask: Ask[params.TraceLogs]) -> Request:
    return Request.of(_NAME, ask.given, params.ALL_TIME, cursors.BY_ID, params.MAX_LIMIT)


def _cursor(request: Request, keys: list[cursors.Key]) -> str | None:
    more = len(keys) > request.limit
    return cursors.encode(_NAME, request.window, keys[request.limit - 1]) if more else None


async def list_logs_by_span(ask: Ask[params.TraceLogs]) -> Response:
    """The log records of a trace by span, both in the order in which they happened; those of no span are the last."""
    request, trace_id = _request(ask), ask.trace_id()
    total, spans = NOT_COUNTED, 0
    async with ask.database.reading() as connection:
        rows = await trace_logs.find(connection, trace_logs.match(trace_id), request)
        found = await logs.load(connection, rows[: request.limit])
        names = await trace_logs.span_names(connection, trace_id, (log.record.span_id for log in found))
        if ask.counts:
            total, spans = await trace_logs.count(connection, trace_id, request, found, len(rows) > request.limit)
    cursor = _cursor(request, [logs.SOURCE.key_of(row) for row in rows])
    groups = trace_logs.by_span(found, names)
    content = answers_logs.TraceLogs(
        trace_id.hex(), groups, total.count, spans, total.relation, cursor is not None, cursor
    )
    return ask.answer(content, cursor, exported(r.LOGS, found))


ENDPOINTS = (
    Endpoint("/logs", params.LogSearch, answers.LogList, search_logs),
    Endpoint("/logs/trace/{trace_id}", params.TraceLogs, answers.LogList, list_trace_logs, deprecated=True),
    Endpoint("/logs/trace/{trace_id}/spans", params.TraceLogs, answers_logs.TraceLogs, list_logs_by_span),
    Endpoint("/logs/trace/{trace_id}/span/{span_id}", params.TraceLogs, answers_logs.SpanLogs, list_span_logs),
)
