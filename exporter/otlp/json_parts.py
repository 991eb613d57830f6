"""The opaque parts of OTLP/JSON records to values: attributes, resources, scopes, events, links, ids and enums.

Source: opentelemetry-proto `common.proto`, `resource.proto`, `trace.proto`, and `docs/specification.md`, "JSON Protobuf
Encoding" (ids are hex, enums are integers).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct
from opentelemetry.proto.trace.v1.trace_pb2 import Status as StatusMessage

from exporter.otlp import json_wire as wire
from exporter.otlp import records as r
from exporter.otlp.anyvalue import to_json
from exporter.otlp.json_fields import Malformed, base64, check_u64, decode, double, int64, quote, read, read_quickly

T = TypeVar("T")
V = TypeVar("V")
_ANY_DEPTH = -1_000
_STATUS_CODES: Mapping[str, int] = dict(StatusMessage.StatusCode.items())

_short_attribute = re.compile(
    rb'\{"key":"([ !#-\[\]-~]+)","value":\{'
    rb'(?:"stringValue":("[ !#-\[\]-~]*")|"intValue":("?)(-?(?:0|[1-9]\d{0,17}))\3)\}\}'
).fullmatch


class _Opened(Struct, rename="camel", gc=False):
    """The arrayValue or kvlistValue of a large AnyValue, whose items are not looked at."""

    values: list[Raw] | None = None


class _LargeValue(Struct, rename="camel", gc=False):
    """A large AnyValue, as far as its items."""

    array_value: _Opened | None = None
    kvlist_value: _Opened | None = None


class _LargePair(Struct, rename="camel", gc=False):
    """A KeyValue of a large AnyValue."""

    key: str | None = None
    value: Raw = wire.NO_RAW


_LARGE_VALUE_BYTES = 1024 * 1024
_LARGE_VALUE = msgspec.json.Decoder(_LargeValue | None)
_LARGE_PAIR = msgspec.json.Decoder(_LargePair)
_KEY_VALUE = msgspec.json.Decoder(wire.KeyValue)
_ANY_VALUE = msgspec.json.Decoder(wire.AnyValue | None)


def opaque(raw: Raw) -> r.Opaque:
    """The bytes of one JSON value; b"" for null, which is absent."""
    value = bytes(raw)
    return b"" if value == b"null" else value


class JsonParts:
    """The part of `records.Codec` that decodes opaque parts; every method raises `Malformed`, and nothing else."""

    is_json = True

    def __init__(self, bounds: r.Bounds = r.UNBOUNDED) -> None:
        self.findings = r.Findings()
        self._bounds = bounds

    def cut(self, raw: r.Opaque, row_keys: Mapping[bytes, r.RowKey]) -> r.RowEntry | None:
        # Written as every SDK writes it: no white space, the key first, a string or int without anything to unescape.
        found = _short_attribute(raw)
        row_key = None if found is None else row_keys.get(found[1])
        return None if row_key is None else (row_key[0], row_key[1] + (found[2] or found[4]))  # type: ignore[index]

    def key_part(self, raw: r.Opaque) -> bytes | None:
        found = _short_attribute(raw)
        return None if found is None else found[1]

    def block(self, raw: r.Opaque) -> list[r.Opaque]:
        # JSON points never come with a block.
        raise AssertionError(raw)

    def attribute_key(self, raw: r.Opaque) -> str:
        return decode(_KEY_VALUE, raw).key or ""

    def attribute(self, raw: r.Opaque | Raw) -> r.KeyValue:
        if memoryview(raw).nbytes > _LARGE_VALUE_BYTES:
            pair = decode(_LARGE_PAIR, raw)
            return r.KeyValue(pair.key or "", self._large_value(pair.value, 1))
        w = decode(_KEY_VALUE, raw)
        return r.KeyValue(w.key or "", self._value(w.value, 1))

    def text_attribute(self, key: str, text: str) -> r.Opaque:
        return msgspec.json.encode({"key": key, "value": {"stringValue": text}})

    def any_value(self, raw: r.Opaque) -> r.AnyValue:
        return self._large_value(raw, 1) if raw else None

    def resource(self, raw: r.Opaque) -> r.Resource:
        w = read_quickly(wire.Resource, raw or b"{}")
        entities = [
            r.EntityRef(e.schema_url or "", e.type or "", list(e.id_keys), list(e.description_keys))
            for e in w.entity_refs
        ]
        return r.Resource(self._attributes(w.attributes), w.dropped_attributes_count, entities)

    def scope(self, raw: r.Opaque) -> r.Scope:
        w = read_quickly(wire.Scope, raw or b"{}")
        attributes = self._attributes(w.attributes)
        return r.Scope(w.name or "", w.version or "", attributes, w.dropped_attributes_count)

    def status(self, raw: r.Opaque) -> r.Status:
        w = read_quickly(wire.Status, raw or b"{}")
        return r.Status(self.enum("code", _STATUS_CODES, w.code), w.message or "")

    def event(self, raw: r.Opaque) -> r.Event:
        event, attributes = self.open_event(raw)
        event.attributes = [self.attribute(a) for a in attributes]
        return event

    def open_event(self, raw: r.Opaque) -> tuple[r.Event, list[r.Opaque]]:
        w = read_quickly(wire.Event, raw or b"{}")
        check_u64("timeUnixNano", w.time_unix_nano)
        event = r.Event(w.time_unix_nano, w.name or "", [], w.dropped_attributes_count)
        return event, [bytes(a) for a in w.attributes]

    def link(self, raw: r.Opaque) -> r.Link:
        w = read_quickly(wire.Link, raw or b"{}")
        return r.Link(
            self.id(w.trace_id, 16),
            self.id(w.span_id, 8),
            w.trace_state or "",
            self._attributes(w.attributes),
            w.dropped_attributes_count,
            w.flags,
        )

    def exemplar(self, raw: r.Opaque) -> r.Exemplar:
        exemplar, attributes = self.open_exemplar(raw)
        exemplar.filtered_attributes = [self.attribute(a) for a in attributes]
        return exemplar

    def open_exemplar(self, raw: r.Opaque) -> tuple[r.Exemplar, list[r.Opaque]]:
        w = read(wire.Exemplar, raw or b"{}")
        value = w.as_double if w.as_int is None else w.as_int
        exemplar = r.Exemplar(w.time_unix_nano, value, self.id(w.trace_id, 16), self.id(w.span_id, 8))
        return exemplar, [bytes(a) for a in w.filtered_attributes]

    def id(self, text: str | None, size: int, *, own: bool = False) -> bytes:
        """An id of `size` bytes: hex of any length as sent, base64 of the right one; b"" where it is neither.

        Counts what it repairs or gives up, except a span's `own` id: that span is refused, which is counted already.
        """
        try:
            found = bytes.fromhex(text or "")
        except ValueError:
            return self._base64_id(text or "", size, own)
        # bytes.fromhex skips blanks.
        return found if len(found) * 2 == len(text or "") else self._base64_id(text or "", size, own)

    def _base64_id(self, text: str, size: int, own: bool) -> bytes:
        # 16 and 8 bytes in padded base64; without the padding a text says too little to guess from.
        if len(text) == (size + 2) // 3 * 4:
            try:
                found = base64(text)
            except Malformed:
                found = b""
            if len(found) == size:
                self.findings.sanitise("base64_id")
                return found
        if not own:
            self.findings.sanitise("unreadable_id")
        return b""

    def enum(self, field: str, names: Mapping[str, int], value: int | str) -> int:
        """The number of an enum that may have been sent by its name. Raises Malformed for an unknown name."""
        if isinstance(value, int):
            return value
        number = names.get(value)
        if number is None:
            raise Malformed(f"no such enum name: {quote(value.encode())}", field)
        self.findings.sanitise("enum_name")
        return number

    def _attributes(self, raws: Iterable[Raw]) -> list[r.KeyValue]:
        return [self.attribute(raw) for raw in raws]

    def _value(self, w: wire.AnyValue | None, depth: int) -> r.AnyValue:
        if w is None:
            return None
        if w.string_value is not None:
            return w.string_value
        if w.bool_value is not None:
            return w.bool_value
        if raw := opaque(w.int_value):
            number: int = _unquoted(int64, raw, "intValue", "an integer of 64 bits")
            return number
        if raw := opaque(w.double_value):
            return _unquoted(double, raw, "doubleValue", "a number")
        if w.bytes_value is not None:
            return _unquoted(base64, w.bytes_value, "bytesValue", "base64")
        return self._nested(w, depth)

    def _large_value(self, raw: r.Opaque | Raw, depth: int) -> r.AnyValue:
        """A value that may be so large that decoding it at once would take long: one level at a time then."""
        size = memoryview(raw).nbytes
        if size > _LARGE_VALUE_BYTES and depth <= self._bounds.max_value_depth:
            w = decode(_LARGE_VALUE, raw)
            if w is not None and w.array_value is not None:
                return [self._large_value(item, depth + 1) for item in w.array_value.values or ()]
            if w is not None and w.kvlist_value is not None:
                pairs = [decode(_LARGE_PAIR, item) for item in w.kvlist_value.values or ()]
                return self._entries([(pair.key or "", self._large_value(pair.value, depth + 1)) for pair in pairs])
        return self._value(decode(_ANY_VALUE, raw), depth) if size else None

    def _entries(self, pairs: list[tuple[str, r.AnyValue]]) -> dict[str, r.AnyValue]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            self.findings.sanitise("duplicate_key", len(pairs) - len(entries))
        return entries

    def _nested(self, w: wire.AnyValue, depth: int) -> r.AnyValue:
        if w.array_value is None and w.kvlist_value is None:
            return None
        if depth > self._bounds.max_value_depth:
            return self._too_deep(w)
        if w.array_value is not None:
            return [self._value(item, depth + 1) for item in w.array_value.values or ()]
        pairs = (w.kvlist_value and w.kvlist_value.values) or ()
        return self._entries([(pair.key or "", self._value(pair.value, depth + 1)) for pair in pairs])

    def _too_deep(self, w: wire.AnyValue) -> str:
        self.findings.sanitise("too_deep")
        try:
            return to_json(self._nested(w, _ANY_DEPTH)).decode()
        except RecursionError:
            # msgspec gets further down than Python does; then as it was sent.
            return msgspec.json.encode(w).decode()


def _unquoted(read_value: Callable[[T], V], given: T, field: str, wanted: str) -> V:
    """A part of an AnyValue, by a reader whose error would quote it: what is said must not tell what may be dropped."""
    try:
        return read_value(given)
    except Malformed:
        raise Malformed(f"{wanted} is needed", field) from None
