"""Exemplars: those of metrics, each with its trace, and those of a trace, each with its metric."""

from starlette.responses import Response

from queries import answers_metrics, cursors, exemplars, params
from queries.asking import NOT_COUNTED, Ask, Endpoint, frame
from queries.pages import Request, Row, Total


async def search_exemplars(ask: Ask[params.ExemplarSearch]) -> Response:
    """Exemplars of metrics, newest first by the time of their data points."""
    request = Request.of("exemplars", ask.given, ask.given.window_of_trace(), cursors.BY_SERIES)
    rows, found, total = await _found(ask, ask.given, request)
    keys = [exemplars.SOURCE.key_of(row) for row in rows]
    return ask.page(
        "exemplars", request, keys, total, lambda page: answers_metrics.ExemplarList(exemplars=found, **page)
    )


async def list_trace_exemplars(ask: Ask[params.TraceExemplars]) -> Response:
    """The exemplars that point at a trace, each with its metric, newest first by the time of their data points."""
    trace_id = ask.trace_id()
    request = Request.of("exemplars of a trace", ask.given, params.ALL_TIME, cursors.BY_SERIES)
    rows, found, total = await _found(ask, params.ExemplarSearch(trace_id=trace_id), request)
    more = len(rows) > request.limit
    last = exemplars.SOURCE.key_of(rows[request.limit - 1]) if more else None
    cursor = None if last is None else cursors.encode("exemplars of a trace", request.window, last)
    return ask.answer(answers_metrics.TraceExemplars(trace_id.hex(), found, **frame(total, cursor)), cursor)


async def _found(
    ask: Ask[params.ExemplarSearch] | Ask[params.TraceExemplars], asked: params.ExemplarSearch, request: Request
) -> tuple[list[Row], list[answers_metrics.MetricExemplar], Total]:
    """The rows of a page and one more where there is one, the exemplars of the page, and how many there are in all."""
    total = NOT_COUNTED
    async with ask.database.reading() as connection:
        match = await exemplars.select(connection, asked)
        rows = await exemplars.find(connection, match, request, narrow=asked.trace_id is not None)
        found = await exemplars.load(connection, rows[: request.limit])
        if ask.counts:
            total = await exemplars.total(connection, match, request, rows)
    return rows, found, total


ENDPOINTS = (
    Endpoint("/metrics/exemplars", params.ExemplarSearch, answers_metrics.ExemplarList, search_exemplars),
    Endpoint(
        "/traces/{trace_id}/exemplars", params.TraceExemplars, answers_metrics.TraceExemplars, list_trace_exemplars
    ),
)
