"""Log records and spans as they are committed, by whichever replica."""

from typing import Any

from starlette.responses import Response

from queries import answers, logs, params, spans
from queries.arrivals import Position, Search
from queries.asking import Ask, Endpoint
from queries.streams import EVENTS, LINES, Stream


async def tail_logs(ask: Ask[params.LogTail]) -> Response:
    """Log records from now on, until you end it.

    A line `{"skipped": n, "reason": …}` stands for records that were left out.
    """
    return await _tail(ask, Search(logs.SOURCE, ask.given, logs.select, logs.load))


async def tail_spans(ask: Ask[params.SpanTail]) -> Response:
    """Spans from now on, until you end it.

    A line `{"skipped": n, "reason": …}` stands for records that were left out.
    """
    return await _tail(ask, Search(spans.SOURCE, ask.given, spans.select, spans.load))


async def _tail(ask: Ask[Any], search: Search) -> Response:
    framing = EVENTS if ask.form.name == params.SSE else LINES
    if ask.http.method == "HEAD":
        return Response(media_type=framing.media_type)
    # A browser that lost the connection says what it has seen, to whichever replica it comes to.
    since = Position.parse(ask.http.headers.get("last-event-id", ""))
    reader = await ask.tails.open(search, since)
    return Stream(reader, framing)


ENDPOINTS = (
    Endpoint("/logs/tail", params.LogTail, answers.Log, tail_logs),
    Endpoint("/spans/tail", params.SpanTail, answers.Span, tail_spans),
)
