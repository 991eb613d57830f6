"""OTLP/HTTP protobuf: requests to records by wire-compatible copies of the official descriptors.

An embedded message and a bytes field are the same on the wire. So the copies declare what mostly repeats (attributes,
resource, scope, status, events, links, body, exemplars) as bytes, and upb hands each over without looking inside.
Enums are int32 in the copies: OTLP's enums are open.

Source: opentelemetry-proto; https://protobuf.dev/programming-guides/encoding/.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from exporter.errors import UndecodableBody
from exporter.otlp import records as r
from exporter.otlp.anyvalue import MAX_DEPTH, to_json
from exporter.otlp.protobuf_records import cut_number_point, logs, metric, number, number_point, spans
from exporter.otlp.protobuf_signal import check_signal, looks_right

_Field = descriptor_pb2.FieldDescriptorProto
_FILES = (common_pb2, resource_pb2, trace_pb2, logs_pb2, metrics_pb2)
_OPAQUE = (
    ".opentelemetry.proto.common.",
    ".opentelemetry.proto.resource.",
    ".opentelemetry.proto.trace.v1.Span.Event",
    ".opentelemetry.proto.trace.v1.Span.Link",
    ".opentelemetry.proto.trace.v1.Status",
    ".opentelemetry.proto.metrics.v1.Exemplar",
    ".opentelemetry.proto.metrics.v1.NumberDataPoint",
)


def _copies(package: str, to_bytes: Callable[[_Field], bool]) -> Callable[[str], Any]:
    """Message classes by official full name, copied into `package`; fields that `to_bytes` names become bytes."""
    pool = descriptor_pool.DescriptorPool()

    def rewrite(message: descriptor_pb2.DescriptorProto) -> None:
        for field in message.field:
            if field.type == _Field.TYPE_ENUM:
                field.type = _Field.TYPE_INT32
                field.ClearField("type_name")
            elif to_bytes(field):
                field.type = _Field.TYPE_BYTES
                field.ClearField("type_name")
            elif field.type == _Field.TYPE_MESSAGE:
                field.type_name = field.type_name.replace(".opentelemetry.proto", f".{package}")
        for nested in message.nested_type:
            rewrite(nested)

    for module in _FILES:
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        file.name = f"{package}/{file.name}"
        file.package = file.package.replace("opentelemetry.proto", package)
        file.dependency[:] = [f"{package}/{name}" for name in file.dependency]
        for message in file.message_type:
            rewrite(message)
        pool.Add(file)

    def message_class(name: str) -> Any:
        found = pool.FindMessageTypeByName(name.replace("opentelemetry.proto", package))
        return message_factory.GetMessageClass(found)

    return message_class


_opaque = _copies(
    "postel.opaque", lambda field: field.type == _Field.TYPE_MESSAGE and field.type_name.startswith(_OPAQUE)
)
_TracesData = _opaque("opentelemetry.proto.trace.v1.TracesData")
_LogsData = _opaque("opentelemetry.proto.logs.v1.LogsData")
_MetricsData = _opaque("opentelemetry.proto.metrics.v1.MetricsData")
_REQUESTS = {
    r.SPANS: (_TracesData, "resource_spans", "scope_spans", "spans"),
    r.LOGS: (_LogsData, "resource_logs", "scope_logs", "log_records"),
    r.METRICS: (_MetricsData, "resource_metrics", "scope_metrics", "metrics"),
}
# The envelopes of all signals are the same on the wire: this one reads the records of any, as bytes.
_Envelope = _copies(
    "postel.envelope",
    lambda field: field.type == _Field.TYPE_MESSAGE and field.type_name == ".opentelemetry.proto.trace.v1.Span",
)("opentelemetry.proto.trace.v1.TracesData")
_Event = _opaque("opentelemetry.proto.trace.v1.Span.Event")
_NumberDataPoint = _opaque("opentelemetry.proto.metrics.v1.NumberDataPoint")
_Exemplar = _opaque("opentelemetry.proto.metrics.v1.Exemplar")
# The same with strings as bytes: what invalid UTF-8 is repaired with.
_stringless = _copies("postel.stringless", lambda field: field.type == _Field.TYPE_STRING)

_ANY_DEPTH = -1_000
_SCALARS = frozenset(("string_value", "int_value", "bool_value", "double_value", "bytes_value"))


class ProtobufCodec:
    """`records.Codec` for application/x-protobuf."""

    is_json = False

    def __init__(self) -> None:
        self.findings = r.Findings()

    def spans(self, body: bytes) -> Iterator[r.ScopeRecords[r.Span]]:
        for resource in self._resources(r.SPANS, body):
            # Read once: whoever gets it knows by identity that it is the same.
            raw, schema_url = resource.resource, resource.schema_url
            for scope in resource.scope_spans:
                yield r.ScopeRecords(raw, schema_url, scope.scope, scope.schema_url, spans(scope.spans))

    def logs(self, body: bytes) -> Iterator[r.ScopeRecords[r.LogRecord]]:
        for resource in self._resources(r.LOGS, body):
            raw, schema_url = resource.resource, resource.schema_url
            for scope in resource.scope_logs:
                yield r.ScopeRecords(raw, schema_url, scope.scope, scope.schema_url, logs(scope.log_records))

    def metrics(self, body: bytes) -> Iterator[r.ScopeRecords[r.Metric]]:
        for resource in self._resources(r.METRICS, body):
            raw, schema_url = resource.resource, resource.schema_url
            for scope in resource.scope_metrics:
                metrics = [metric(item, self._number_point) for item in scope.metrics]
                yield r.ScopeRecords(raw, schema_url, scope.scope, scope.schema_url, metrics)

    def _resources(self, signal: str, body: bytes) -> Any:
        """The resources of a request, whose records are of this signal."""
        message_class, resources, scopes, records = _REQUESTS[signal]
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

    def _number_point(self, raw: r.Opaque) -> r.NumberDataPoint:
        return cut_number_point(raw) or number_point(self._parse(_NumberDataPoint, raw))

    def block(self, raw: r.Opaque) -> Sequence[r.Opaque]:
        return self._parse(_NumberDataPoint, raw).attributes  # type: ignore[no-any-return]

    def attribute_key(self, raw: r.Opaque) -> str:
        # KeyValue{1: key}, as every encoder writes it: the key first, with a length of one byte.
        if raw[:1] == b"\n" and len(raw) > 1 and raw[1] < 128 and len(raw) >= 2 + raw[1]:
            return raw[2 : 2 + raw[1]].decode(errors="replace")
        return self.attribute(raw).key

    def cut(self, raw: r.Opaque, row_keys: Mapping[bytes, r.RowKey]) -> r.Interned | None:
        # KeyValue{1: key, 2: AnyValue{1: string | 3: int}}, every length in one byte and exactly as long as said.
        try:
            end = raw[1] + 2
            row_key = row_keys.get(raw[:end])
            if row_key is None:
                return None
            size = len(raw) - end
            if raw[end] != 18 or raw[end + 1] != size - 2 or size > 129:
                return None
            if raw[end + 2] == 10 and raw[end + 3] == size - 4:
                text = raw[end + 4 :]
                return None if _needs_escape(text) else (0, row_key[0], b'%b"%b"' % (row_key[1], text))
            if raw[end + 2] == 24 and (json := _varint_json(raw, end + 3)) is not None:
                return 0, row_key[0], row_key[1] + json
        except IndexError:
            pass
        return None

    def key_part(self, raw: r.Opaque) -> bytes | None:
        # A key of up to 127 bytes, written first.
        return raw[: raw[1] + 2] if len(raw) > 1 and raw[0] == 10 and raw[1] < 128 else None

    def attribute(self, raw: r.Opaque) -> r.KeyValue:
        return self._key_value(self._parse(common_pb2.KeyValue, raw))

    def any_value(self, raw: r.Opaque) -> r.AnyValue:
        # AnyValue{1: string} of up to 16,383 bytes, which most log bodies are.
        if raw[:1] == b"\n" and len(raw) > 2 and raw.isascii() and raw[1] == len(raw) - 2:
            return raw[2:].decode()
        if raw[:1] == b"\n" and len(raw) > 130 and raw[1] - 128 + (raw[2] << 7) == len(raw) - 3 and raw[2] < 128:
            text = raw[3:]
            if text.isascii():
                return text.decode()
        return self._value(self._parse(common_pb2.AnyValue, raw), 1)

    def resource(self, raw: r.Opaque) -> r.Resource:
        message = self._parse(resource_pb2.Resource, raw)
        entities = [
            r.EntityRef(e.schema_url, e.type, list(e.id_keys), list(e.description_keys)) for e in message.entity_refs
        ]
        return r.Resource(self._attributes(message), message.dropped_attributes_count, entities)

    def scope(self, raw: r.Opaque) -> r.Scope:
        message = self._parse(common_pb2.InstrumentationScope, raw)
        return r.Scope(message.name, message.version, self._attributes(message), message.dropped_attributes_count)

    def status(self, raw: r.Opaque) -> r.Status:
        message = self._parse(trace_pb2.Status, raw)
        return r.Status(message.code, message.message)

    def event(self, raw: r.Opaque) -> r.Event:
        event, attributes = self.open_event(raw)
        event.attributes = [self.attribute(a) for a in attributes]
        return event

    def open_event(self, raw: r.Opaque) -> tuple[r.Event, Sequence[r.Opaque]]:
        message = self._parse(_Event, raw)
        event = r.Event(message.time_unix_nano, message.name, [], message.dropped_attributes_count)
        return event, message.attributes

    def link(self, raw: r.Opaque) -> r.Link:
        message = self._parse(trace_pb2.Span.Link, raw)
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
        message = self._parse(_Exemplar, raw)
        exemplar = r.Exemplar(message.time_unix_nano, number(message), message.trace_id, message.span_id)
        return exemplar, message.filtered_attributes

    def _attributes(self, message: Any) -> list[r.KeyValue]:
        return [self._key_value(a) for a in message.attributes]

    def _key_value(self, message: common_pb2.KeyValue) -> r.KeyValue:
        return r.KeyValue(message.key, self._value(message.value, 1))

    def _value(self, message: common_pb2.AnyValue, depth: int) -> r.AnyValue:
        kind = message.WhichOneof("value")
        if kind in _SCALARS:
            return getattr(message, kind)  # type: ignore[no-any-return]
        if kind in ("array_value", "kvlist_value") and depth > MAX_DEPTH:
            self.findings.sanitise("too_deep")
            return to_json(self._value(message, _ANY_DEPTH)).decode()
        if kind == "array_value":
            return [self._value(item, depth + 1) for item in message.array_value.values]
        if kind == "kvlist_value":
            entries = {a.key: self._value(a.value, depth + 1) for a in message.kvlist_value.values}
            if len(entries) < len(message.kvlist_value.values):
                self.findings.sanitise("duplicate_key", len(message.kvlist_value.values) - len(entries))
            return entries
        # Nothing is set, or a reference into a string table, which only profiles have.
        return None

    def _parse(self, message_class: Any, raw: bytes) -> Any:
        try:
            return message_class.FromString(raw)
        except DecodeError:
            return self._repair(message_class, raw)

    def _repair(self, message_class: Any, raw: bytes) -> Any:
        """Parse what upb refuses whole for one invalid string: U+FFFD in place of what is no UTF-8."""
        name = message_class.DESCRIPTOR.full_name.replace("postel.opaque", "opentelemetry.proto")
        try:
            message = _stringless(name).FromString(raw)
            self._replace_invalid(message)
            return message_class.FromString(message.SerializeToString())
        except DecodeError:
            raise UndecodableBody(
                f"{name.rpartition('.')[2]}: not a protobuf message of this type, cut off, or nested too deep"
            ) from None

    def _replace_invalid(self, message: Message) -> None:
        strings = _string_fields(message.DESCRIPTOR.full_name)
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


_needs_escape = re.compile(rb"[^ !#-\[\]-~]").search


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
        found = _Envelope.FromString(body).resource_spans
        if (record := next((raw for r in found for s in r.scope_spans for raw in s.spans), None)) is not None:
            check_signal(signal, record)


@cache
def _string_fields(stringless_name: str) -> frozenset[str]:
    """The names of the string fields of the official message behind a stringless copy."""
    name = stringless_name.replace("postel.stringless", "opentelemetry.proto")
    for module in _FILES:
        with suppress(KeyError):
            message = module.DESCRIPTOR.pool.FindMessageTypeByName(name)
            return frozenset(f.name for f in message.fields if f.type == f.TYPE_STRING)
    raise AssertionError(name)
