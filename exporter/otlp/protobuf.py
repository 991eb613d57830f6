"""OTLP/HTTP protobuf: requests to records, by messages in which most stays bytes: see `protobuf_messages`.

Source: opentelemetry-proto; https://protobuf.dev/programming-guides/encoding/.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from exporter.errors import UndecodableBody
from exporter.otlp import protobuf_messages as m
from exporter.otlp import records as r
from exporter.otlp.anyvalue import to_json
from exporter.otlp.protobuf_pieces import PIECE_RECORDS, Pieces, varint
from exporter.otlp.protobuf_records import cut_number_point, metric, number, number_point, same
from exporter.otlp.protobuf_signal import check_signal, looks_right

R = TypeVar("R")
PIECEWISE_BYTES = 1024 * 1024
"""A longer request is parsed piece by piece."""
_LARGE_VALUE_BYTES = 1024 * 1024
_ANY_DEPTH = -1_000
_SCALARS = frozenset(("string_value", "int_value", "bool_value", "double_value", "bytes_value"))


class ProtobufCodec:
    """`records.Codec` for application/x-protobuf."""

    is_json = False

    def __init__(self, bounds: r.Bounds = r.UNBOUNDED) -> None:
        self.findings = r.Findings()
        self._bounds = bounds
        self._blocks: set[bytes] = set()

    def spans(self, body: bytes) -> Iterator[r.ScopeRecords[r.Span]]:
        return self._scopes(r.SPANS, body, same)

    def logs(self, body: bytes) -> Iterator[r.ScopeRecords[r.LogRecord]]:
        return self._scopes(r.LOGS, body, same)

    def metrics(self, body: bytes) -> Iterator[r.ScopeRecords[r.Metric]]:
        return self._scopes(r.METRICS, body, lambda found: [metric(item, self._number_point) for item in found])

    def _scopes(self, signal: str, body: bytes, convert: Callable[[Any], list[R]]) -> Iterator[r.ScopeRecords[R]]:
        if len(body) > PIECEWISE_BYTES:
            yield from self._in_pieces(signal, body, convert)
            return
        _, _, scopes, records = m.REQUESTS[signal]
        for resource in self._resources(signal, body):
            # Read once: whoever gets it knows by identity that it is the same.
            raw, schema_url = resource.resource, resource.schema_url
            for scope in getattr(resource, scopes):
                found, raw_scope, scope_url = getattr(scope, records), scope.scope, scope.schema_url
                for start in range(0, len(found) or 1, PIECE_RECORDS):
                    some = convert(found[start : start + PIECE_RECORDS])
                    yield r.ScopeRecords(raw, schema_url, raw_scope, scope_url, some)

    def _in_pieces(self, signal: str, body: bytes, convert: Callable[[Any], list[R]]) -> Iterator[r.ScopeRecords[R]]:
        """The same without ever parsing the whole of it: a scope comes in several parts."""
        resource_class, scope_class = m.ENVELOPES[signal]
        records = m.REQUESTS[signal][3]
        resource_raw = scope_raw = None
        checked = False
        try:
            for resource_rest, scope_rest, piece in Pieces(
                body, self._bounds.max_records, have_points=signal == r.METRICS
            ):
                if resource_rest is not resource_raw:
                    resource_raw, resource = resource_rest, self._parse(resource_class, resource_rest)
                    raw, schema_url = resource.resource, resource.schema_url
                if scope_rest is not scope_raw:
                    scope_raw, scope = scope_rest, self._parse(scope_class, scope_rest)
                    raw_scope, scope_url = scope.scope, scope.schema_url
                found = getattr(self._parse_first(signal, scope_class, piece, checked), records)
                if not checked and found:
                    checked = True
                    if not looks_right(signal, found[0]):
                        check_signal(signal, m.ScopeEnvelope.FromString(piece).spans[0])
                yield r.ScopeRecords(raw, schema_url, raw_scope, scope_url, convert(found))
        except DecodeError:
            raise _undecodable(m.REQUESTS[signal][0].DESCRIPTOR.name) from None

    def _parse_first(self, signal: str, scope_class: Any, piece: bytes, checked: bool) -> Any:
        try:
            return scope_class.FromString(piece)
        except DecodeError:
            # See `_resources`.
            with suppress(DecodeError):
                if not checked and (found := m.ScopeEnvelope.FromString(piece).spans):
                    check_signal(signal, found[0])
            return self._repair(scope_class, piece)

    def _resources(self, signal: str, body: bytes) -> Any:
        """The resources of a request, whose records are of this signal."""
        message_class, resources, scopes, records = m.REQUESTS[signal]
        try:
            message = message_class.FromString(body)
        except DecodeError:
            # Invalid UTF-8 perhaps; or a record of another signal, which has something else where a name should be.
            _check_first(signal, body)
            message = self._repair(message_class, body)
        found = getattr(message, resources)
        first = next((item for r in found for s in getattr(r, scopes) for item in getattr(s, records)), None)
        if first is not None and not looks_right(signal, first):
            _check_first(signal, body)
        return found

    def _number_point(self, raw: r.Opaque) -> r.NumberDataPoint | r.PlainNumberPoint:
        return cut_number_point(raw, self._blocks) or number_point(self._parse(m.NumberDataPoint, raw))

    def block(self, raw: r.Opaque) -> Sequence[r.Opaque]:
        return self._parse(m.NumberDataPoint, raw).attributes  # type: ignore[no-any-return]

    def attribute_key(self, raw: r.Opaque) -> str:
        end = _key_end(raw)
        return raw[2:end].decode(errors="replace") if end else self._parse(m.KeyValue, raw).key

    def cut(self, raw: r.Opaque, row_keys: Mapping[bytes, r.RowKey]) -> r.RowEntry | None:
        # KeyValue{1: key, 2: AnyValue{1: string | 3: int}}, every length in one byte and exactly as long as said.
        try:
            end = raw[1] + 2
            row_key = row_keys.get(raw[:end])
            if row_key is None:
                return None
            size = len(raw) - end
            if raw[end] != 18 or raw[end + 1] != size - 2 or size > 129:
                return None
            kind = raw[end + 2]
            if kind == 10 and raw[end + 3] == size - 4:
                text = raw[end + 4 :]
                return None if _needs_escape(text) else (row_key[0], b'%b"%b"' % (row_key[1], text))
            if kind == 24 and (json := _varint_json(raw, end + 3)) is not None:
                return row_key[0], row_key[1] + json
        except IndexError:
            pass
        return None

    def key_part(self, raw: r.Opaque) -> bytes | None:
        return raw[: _key_end(raw)] or None

    def attribute(self, raw: r.Opaque) -> r.KeyValue:
        if len(raw) > _LARGE_VALUE_BYTES:
            message = self._parse(m.KeyValue, raw)
            return r.KeyValue(message.key, self._large_value(message.value, 1))
        message = self._parse(common_pb2.KeyValue, raw)
        return r.KeyValue(message.key, self._value(message.value, 1))

    def text_attribute(self, key: str, text: str) -> r.Opaque:
        return common_pb2.KeyValue(key=key, value=common_pb2.AnyValue(string_value=text)).SerializeToString()

    def any_value(self, raw: r.Opaque) -> r.AnyValue:
        # AnyValue{1: string} of up to 16,383 bytes, which most log bodies are.
        if raw[:1] == b"\n" and len(raw) > 2 and raw.isascii() and raw[1] == len(raw) - 2:
            return raw[2:].decode()
        if raw[:1] == b"\n" and len(raw) > 130 and raw[1] - 128 + (raw[2] << 7) == len(raw) - 3 and raw[2] < 128:
            text = raw[3:]
            if text.isascii():
                return text.decode()
        return self._large_value(raw, 1)

    def resource(self, raw: r.Opaque) -> r.Resource:
        message = self._parse(m.Resource, raw)
        parsed = [self._parse(common_pb2.EntityRef, entity) for entity in message.entity_refs]
        entities = [r.EntityRef(e.schema_url, e.type, list(e.id_keys), list(e.description_keys)) for e in parsed]
        return r.Resource(self._attributes(message), message.dropped_attributes_count, entities)

    def scope(self, raw: r.Opaque) -> r.Scope:
        message = self._parse(m.Scope, raw)
        return r.Scope(message.name, message.version, self._attributes(message), message.dropped_attributes_count)

    def status(self, raw: r.Opaque) -> r.Status:
        message = self._parse(trace_pb2.Status, raw)
        return r.Status(message.code, message.message)

    def event(self, raw: r.Opaque) -> r.Event:
        event, attributes = self.open_event(raw)
        event.attributes = [self.attribute(a) for a in attributes]
        return event

    def open_event(self, raw: r.Opaque) -> tuple[r.Event, Sequence[r.Opaque]]:
        message = self._parse(m.Event, raw)
        event = r.Event(message.time_unix_nano, message.name, [], message.dropped_attributes_count)
        return event, message.attributes

    def link(self, raw: r.Opaque) -> r.Link:
        message = self._parse(m.Link, raw)
        return r.Link(
            message.trace_id,
            message.span_id,
            message.trace_state,
            self._attributes(message),
            message.dropped_attributes_count,
            message.flags,
        )

    def exemplar(self, raw: r.Opaque) -> r.Exemplar:
        exemplar, attributes = self.open_exemplar(raw)
        exemplar.filtered_attributes = [self.attribute(a) for a in attributes]
        return exemplar

    def open_exemplar(self, raw: r.Opaque) -> tuple[r.Exemplar, Sequence[r.Opaque]]:
        message = self._parse(m.Exemplar, raw)
        exemplar = r.Exemplar(message.time_unix_nano, number(message), message.trace_id, message.span_id)
        return exemplar, message.filtered_attributes

    def _attributes(self, message: Any) -> list[r.KeyValue]:
        return [self.attribute(a) for a in message.attributes]

    def _large_value(self, raw: bytes, depth: int) -> r.AnyValue:
        """A value that may be so large that parsing it at once would take long: one level at a time then."""
        if len(raw) > _LARGE_VALUE_BYTES and depth <= self._bounds.max_value_depth:
            message = self._parse(m.AnyValue, raw)
            kind = message.WhichOneof("value")
            if kind == "array_value":
                values = self._parse(m.ArrayValue, message.array_value).values
                return [self._large_value(item, depth + 1) for item in values]
            if kind == "kvlist_value":
                pairs = (
                    self._parse(m.KeyValue, item) for item in self._parse(m.KeyValueList, message.kvlist_value).values
                )
                return self._entries([(pair.key, self._large_value(pair.value, depth + 1)) for pair in pairs])
        return self._value(self._parse(common_pb2.AnyValue, raw), depth)

    def _entries(self, pairs: Sequence[tuple[str, r.AnyValue]]) -> dict[str, r.AnyValue]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            self.findings.sanitise("duplicate_key", len(pairs) - len(entries))
        return entries

    def _value(self, message: common_pb2.AnyValue, depth: int) -> r.AnyValue:
        kind = message.WhichOneof("value")
        if kind in _SCALARS:
            return getattr(message, kind)  # type: ignore[no-any-return]
        if kind in ("array_value", "kvlist_value") and depth > self._bounds.max_value_depth:
            self.findings.sanitise("too_deep")
            return to_json(self._value(message, _ANY_DEPTH)).decode()
        if kind == "array_value":
            return [self._value(item, depth + 1) for item in message.array_value.values]
        if kind == "kvlist_value":
            return self._entries([(a.key, self._value(a.value, depth + 1)) for a in message.kvlist_value.values])
        # Nothing is set, or a reference into a string table, which only profiles have.
        return None

    def _parse(self, message_class: Any, raw: bytes) -> Any:
        try:
            return message_class.FromString(raw)
        except DecodeError:
            return self._repair(message_class, raw)

    def _repair(self, message_class: Any, raw: bytes) -> Any:
        """Parse what upb refuses whole for one invalid string: U+FFFD in place of what is no UTF-8."""
        name = message_class.DESCRIPTOR.full_name
        try:
            message = m.stringless(name).FromString(raw)
            self._replace_invalid(message)
            return message_class.FromString(message.SerializeToString())
        except DecodeError:
            raise _undecodable(name.rpartition(".")[2]) from None

    def _replace_invalid(self, message: Message) -> None:
        strings = m.string_fields(message.DESCRIPTOR.full_name)
        for field, value in message.ListFields():
            if field.name in strings:
                self._replace_strings(message, field.name, value)
            elif field.type == field.TYPE_MESSAGE:
                for item in value if isinstance(value, Iterable) else (value,):
                    self._replace_invalid(item)

    def _replace_strings(self, message: Message, name: str, value: Any) -> None:
        values = [value] if isinstance(value, bytes) else list(value)
        fixed = [item.decode(errors="replace").encode() for item in values]
        changed = sum(a != b for a, b in zip(values, fixed, strict=True))
        if changed and isinstance(value, bytes):
            setattr(message, name, fixed[0])
        elif changed:
            getattr(message, name)[:] = fixed
        if changed:
            self.findings.sanitise("invalid_utf8", changed)


def _undecodable(name: str) -> UndecodableBody:
    return UndecodableBody(f"{name}: not a protobuf message of this type, cut off, or nested too deep")


_needs_escape = re.compile(rb"[^ !#-\[\]-~]").search


def _key_end(raw: bytes) -> int:
    """Where the key of KeyValue{1: key, 2: value} ends, a key of up to 127 bytes; 0 where the attribute is written in
    any other way: of two keys, say, the second one counts."""
    if len(raw) < 2 or raw[0] != 10 or raw[1] > 127:
        return 0
    end = raw[1] + 2
    if end == len(raw):
        return end
    try:
        return end if raw[end] == 18 and sum(varint(raw, end + 1)) == len(raw) else 0
    except (IndexError, DecodeError):
        return 0


def _varint_json(raw: bytes, start: int) -> bytes | None:
    """The varint that ends the bytes as JSON, of up to nine bytes (so no negative one); else None."""
    if not 0 < len(raw) - start < 10:
        return None
    value = shift = 0
    for byte in raw[start:]:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return b"%d" % value if start + shift // 7 == len(raw) else None


def _check_first(signal: str, body: bytes) -> None:
    with suppress(DecodeError):
        found = m.Envelope.FromString(body).resource_spans
        if (record := next((raw for r in found for s in r.scope_spans for raw in s.spans), None)) is not None:
            check_signal(signal, record)
