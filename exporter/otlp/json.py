"""OTLP/JSON requests to records: one typed decode of the whole body, record by record only where that fails.

Source: opentelemetry-proto `docs/specification.md`, "JSON Protobuf Encoding";
https://protobuf.dev/programming-guides/json/.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Raw
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from exporter.errors import BodyTooLarge, UndecodableBody
from exporter.otlp import json_wire as wire
from exporter.otlp import records as r
from exporter.otlp.http import PATHS
from exporter.otlp.json_fields import Malformed, check_u64, decode, quote, read, read_quickly
from exporter.otlp.json_metrics import FIELDS, POINTS, TEMPORAL
from exporter.otlp.json_parts import JsonParts, opaque
from exporter.otlp.json_text import prepare

R = TypeVar("R")
Scopes: TypeAlias = list[tuple[Any, Any]]
"""(resource, scope) of a request, in order, in the types that `json_wire.request` builds."""

PIECEWISE_BYTES = 1024 * 1024
"""A longer body's records (and a longer metric's points) are decoded some hundred at a time."""
PIECE_RECORDS, PIECE_BYTES = 500, 1024 * 1024

REASON = "malformed"
"""Why a record that is not of its type is refused."""

# msgspec takes -0 for the integer 0, and only doubles can tell; the literal comes first for `re` to skip to it.
_MINUS_ZERO = re.compile(rb'-0(?<=[":,\[\s]-0)[,}\]\s"]')

_KINDS: Mapping[str, int] = dict(SpanMessage.SpanKind.items())
_SEVERITIES: Mapping[str, int] = dict(SeverityNumber.items())
_TEMPORALITIES: Mapping[str, int] = dict(AggregationTemporality.items())


class _Signal(NamedTuple):
    """How the requests of one signal are decoded: whole and typed, or as far as their records."""

    names: wire.Envelopes
    typed: "msgspec.json.Decoder[Any]"
    untyped: "msgspec.json.Decoder[Any]"
    records: "msgspec.json.Decoder[Any]"
    stands_for: Callable[[bytes], int]
    """How many records one of the list is to the sender."""


def _signal(
    names: wire.Envelopes, record: type[msgspec.Struct], stands_for: Callable[[bytes], int] = lambda _: 1
) -> _Signal:
    typed = msgspec.json.Decoder(wire.request(names, record, nullable=False), strict=False)
    untyped = msgspec.json.Decoder(wire.request(names, Raw, nullable=True))
    return _Signal(names, typed, untyped, msgspec.json.Decoder(list[record], strict=False), stands_for)  # type: ignore[valid-type]


def _count_points(raw: bytes) -> int:
    """The data points of a metric that is not of its type, as far as they can be made out; at least one."""
    metric: Any = {}
    with suppress(msgspec.DecodeError, RecursionError):
        metric = msgspec.json.decode(raw)
    data = metric.values() if isinstance(metric, dict) else ()
    lists = [d.get("dataPoints") for d in data if isinstance(d, dict)]
    return max(1, sum(len(points) for points in lists if isinstance(points, list)))


_SPANS = _signal(wire.SPANS, wire.Span)
_LOGS = _signal(wire.LOGS, wire.LogRecord)
_METRICS = _signal(wire.METRICS, wire.Metric, _count_points)
_PATH_OF_KEY = {
    wire.SPANS[0]: PATHS[r.SPANS],
    wire.LOGS[0]: PATHS[r.LOGS],
    wire.METRICS[0]: PATHS[r.METRICS],
}
_MEMBERS = msgspec.json.Decoder(msgspec.defstruct("Members", [(key, Raw, wire.NO_RAW) for key in _PATH_OF_KEY]))


class JsonCodec(JsonParts):
    """`records.Codec` for application/json.

    Records that are not of their type are refused alone, into `findings.refusals`, while their scope is read.
    """

    def spans(self, body: bytes) -> Iterator[r.ScopeRecords[r.Span]]:
        return self._scopes(_SPANS, prepare(body, self.findings), self._span, self._read_span)

    def logs(self, body: bytes) -> Iterator[r.ScopeRecords[r.LogRecord]]:
        return self._scopes(_LOGS, prepare(body, self.findings), self._log, self._read_log)

    def metrics(self, body: bytes) -> Iterator[r.ScopeRecords[r.Metric]]:
        body = prepare(body, self.findings)
        typed = _MINUS_ZERO.search(body) is None
        return self._scopes(_METRICS, body, self._metric, self._read_metric, typed)

    def _scopes(
        self,
        signal: _Signal,
        body: bytes,
        convert: Callable[[Any], R],
        read_one: Callable[[bytes, str], R],
        try_typed: bool = True,
    ) -> Iterator[r.ScopeRecords[R]]:
        """The scopes of a body: by `convert` from typed records, and by `read_one` from raw ones where that fails."""
        if len(body) > PIECEWISE_BYTES:
            yield from self._in_pieces(signal, body, convert, read_one)
            return
        typed = _decode_typed(signal, body) if try_typed else None
        untyped = _decode_untyped(signal, body) if typed is None else None
        for index, (resource, scope) in enumerate(typed or untyped or ()):
            for start in range(0, len(scope.records or ()) or 1, PIECE_RECORDS):
                some = slice(start, start + PIECE_RECORDS)
                records = None if typed is None else self._convert_all((scope.records or ())[some], convert)
                if records is None:
                    untyped = untyped or _decode_untyped(signal, body)
                    raws = (untyped[index][1].records or ())[some]
                    records = self._read_all(signal.names[2], raws, read_one, signal.stands_for, start)
                yield _scope_records(resource, scope, records)

    def _in_pieces(
        self, signal: _Signal, body: bytes, convert: Callable[[Any], R], read_one: Callable[[bytes, str], R]
    ) -> Iterator[r.ScopeRecords[R]]:
        """The same without ever holding all records: a scope comes in several parts."""
        _, _, name = signal.names
        scopes = _decode_untyped(signal, body)
        if sum(len(scope.records or ()) for _, scope in scopes) > self._bounds.max_records:
            raise BodyTooLarge(f"the body holds more than max_body_records ({self._bounds.max_records}) records")
        for resource, scope in scopes:
            for first, raws in _pieces(scope.records or ()):
                decoded = _decode_list(signal.records, raws, signal is _METRICS)
                records = decoded and self._convert_all(decoded, convert)
                if records is None:
                    records = self._read_all(name, raws, read_one, signal.stands_for, first)
                yield _scope_records(resource, scope, records)

    def _read_points(self, where: str, kind: int, points: Sequence[Raw]) -> Iterator[r.SentPoint]:
        struct, typed, convert = POINTS[kind]
        for first, raws in _pieces(points):
            decoded = _decode_list(typed, raws, True)
            records = decoded and self._convert_all(decoded, convert)
            if records is None:
                records = self._read_all(where, raws, lambda point, _: convert(read(struct, point)), first=first)
            yield from records

    def _convert_all(self, records: Sequence[Any], convert: Callable[[Any], R]) -> list[R] | None:
        """Typed records as records; None, and nothing counted, where one of them is not of its type after all."""
        counted = dict(self.findings.sanitised)
        try:
            return [convert(record) for record in records]
        except Malformed:
            self.findings.sanitised = counted
            return None

    def _read_all(
        self,
        name: str,
        raws: Sequence[Raw | None],
        read_one: Callable[[bytes, str], R],
        stands_for: Callable[[bytes], int] = lambda _: 1,
        first: int = 0,
    ) -> list[R]:
        """Raw records as records, the `first` of which is so numbered; those not of their type are refused."""
        records = []
        for index, raw in enumerate(raws, first):
            # A null in a list of records is nothing, and nobody's loss.
            if raw is None or not (record := opaque(raw)):
                continue
            where = f"{name}[{index}]"
            counted = dict(self.findings.sanitised)
            try:
                records.append(read_one(record, where))
            except Malformed as error:
                self.findings.sanitised = counted
                message = str(error.under(where))
                self.findings.refusals.append(r.Refusal(REASON, message, record, stands_for(record)))
        return records

    def _read_span(self, raw: bytes, where: str) -> r.Span:
        return self._span(read_quickly(wire.Span, raw))

    def _span(self, w: wire.Span) -> r.Span:
        if (w.start_time_unix_nano | w.end_time_unix_nano) > wire.U64_MAX:
            check_u64("startTimeUnixNano", w.start_time_unix_nano)
            check_u64("endTimeUnixNano", w.end_time_unix_nano)
        return r.Span(
            self.id(w.trace_id, 16, own=True),
            self.id(w.span_id, 8, own=True),
            self.id(w.parent_span_id, 8) if w.parent_span_id else b"",
            w.start_time_unix_nano,
            w.end_time_unix_nano,
            w.name or "",
            w.kind if type(w.kind) is int else self.enum("kind", _KINDS, w.kind),
            w.attributes and list(map(bytes, w.attributes)),
            w.events and list(map(bytes, w.events)),
            w.links and list(map(bytes, w.links)),
            opaque(w.status),
            w.trace_state or "",
            w.flags,
            w.dropped_attributes_count,
            w.dropped_events_count,
            w.dropped_links_count,
        )

    def _read_log(self, raw: bytes, where: str) -> r.LogRecord:
        return self._log(read_quickly(wire.LogRecord, raw))

    def _log(self, w: wire.LogRecord) -> r.LogRecord:
        if (w.time_unix_nano | w.observed_time_unix_nano) > wire.U64_MAX:
            check_u64("timeUnixNano", w.time_unix_nano)
            check_u64("observedTimeUnixNano", w.observed_time_unix_nano)
        severity = w.severity_number
        return r.LogRecord(
            w.time_unix_nano,
            w.observed_time_unix_nano,
            severity if type(severity) is int else self.enum("severityNumber", _SEVERITIES, severity),
            w.severity_text or "",
            w.event_name or "",
            opaque(w.body),
            w.attributes and list(map(bytes, w.attributes)),
            self.id(w.trace_id, 16) if w.trace_id else b"",
            self.id(w.span_id, 8) if w.span_id else b"",
            w.flags,
            w.dropped_attributes_count,
        )

    def _metric(self, w: wire.Metric) -> r.Metric:
        kind, data = _data(w)
        convert = POINTS[kind][2] if kind else None
        return self._metric_of(w, kind, data, [convert(point) for point in data.data_points] if convert else [])

    def _read_metric(self, raw: bytes, where: str) -> r.Metric:
        w = read(wire.Metric, raw)
        kind, data = _data(w)
        if not kind:
            return self._metric_of(w, kind, data, [])
        # Before its points: a metric that is refused for its own sake refuses them once.
        metric = self._metric_of(w, kind, data, [])
        points = f"{where}({quote((w.name or '').encode())}).{FIELDS[kind]}.dataPoints"
        metric.data_points = list(self._read_points(points, kind, data.data_points))
        return metric

    def _metric_of(self, w: wire.Metric, kind: int, data: Any, points: list[r.SentPoint]) -> r.Metric:
        return r.Metric(
            w.name or "",
            w.description or "",
            w.unit or "",
            w.metadata and list(map(bytes, w.metadata)),
            kind,
            self.enum("aggregationTemporality", _TEMPORALITIES, data.aggregation_temporality)
            if kind in TEMPORAL
            else 0,
            kind == r.SUM and _flag("isMonotonic", data.is_monotonic),
            points,
        )


def _pieces(raws: Sequence[Raw]) -> Iterator[tuple[int, Sequence[Raw]]]:
    """(place of the first, values) of pieces of a list that do not take long."""
    first = size = 0
    for place, raw in enumerate(raws):
        size += memoryview(raw).nbytes
        if place - first >= PIECE_RECORDS or (size > PIECE_BYTES and place > first):
            yield first, raws[first:place]
            first, size = place, memoryview(raw).nbytes
    yield first, raws[first:]


def _decode_list(typed: "msgspec.json.Decoder[Any]", raws: Sequence[Raw], have_doubles: bool) -> Any:
    """Records of one type; None where one of them must be read exactly: see `_decode_typed`."""
    joined = b"[%b]" % b",".join(raws)
    # A record as large as this has long lists; whoever reads it exactly lets others run meanwhile.
    if (have_doubles and _MINUS_ZERO.search(joined)) or (len(raws) == 1 and len(joined) > 4 * PIECE_BYTES):
        return None
    try:
        return decode(typed, joined)
    except Malformed:
        return None


def _scope_records(resource: Any, scope: Any, records: Sequence[R]) -> r.ScopeRecords[R]:
    return r.ScopeRecords(
        opaque(resource.resource),
        resource.schema_url or "",
        opaque(scope.scope),
        scope.schema_url or "",
        records,
    )


def _decode_typed(signal: _Signal, body: bytes) -> Scopes | None:
    """None where something in the body is not as `json_wire` has it; that may be a legal form, too."""
    try:
        return _scopes_of(signal, body, decode(signal.typed, body))
    except Malformed:
        return None


def _decode_untyped(signal: _Signal, body: bytes) -> Scopes:
    try:
        return _scopes_of(signal, body, decode(signal.untyped, body))
    except Malformed as error:
        raise UndecodableBody(f"no {signal.names[0]} in OTLP/JSON: {error}") from None


def _scopes_of(signal: _Signal, body: bytes, request: Any) -> Scopes:
    if request.resources is None:
        members = decode(_MEMBERS, body)
        others = sorted(key for key in _PATH_OF_KEY if key != signal.names[0] and bytes(getattr(members, key)))
        if others:
            paths = " and ".join(_PATH_OF_KEY[key] for key in others)
            raise UndecodableBody(f'the body has "{others[0]}": send it to {paths}')
    return [
        (resource, scope)
        for resource in request.resources or ()
        if resource is not None
        for scope in resource.scopes or ()
        if scope is not None
    ]


def _data(w: wire.Metric) -> tuple[int, Any]:
    """The type of a metric and its data, (0, None) where none is set."""
    for kind, field in FIELDS.items():
        data = getattr(w, field)
        if data is not None:
            return kind, data
    return 0, None


def _flag(field: str, raw: Raw) -> bool:
    value = opaque(raw)
    if value not in (b"", b"true", b"false"):
        raise Malformed(f"true or false is needed, not {quote(value)}", field)
    return value == b"true"
