"""Spans: records to rows of the span tables, and rows to the rollup that trace lists are answered from.

Source: opentelemetry-proto `trace.proto`; sql/migrations/0004_spans.sql.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

from exporter import check, columns
from exporter.attributes import Fragments, settle, to_object
from exporter.cardinality import Cardinality, Head
from exporter.dimensions import SPAN_SERIES, Dimensions, Entry
from exporter.errors import UndecodableBody
from exporter.otlp import export
from exporter.otlp.anyvalue import escape_nul
from exporter.otlp.records import SPANS, AnyValue, Codec, Link, Opaque, ScopeRecords, Span
from exporter.place import Intake, Missing, Part, Rollup, signed, signed32, signed_id
from exporter.promotion import SPAN_EVENTS, SPAN_LINKS
from sql import query

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_ERROR = 2
HOUR_NANO = 3_600_000_000_000
_DAY_NANO = 24 * HOUR_NANO
_INT64_MAX = (1 << 63) - 1
_INT32_LIMIT = 1 << 31
_MAX_STATUSES = 1000

Row = tuple[Any, ...]
_fields = attrgetter(*Span.__struct_fields__)
"""All fields of a record at once: of a protobuf message each one is looked up by name."""


class Traces:
    """The spans signal."""

    name = SPANS
    facts = 1
    tables = (columns.SPANS, columns.SPAN_EVENTS, columns.SPAN_LINKS)
    finder = check.SPANS

    def __init__(self, cardinality: Cardinality, dimensions: Dimensions) -> None:
        self.cardinality = cardinality
        self._dimensions = dimensions
        self._fragments = Fragments(cardinality.limits)
        self._statuses: dict[type[Codec], dict[Opaque, tuple[int | None, str | None]]] = {}

    def records(self, codec: Codec, body: bytes) -> Iterable[ScopeRecords[Span]]:
        """The records of a request's body."""
        return codec.spans(body)

    def original(self, codec: Codec, record: Span, _ordinal: int | None) -> export.Json:
        """A record as OTLP/JSON. Raises UndecodableBody."""
        return export.refused_span(codec, record)

    def count(self, _record: Span) -> int:
        """How many records of the signal one stands for."""
        return 1

    def roll_up(self, rows: Sequence[Row]) -> Rollup:
        """What keeps otel_traces up to date with newly stored rows."""
        columns = roll_up(rows)
        # A list puts the hours of a trace together as far as a day apart.
        bounds = max(0, min(columns[1]) - _DAY_NANO), min(_INT64_MAX, max(columns[1]) + _DAY_NANO)
        return Rollup(query("spans", "upsert-traces"), columns, bounds, query("spans", "mark-split-traces"))

    def build(self, intake: Intake, chunk: Sequence[Part], out: Sequence[list[Row]]) -> Missing:
        """Add the rows of `chunk` to `out`, a list per table; records that need dimension rows stored first are left
        out, and returned to be built again."""
        codec, cardinality = intake.codec, self.cardinality
        place, resolve = cardinality.placer(codec, _describe), self._dimensions.resolve
        low, high, file = intake.window.low, intake.window.high, intake.file
        statuses = self._statuses.setdefault(type(codec), {})
        redaction = intake.promotion.redaction(SPANS)
        max_attributes = cardinality.limits.max_attributes
        missing: dict[bytes, Entry] = {}
        again: list[Part] = []
        put = out[0].append
        for part in chunk:
            later: list[Span] = []
            places: list[int] = []
            resource_id, scope, seen = part.resource[0], part.scope, part.seen
            for ordinal, span, (
                trace_id,
                span_id,
                parent,
                start,
                end,
                name,
                kind,
                raws,
                events,
                links,
                status,
                state,
                flags,
                cut,
                events_cut,
                links_cut,
            ) in zip(part.ordinals, part.records, map(_fields, part.records), strict=True):
                if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
                    intake.refuse(part, *_no_identity(span), partial(export.refused_span, codec, span))
                    continue
                try:
                    if redaction is not None:
                        raws = redaction.opaque(codec, raws)
                    kept = raws[:max_attributes]
                    series, attributes = place((scope, name, kind), kept)
                    series.records += seen
                    series_id = series.id or resolve(SPAN_SERIES, series, missing)
                    if not series_id:
                        cardinality.forget_odd()
                        later.append(span)
                        places.append(ordinal)
                        continue
                    if cardinality.clipped or cardinality.doubled or len(kept) == max_attributes:
                        cut += cardinality.count_odd(codec, len(raws) - len(kept))
                    sent = None
                    if not low <= start < high:
                        start, sent = file(start)
                    (number,) = signed_id(span_id)
                    code, message = statuses.get(status) or self._status(codec, status)
                    if events or links:
                        natural = (trace_id, number, start)
                        rows, unusable = self._links(intake, links, natural)
                        out[1].extend(self._events(intake, events, natural))
                        out[2].extend(rows)
                        links_cut += unusable
                except UndecodableBody as error:
                    cardinality.forget_odd()
                    message = f"a span's attribute, event, link or status: {error}"
                    intake.refuse(part, "malformed", message, partial(export.refused_span, codec, span))
                    continue
                parent_id = None
                if parent:
                    if len(parent) == 8 and parent != _NO_SPAN:
                        (parent_id,) = signed_id(parent)
                    else:
                        codec.findings.sanitise("unreadable_id")
                put(
                    (
                        trace_id,
                        number,
                        start,
                        end if end <= _INT64_MAX else signed(end),
                        resource_id,
                        series_id,
                        parent_id,
                        sent,
                        flags or None if flags < _INT32_LIMIT else signed32(flags),
                        code,
                        cut or None,
                        events_cut or None,
                        links_cut or None,
                        escape_nul(state) if state else None,
                        message,
                        attributes,
                        ordinal,
                    )
                )
            if later:
                again.append(part.again(later, places))
        return SPAN_SERIES, missing, again

    def _status(self, codec: Codec, raw: Opaque) -> tuple[int | None, str | None]:
        status = codec.status(raw)
        statuses = self._statuses[type(codec)]
        if len(statuses) >= _MAX_STATUSES:
            statuses.clear()
        stored = (status.code or None, escape_nul(status.message) if status.message else None)
        return statuses.setdefault(raw, stored)

    def _events(self, intake: Intake, events: Sequence[Opaque], key: tuple[Any, ...]) -> list[Row]:
        codec = intake.codec
        redaction = intake.promotion.redaction(SPAN_EVENTS)
        rows: list[Row] = []
        for ordinal, raw in enumerate(events):
            event, attributes = codec.open_event(raw)
            stored, cut = self._fragments.to_object(codec, attributes, redaction)
            time, left_out = signed(event.time_unix_nano), event.dropped_attributes_count + cut
            rows.append((*key, time, ordinal, left_out or None, escape_nul(event.name), stored))
        return rows

    def _links(self, intake: Intake, raws: Sequence[Opaque], key: tuple[Any, ...]) -> tuple[list[Row], int]:
        """Rows of the links whose ids can be kept, and how many cannot."""
        codec, limits = intake.codec, self.cardinality.limits
        redaction = intake.promotion.redaction(SPAN_LINKS)
        links = [codec.link(raw) for raw in raws]
        usable = [link for link in links if _fits(link)]
        if len(usable) < len(links):
            codec.findings.sanitise("unreadable_id", len(links) - len(usable))
        rows: list[Row] = []
        for ordinal, link in enumerate(usable):
            attributes, cut = settle(codec, link.attributes, redaction, limits)
            rows.append(
                (
                    *key,
                    ordinal,
                    signed32(link.flags),
                    link.dropped_attributes_count + cut or None,
                    link.trace_id,
                    link.span_id,
                    escape_nul(link.trace_state) if link.trace_state else None,
                    to_object(attributes) if attributes else None,
                )
            )
        return rows, len(links) - len(usable)


def _describe(head: Head) -> tuple[list[AnyValue], tuple[object, ...]]:
    (scope_id, scope_hash), name, kind = head
    return [scope_hash, name, kind], (scope_id, escape_nul(name), kind)


def _fits(link: Link) -> bool:
    return len(link.trace_id) <= 16 and len(link.span_id) <= 8


def _no_identity(span: Span) -> tuple[str, str]:
    for name, value, length in (("trace_id", span.trace_id, 16), ("span_id", span.span_id, 8)):
        if len(value) != length:
            found = "is absent" if not value else f"has {len(value)} bytes"
            return f"invalid_{name}", f"span without identity: {name} {found}, it must have {length}"
        if not any(value):
            return f"invalid_{name}", f"span without identity: {name} is all zeros"
    raise AssertionError("the span has an identity")


def effective_end(key: int, sent: int | None, end: int) -> int:
    """When a span filed under `key` ends, as otel_effective_end() has it; `sent` and `end` are signed 64 bits."""
    start = key if sent is None else sent
    duration = end - start if (end >= 0) == (start >= 0) else end % (1 << 64) - start % (1 << 64)
    return min(key + duration, _INT64_MAX) if duration > 0 else key


def roll_up(rows: Iterable[Row]) -> list[list[Any]]:
    """Span rows to the columns of `upsert-traces`, sorted by trace id and hour: unsorted upserts deadlock."""
    by_hour: dict[int, dict[bytes, list[Any]]] = {}
    for row in rows:
        trace_id, span_id, start, end, resource_id, series_id, parent, sent = row[:8]
        is_error = row[9] == _ERROR
        if sent is not None or not 0 <= start <= end:
            end = effective_end(start, sent, end)
        hour = start - start % HOUR_NANO
        traces = by_hour.get(hour)
        if traces is None:
            traces = by_hour[hour] = {}
        trace = traces.get(trace_id)
        if trace is None:
            root = (parent is not None, start, span_id, series_id, resource_id)
            traces[trace_id] = [start, end, root, 1, int(is_error), {resource_id}]
            continue
        if start < trace[0]:
            trace[0] = start
        if end > trace[1]:
            trace[1] = end
        # The root is the first by (has a parent, start, id): most rows have a parent, and the root is known.
        if parent is None or trace[2][0]:
            trace[2] = min(trace[2], (parent is not None, start, span_id, series_id, resource_id))
        trace[3] += 1
        if is_error:
            trace[4] += 1
        trace[5].add(resource_id)
    return _columns(by_hour)


def _columns(by_hour: Mapping[int, Mapping[bytes, list[Any]]]) -> list[list[Any]]:
    hours = Counter(chain.from_iterable(by_hour.values())) if len(by_hour) > 1 else {}
    rows = sorted(
        (trace_id, hour, start, end, *root[1:], spans, errors, not root[0], _literal(ids), hours.get(trace_id, 1) > 1)
        for hour, traces in by_hour.items()
        for trace_id, (start, end, root, spans, errors, ids) in traces.items()
    )
    return [list(column) for column in zip(*rows, strict=True)]


def _literal(ids: Iterable[int]) -> str:
    return f"{{{','.join(map(str, sorted(ids)))}}}"
