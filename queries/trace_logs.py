"""The log records of one trace, earliest first, as a story is read: all of them, by span, or of one span."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from queries import answers, cursors, logs, params, stored
from queries.answers_logs import SpanWithLogs
from queries.database import Connection, fetch_within
from queries.filters import PAGE, Match
from queries.pages import COUNT_LIMIT, COUNT_MS, Request, Row, Total
from sql import query

SOURCE = replace(logs.SOURCE, match=query("reading_logs", "match-trace-logs"))


def match(trace_id: bytes, span_id: bytes | None = None) -> Match:
    """The statement that finds the log records of a trace, or of one span of it."""
    number = None if span_id is None else int.from_bytes(span_id, "big", signed=True)
    return Match(SOURCE.statement(), (trace_id, number), PAGE)


async def find(connection: Connection, wanted: Match, request: Request) -> list[Row]:
    """The rows of a page and, where there are more, one more.

    A trace's logs may lie outside of its spans' time, so every partition is looked at; the key finds them there.
    """
    page = SOURCE.page(wanted.text, "page-earliest")
    after = request.after or cursors.NO_KEY
    rows = await connection.fetch(page, *request.window, *after, request.wanted, *wanted.arguments)
    return rows[request.offset :]


async def count(
    connection: Connection, trace_id: bytes, request: Request, found: Sequence[logs.Log], more: bool
) -> tuple[Total, int]:
    """How many log records a trace has, and how many spans these belong to; of both there may be more where the total
    is "gte". `found` is a page of them. Has to be the last thing that is asked in its transaction."""
    spans = len({log.record.span_id for log in found} - {b""})
    if request.after is None and not request.offset and not more:
        return Total(len(found), "eq"), spans
    statement = query("reading_logs", "count-trace-logs")
    if request.exact:
        (counted,) = await connection.fetch(statement, trace_id, None)
        return Total(counted["logs"], "eq"), counted["spans"]
    rows = await fetch_within(connection, COUNT_MS, statement, trace_id, COUNT_LIMIT + 1)
    if rows is None:
        return Total(request.offset + len(found) + more, "gte"), spans
    (counted,) = rows
    if counted["logs"] > COUNT_LIMIT:
        return Total(COUNT_LIMIT, "gte"), counted["spans"]
    return Total(counted["logs"], "eq"), counted["spans"]


async def span_names(connection: Connection, trace_id: bytes, span_ids: Iterable[bytes]) -> dict[bytes, str]:
    """The names of a trace's spans by id, of those that are stored."""
    wanted = sorted({int.from_bytes(span_id, "big", signed=True) for span_id in span_ids if span_id})
    hours = await connection.fetch(query("reading_traces", "find-traces"), [trace_id], *params.ALL_TIME)
    if not wanted or not hours:
        return {}
    bounds = min(hour["start_time_unix_nano"] for hour in hours), max(hour["end_time_unix_nano"] for hour in hours)
    rows = await connection.fetch(query("reading_spans", "find-span-names"), trace_id, wanted, *bounds)
    return {stored.span_id(row["span_id"]): stored.text(row["name"]) for row in rows}


def by_span(found: Iterable[logs.Log], names: dict[bytes, str]) -> list[SpanWithLogs]:
    """Log records by span, in the order of each span's first record; those of no span are the last group."""
    groups: dict[bytes, list[answers.Log]] = {}
    for log in found:
        groups.setdefault(log.record.span_id, []).append(log.to_json())
    return [
        SpanWithLogs(stored.hex_or_null(span_id), names.get(span_id), len(records), records)
        for span_id, records in sorted(groups.items(), key=lambda group: not group[0])
    ]
