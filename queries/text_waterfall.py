"""A trace as a waterfall: its tree, and beside it every span as a bar on the time axis that all of them share."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from queries import text_values as values
from queries.answers import Event, SpanInTree, WholeTrace
from queries.text_cells import BOLD, CYAN, RED, Cell, Style, clean, columns_of, cut, line, padded, within, wrapped
from queries.text_records import ERROR, ORPHAN

_BAR, _HALF_BAR = "█", "▌"
_SKEWED = "◂ "
_MOST_EVENTS = 8
_DAY_NANO = 86_400_000_000_000
_LEAST_BAR = 12
_WIDEST_DURATION = 12


class Axis(NamedTuple):
    """The time from `start` to `end`, unix nanoseconds, in `width` columns."""

    start: int
    end: int
    width: int

    def bar(self, start: int, end: int) -> str:
        """A bar from start to end, half a column long at least."""
        begin = self._halves(start)
        halves = max(1, self._halves(end) - begin)
        return " " * min(begin // 2, self.width - 1) + _BAR * (halves // 2) + _HALF_BAR * (halves % 2)

    def _halves(self, moment: int) -> int:
        length = max(1, self.end - self.start)
        return min(2 * self.width, max(0, (2 * self.width * (moment - self.start) + length // 2) // length))

    def title(self) -> str:
        """What its columns mean: its beginning, middle and end."""
        length, half = self.end - self.start, self.width // 2
        middle, end = values.duration(length // 2), values.duration(length)
        left = padded("0", half) + middle if half > 2 * len(middle) else "0"
        return cut(padded(left, max(1, self.width - len(end))) + end, self.width)


class _Row(NamedTuple):
    """A span in its tree: its depth, and as bits for each level whether a later span hangs there."""

    span: SpanInTree
    depth: int
    open: int
    has_children: bool

    def tree(self, most: int, is_below: bool = False) -> str:
        """The branches before the span, or before what is said below it: of the last `most` levels."""
        first = max(1, self.depth - most + 1)
        near, levels = self.open >> first, range(self.depth - first + 1)
        branches = ["│ " if near >> level & 1 else "  " for level in levels]
        if is_below:
            branches.append("│ " if self.has_children else "  ")
        elif self.depth:
            branches[-1] = "├ " if near >> levels[-1] & 1 else "└ "
        return ("…" if first > 1 else "") + "".join(branches)


def waterfall(trace: WholeTrace, style: Style) -> list[str]:
    """The lines of a trace: what it is, its spans, what the marks mean, and where to read on.

    Offsets of events are from the trace's first span on, as the axis is.
    """
    rows, most = _rows(trace.spans), style.width // 5
    marks = _marks(trace.spans)
    labels = [_label(row, mark, most) for row, mark in zip(rows, marks, strict=True)]
    took = [values.duration(span.duration_nanos) for span in trace.spans]
    took_width = min(_WIDEST_DURATION, max(map(len, took), default=0))
    natural = max((sum(columns_of(cell.text) for cell in label) for label in labels), default=0)
    label_width = min(natural, style.width * 11 // 20, style.width - took_width - _LEAST_BAR - 2)
    axis = _axis(trace.spans, style.width - label_width - took_width - 2)
    lines = [*_heading(trace, style), "", " " * (style.width - axis.width) + axis.title()]
    for row, label, duration in zip(rows, labels, took, strict=True):
        ink = RED if row.span.status == "error" else ""
        cells = [
            *within(label, label_width),
            Cell(f" {padded(duration, took_width, True)} "),
            Cell(_bar(row.span, axis), ink),
        ]
        lines.append(line(cells, style))
        lines += (line([Cell(row.tree(most, True)), *said], style) for said in _said(row.span, axis.start))
    return [*lines, "", *(text for note in _notes(trace, marks) for text in wrapped(note, style.width))]


def _heading(trace: WholeTrace, style: Style) -> list[str]:
    services = f"of {len(trace.services):,} services" if len(trace.services) > 1 else ""
    errors = f", {trace.error_count:,} with an error" if trace.error_count else ""
    about = f"{values.moment(trace.start_time_unix_nano)} UTC, {values.duration(trace.duration_nanos)}, "
    about += f"{values.counted(trace.span_count, 'spans')} {services}".rstrip() + errors
    return [line([Cell(f"Trace {clean(trace.trace_id)}", BOLD)], style), *wrapped(about, style.width)]


def _rows(spans: Sequence[SpanInTree]) -> list[_Row]:
    depths: list[int] = []
    for span in spans:
        depths.append(max(0, min(span.depth, depths[-1] + 1 if depths else 0)))
    rows: list[_Row] = []
    later, depth_after = 0, 0
    for span, depth in zip(reversed(spans), reversed(depths), strict=True):
        rows.append(_Row(span, depth, later, depth_after > depth))
        later = later & ((1 << depth) - 1) | 1 << depth
        depth_after = depth
    return rows[::-1]


def _has_own_time(span: SpanInTree) -> bool:
    return span.sent_time_unix_nano is None


def _marks(spans: Sequence[SpanInTree]) -> list[str]:
    """For each span whether its parent is missing, or begins after it, or neither."""
    starts = {span.span_id: span.start_time_unix_nano if _has_own_time(span) else None for span in spans}
    return [_mark(span, starts) for span in spans]


def _mark(span: SpanInTree, starts: dict[str, int | None]) -> str:
    if span.parent_span_id is None:
        return ""
    if span.parent_span_id not in starts:
        return ORPHAN
    parent = starts[span.parent_span_id]
    return _SKEWED if _has_own_time(span) and parent is not None and span.start_time_unix_nano < parent else ""


def _label(row: _Row, mark: str, most: int) -> list[Cell]:
    error = [Cell(f"{ERROR} ", RED)] if row.span.status == "error" else []
    names = [Cell(clean(row.span.service_name), CYAN), Cell(f" {clean(row.span.name)}")]
    return [Cell(row.tree(most) + mark), *error, *names]


def _axis(spans: Sequence[SpanInTree], width: int) -> Axis:
    timed = [span for span in spans if _has_own_time(span)] or spans
    start = min((span.start_time_unix_nano for span in timed), default=0)
    return Axis(start, max((span.start_time_unix_nano + span.duration_nanos for span in timed), default=0), width)


def _bar(span: SpanInTree, axis: Axis) -> str:
    if span.sent_time_unix_nano is None:
        return axis.bar(span.start_time_unix_nano, span.start_time_unix_nano + span.duration_nanos)
    return f"sent as {values.moment(span.sent_time_unix_nano, 0)}"


def _said(span: SpanInTree, start: int) -> Iterator[list[Cell]]:
    """What stands below a span: why it failed, its events, its links."""
    exceptions = [event for event in span.events if _is_exception(event)]
    others = [event for event in span.events if not _is_exception(event)]
    kept = sorted([*exceptions, *others][:_MOST_EVENTS], key=lambda event: event.time_unix_nano)
    told = [str(event.attributes.get("exception.message")) for event in exceptions]
    if span.status_message and span.status_message not in told:
        yield [Cell(f"{ERROR} {clean(span.status_message)}", RED if span.status == "error" else "")]
    for event in kept:
        yield [
            Cell(f"• {_offset(event.time_unix_nano, start)} "),
            Cell(_told(event), RED if _is_exception(event) else ""),
        ]
    if left := len(span.events) - len(kept):
        yield [Cell(f"• {left:,} more events")]
    for link in span.links[:_MOST_EVENTS]:
        span_id, trace_id = (clean(found or values.NO_VALUE) for found in (link.span_id, link.trace_id))
        yield [Cell(f"→ linked to span {span_id} of trace {trace_id}")]
    if (left := len(span.links) - _MOST_EVENTS) > 0:
        yield [Cell(f"→ {left:,} more links")]


def _is_exception(event: Event) -> bool:
    return "exception.type" in event.attributes or "exception.message" in event.attributes


def _told(event: Event) -> str:
    name, found = clean(event.name), event.attributes
    if not _is_exception(event):
        return " ".join([name, *values.pairs(found)])
    about = [values.compact(found[key]) for key in ("exception.type", "exception.message") if key in found]
    return ": ".join(about if name == "exception" else [name, *about])


def _offset(moment: int, start: int) -> str:
    distance = moment - start
    if abs(distance) > _DAY_NANO:
        return f"{values.moment(moment)} UTC"
    return ("+" if distance >= 0 else "") + values.duration(distance)


def _notes(trace: WholeTrace, marks: Sequence[str]) -> Iterator[str]:
    trace_id = clean(trace.trace_id)
    if trace.has_more:
        yield (
            f"These are the earliest {len(trace.spans):,} of {trace.span_count:,} spans;"
            f" the others: /api/spans?trace_id={trace_id}&format=text"
        )
    if ORPHAN in marks:
        yield f"{ORPHAN}its parent is not stored"
    if _SKEWED in marks:
        yield f"{_SKEWED}begins before its parent: the clocks of two machines differ"
    yield f"Attributes: /api/traces/{trace_id}/spans?format=text"
    yield f"Logs: /api/logs?trace_id={trace_id}&format=text"
    if trace.metric_count:
        found = values.counted(trace.metric_count, "metrics")
        yield f"Exemplars of {found}: /api/traces/{trace_id}/exemplars?format=text"
