"""Traces: the list, from the rollup alone, and one trace whole."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from queries import answers, cursors, dimensions, pages, selecting, spans, stored
from queries.database import Connection
from queries.errors import NotFound
from queries.filters import PAGE, RESOURCE, Kept, Match, after, on_spans, union
from queries.pages import Request, Row, Selection, Total
from queries.params import Serviced, SpanSearch, TraceSearch, Window
from queries.values import KINDS
from sql import query

MAX_SPANS = 10_000
"""A trace is answered whole up to so many spans, its earliest."""
_FEW_SPANS = 500
"""So many spans are looked up to tell in which traces they are."""
_HOUR_NANO = 3_600_000_000_000
_DAY_NANO = 24 * _HOUR_NANO
_INT64_MAX = (1 << 63) - 1


class Trace(Struct):
    """What the rollup says of one trace; `root` is its root span, or while there is none the earliest one."""

    trace_id: bytes
    start_unix_nano: int
    end_unix_nano: int
    span_count: int
    error_count: int
    has_root: bool
    root_span_id: bytes
    root: dimensions.SpanSeries
    root_service: dimensions.Service
    services: list[str]

    def to_json(self) -> answers.Trace:
        """The trace as the list shows it."""
        return answers.Trace(*self.shown())

    def shown(self) -> tuple[Any, ...]:
        """The fields of answers.Trace."""
        return (
            self.trace_id.hex(),
            self.start_unix_nano,
            self.end_unix_nano,
            self.end_unix_nano - self.start_unix_nano,
            self.span_count,
            self.error_count,
            "error" if self.error_count else "ok",
            self.root.name,
            spans.name_of(KINDS, self.root.kind),
            self.root_span_id.hex(),
            self.has_root,
            self.root_service.name,
            self.root_service.namespace,
            self.services,
        )


def _around(window: Window) -> tuple[int, int]:
    """The hours in which a list looks for the rest of its traces: a day more than the window on both sides."""
    low = max(0, window.start - _DAY_NANO)
    return low - low % _HOUR_NANO, min(_INT64_MAX, window.end - 1 + _DAY_NANO)


async def find(
    connection: Connection, asked: TraceSearch, request: Request, counts: bool
) -> tuple[list[Trace], list[cursors.Key], Total]:
    """The traces of a page, the keys of these and of one more where there is one, and how many there are in all."""
    low, high = _around(request.window)
    of_service = await selecting.resource_ids(connection, asked)
    of_root = None
    if asked.root_service:
        of_root = await selecting.resource_ids(connection, Serviced(service=asked.root_service))
    trace_ids, kept = await _with_spans(connection, asked, request.window)
    if [] in (of_service, of_root, trace_ids):
        return [], [], Total(0, "eq")
    failed = None if asked.status is None else asked.status == "error"
    arguments = (low, high, of_service, of_root, failed, asked.min_duration, asked.max_duration, trace_ids)
    matches = [Match(query("reading_traces", name), arguments, PAGE).around(kept) for name in _MATCHES]
    after = request.after or cursors.NO_KEY
    rows: list[Row] = []
    for match in matches:
        page = spans.SOURCE.page(match.text, "page-by-time")
        rows += await connection.fetch(
            page, request.window.start, request.high, *after, request.wanted, *match.arguments
        )
    rows.sort(key=_key, reverse=True)
    rows = rows[request.offset : request.wanted]
    found = await _load(connection, [row["trace_id"] for row in rows[: request.limit]], low, high)
    total = await pages.total(connection, union(matches), request, rows) if counts else Total(0, "gte")
    return found, [_key(row) for row in rows], total


_MATCHES = ("match-traces", "match-split-traces")


def _key(row: Row) -> cursors.Key:
    return row["start_time_unix_nano"], row["trace_id"], 0


async def _with_spans(
    connection: Connection, asked: TraceSearch, window: Window
) -> tuple[list[bytes] | None, list[Kept]]:
    """The traces that have a span of what is asked of one (None = any), or, where that are too many to be named, a
    condition that finds out."""
    filters = [(on, f) for on, f in asked.filters if on != RESOURCE]
    if not filters and not asked.name:
        return None, []
    # Service and resource are of any span of the trace; all else is of one and the same.
    search = SpanSearch(name=asked.name, filters=filters)
    within = Window(window.start, min(_INT64_MAX, window.end + _DAY_NANO))
    selection = await spans.select(connection, search)
    rows = await pages.find(connection, spans.SOURCE, selection, Request(within, None, 0, _FEW_SPANS, False))
    if len(rows) <= _FEW_SPANS:
        return sorted({row["trace_id"] for row in rows}), []
    return None, [on_spans(union([part.match(spans.SOURCE).of_window(*within) for part in selection.parts]))]


async def _load(connection: Connection, trace_ids: Sequence[bytes], low: int, high: int) -> list[Trace]:
    """Traces, in the order of their ids here, of their hours from `low` to `high`."""
    hours: dict[bytes, list[Row]] = {}
    for row in await connection.fetch(query("reading_traces", "find-traces"), trace_ids, low, high):
        hours.setdefault(row["trace_id"], []).append(row)
    rows = [row for found in hours.values() for row in found]
    named = await dimensions.services(connection, (id_ for row in rows for id_ in row["resource_ids"]))
    roots = {trace_id: min(found, key=_root_order) for trace_id, found in hours.items()}
    series = await dimensions.span_series(connection, (root["root_series_id"] for root in roots.values()))
    return [
        _merged(hours[trace_id], roots[trace_id], series[roots[trace_id]["root_series_id"]], named)
        for trace_id in trace_ids
        if trace_id in hours
    ]


def _root_order(row: Row) -> tuple[bool, int, int]:
    return not row["has_root"], row["root_start_time_unix_nano"], row["root_span_id"]


def _merged(
    hours: Sequence[Row], root: Row, series: dimensions.SpanSeries, named: dict[int, dimensions.Service]
) -> Trace:
    return Trace(
        root["trace_id"],
        min(row["start_time_unix_nano"] for row in hours),
        max(row["end_time_unix_nano"] for row in hours),
        sum(row["span_count"] for row in hours),
        sum(row["error_count"] for row in hours),
        root["has_root"],
        stored.span_id(root["root_span_id"]),
        series,
        named[root["root_resource_id"]],
        sorted({named[id_].name for row in hours for id_ in row["resource_ids"]}),
    )


async def load(connection: Connection, trace_id: bytes) -> tuple[Trace, list[spans.Span]]:
    """A trace and its spans, earliest first, MAX_SPANS at most. Raises NotFound."""
    trace = await _find(connection, trace_id)
    request = Request(lasting(trace), None, 0, MAX_SPANS - 1, False)
    rows = await _earliest(connection, await _select(connection, trace_id, SpanSearch()), request)
    return trace, await spans.load(connection, rows)


async def find_spans(
    connection: Connection, trace_id: bytes, asked: SpanSearch, request: Request, counts: bool
) -> tuple[list[spans.Span], list[cursors.Key], Total]:
    """The spans of a page of those of a trace that are asked for, earliest first, the keys of these and of one more
    where there is one, and how many there are in all. Raises NotFound."""
    request = replace(request, window=lasting(await _find(connection, trace_id)))
    selection = await _select(connection, trace_id, asked)
    rows = (await _earliest(connection, selection, request))[request.offset :]
    found = await spans.load(connection, rows[: request.limit])
    total = Total(0, "gte")
    if counts:
        total = await pages.total_of(connection, spans.SOURCE, selection, request, rows)
    return found, [spans.SOURCE.key_of(row) for row in rows], total


async def _find(connection: Connection, trace_id: bytes) -> Trace:
    found = await _load(connection, [trace_id], 0, _INT64_MAX)
    if not found:
        raise NotFound(f"no span of trace {trace_id.hex()} is stored", "trace_id", "/api/traces lists traces")
    return found[0]


def lasting(trace: Trace) -> Window:
    """Every span begins before the trace ends: the window keeps other partitions out of it."""
    return Window(trace.start_unix_nano, min(_INT64_MAX, trace.end_unix_nano + 1))


async def _select(connection: Connection, trace_id: bytes, asked: SpanSearch) -> Selection:
    return await spans.select(connection, replace(asked, trace_id=trace_id))


async def _earliest(connection: Connection, selection: Selection, request: Request) -> list[Row]:
    """As many rows as are wanted, earliest first, after the request's key."""
    rows: list[Row] = []
    for part in selection.parts:
        match = part.match(spans.SOURCE)
        if request.after is not None:
            match = match.around([after(spans.SOURCE.key, request.after)])
        page = spans.SOURCE.page(match.text, "page-earliest")
        rows += await connection.fetch(page, *request.window, *cursors.NO_KEY, request.wanted, *match.arguments)
    rows.sort(key=spans.SOURCE.key_of)
    return rows[: request.wanted]


def tree(found: Iterable[spans.Span]) -> list[tuple[int, spans.Span]]:
    """Spans in the order of their tree with their depth; a span whose parent is missing stands at the top.

    Takes them earliest first; siblings keep that order. Spans that are their own ancestors come last, at the top.
    """
    ordered = list(found)
    ids = {span.record.span_id for span in ordered}
    children: dict[bytes, list[spans.Span]] = {}
    for span in ordered:
        parent = span.record.parent_span_id
        children.setdefault(parent if parent in ids else b"", []).append(span)
    result: list[tuple[int, spans.Span]] = []
    waiting = children.pop(b"", [])
    while waiting:
        _descend(waiting, children, result)
        # What is left hangs below itself: begin at any of it.
        waiting = children.pop(next(iter(children)), []) if children else []
    return result


def _descend(
    tops: Iterable[spans.Span], children: dict[bytes, list[spans.Span]], result: list[tuple[int, spans.Span]]
) -> None:
    stack = [(0, span) for span in tops][::-1]
    while stack:
        depth, span = stack.pop()
        result.append((depth, span))
        stack += [(depth + 1, child) for child in reversed(children.pop(span.record.span_id, ()))]


def to_json(trace: Trace, found: Sequence[spans.Span], metric_count: int) -> answers.WholeTrace:
    """The whole trace: its spans in tree order, resources and scopes once each."""
    resources = {span.resource.id: span.resource for span in found}
    scopes = {span.scope.id: span.scope for span in found}
    whole = (
        *trace.shown(),
        trace.span_count > len(found),
        metric_count,
        [answers.SpanInTree(*(*span.shown(), depth)) for depth, span in tree(found)],
        [_resource(resource) for resource in resources.values()],
        [_scope(scope) for scope in scopes.values()],
    )
    return answers.WholeTrace(*whole)


def _resource(resource: dimensions.Resource) -> answers.Resource:
    return answers.Resource(
        resource.id,
        resource.service_name,
        resource.service_namespace,
        resource.schema_url or None,
        stored.plain(resource.attributes),
        resource.record.dropped_attributes_count,
    )


def _scope(scope: dimensions.Scope) -> answers.Scope:
    return answers.Scope(
        scope.id,
        scope.record.name or None,
        scope.record.version or None,
        scope.schema_url or None,
        stored.plain({a.key: a.value for a in scope.record.attributes}),
        scope.record.dropped_attributes_count,
    )
