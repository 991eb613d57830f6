"""Traces and spans: lists, one trace whole, and a search of spans."""

from starlette.responses import Response

from exporter.otlp import records as r
from queries import answers, cursors, exemplars, params, spans, traces
from queries.asking import Ask, Endpoint, frame
from queries.pages import Request
from queries.searches import Searched, exported, search


async def list_traces(ask: Ask[params.TraceSearch]) -> Response:
    """Traces, newest first: when, how long, how many spans and errors, from which services."""
    request = Request.of("traces", ask.given, ask.given.window(), cursors.BY_ID)
    async with ask.database.reading() as connection:
        found, keys, total = await traces.find(connection, ask.given, request, ask.counts)
    shown = [trace.to_json() for trace in found]
    return ask.page("traces", request, keys, total, lambda page: answers.TraceList(shown, **page))


async def show_trace(ask: Ask[params.WholeTrace]) -> Response:
    """One trace whole: its spans in the order of their tree, its resources and scopes once each."""
    async with ask.database.reading() as connection:
        trace, found = await traces.load(connection, ask.trace_id())
        pointing = await exemplars.count_metrics(connection, trace.trace_id, traces.lasting(trace)) if ask.counts else 0
    cursor = None
    if trace.span_count > len(found):
        cursor = cursors.encode("trace", params.ALL_TIME, found[-1].key)
    return ask.answer(traces.to_json(trace, found, pointing), cursor, exported(r.SPANS, found), "/spans")


async def list_trace_spans(ask: Ask[params.TraceSpans]) -> Response:
    """The spans of one trace, earliest first."""
    given, trace_id = ask.given, ask.trace_id()
    request = Request.of("trace", given, params.ALL_TIME, cursors.BY_ID, traces.MAX_SPANS)
    wanted = params.SpanSearch(
        name=given.name,
        kind=given.kind,
        status=given.status,
        semantic_type=given.semantic_type,
        filters=given.filters,
    )
    async with ask.database.reading() as connection:
        found, keys, total = await traces.find_spans(connection, trace_id, wanted, request, ask.counts)
    more = len(keys) > request.limit
    cursor = cursors.encode("trace", request.window, keys[request.limit - 1]) if more else None
    shown = [span.to_json() for span in found]
    content = answers.TraceSpans(trace_id.hex(), shown, **frame(total, cursor))
    return ask.answer(content, cursor, exported(r.SPANS, found))


async def search_spans(ask: Ask[params.SpanSearch]) -> Response:
    """Spans of any trace, newest first."""
    return await search(ask, _SPANS)


_SPANS = Searched("spans", spans.SOURCE, spans.select, spans.load, answers.SpanList)

ENDPOINTS = (
    Endpoint("/traces", params.TraceSearch, answers.TraceList, list_traces),
    Endpoint("/traces/{trace_id}", params.WholeTrace, answers.WholeTrace, show_trace),
    Endpoint("/traces/{trace_id}/spans", params.TraceSpans, answers.TraceSpans, list_trace_spans),
    Endpoint("/spans", params.SpanSearch, answers.SpanList, search_spans),
)
