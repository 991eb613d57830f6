"""AnyValue in its three written forms: what jsonb stores, what is hashed, and OTLP/JSON.

Stored: plain JSON for string, int, double, bool, array and map; an integral double below 2^63 keeps a `.0` (jsonb
does too), so that ints and doubles stay apart. What JSON cannot carry (bytes, NaN, infinities, -0.0, a map that looks
like such an object) is stored as its OTLP/JSON AnyValue object. U+0000, which PostgreSQL refuses, is escaped.

Source: opentelemetry-proto `common.proto`; https://protobuf.dev/programming-guides/json/.
"""

import hashlib
import math
import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final

import msgspec

from exporter.otlp.records import AnyValue, KeyValue

_encode_json = msgspec.json.encode
_pack_double = struct.Struct(">d").pack
_pack_length = struct.Struct(">I").pack
_NAN = _pack_double(math.nan)
_INT64_LIMIT = 1 << 63
_FIELDS = frozenset(("stringValue", "boolValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "bytesValue"))
NUMBER = re.compile(r"(?=.{1,1000}$)-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
"""JSON's own grammar, of a size that numeric takes; otel_number has the same."""
_SPECIAL: Final = MappingProxyType({"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf})


def escape_nul(text: str) -> str:
    """Text that PostgreSQL takes: U+0000 -> U+001A "0", U+001A -> U+001A "1"."""
    if "\0" in text or "\x1a" in text:
        return text.replace("\x1a", "\x1a1").replace("\0", "\x1a0")
    return text


def unescape_nul(text: str) -> str:
    """The inverse of `escape_nul`."""
    if "\x1a" in text:
        return text.replace("\x1a0", "\0").replace("\x1a1", "\x1a")
    return text


def double_to_otlp(value: float) -> float | str:
    """A double in OTLP/JSON: a number, or "NaN", "Infinity", "-Infinity", "-0" where JSON has none."""
    if math.isfinite(value):
        return "-0" if value == 0 and math.copysign(1, value) < 0 else value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def to_otlp(value: AnyValue) -> dict[str, Any]:
    """The OTLP/JSON AnyValue object of a value; {} for null."""
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": double_to_otlp(value)}
    if isinstance(value, bytes):
        return {"bytesValue": b64encode(value).decode()}
    if isinstance(value, list):
        return {"arrayValue": {"values": [to_otlp(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": attributes_to_otlp(KeyValue(k, v) for k, v in value.items())}}
    return {}


def attributes_to_otlp(attributes: Iterable[KeyValue]) -> list[dict[str, Any]]:
    """OTLP/JSON KeyValue objects."""
    return [{"key": a.key, "value": to_otlp(a.value)} for a in attributes]


def to_json(value: AnyValue) -> bytes:
    """The stored JSON text of a value."""
    if type(value) is str:
        return _encode_json(escape_nul(value))
    return _encode_json(_storable(value)) if type(value) is not float else _double_json(value)


def _double_json(value: float) -> bytes:
    if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
        return _encode_json({"doubleValue": double_to_otlp(value)})
    if value.is_integer() and abs(value) <= _INT64_LIMIT:
        return b"%d.0" % int(value)
    return repr(value).encode()


def _storable(value: AnyValue) -> Any:
    if isinstance(value, str):
        return escape_nul(value)
    if isinstance(value, float):
        return msgspec.Raw(_double_json(value))
    if isinstance(value, bytes):
        return to_otlp(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1 and next(iter(value)) in _FIELDS:
            return _escape_strings(to_otlp(value))
        return {escape_nul(key): _storable(item) for key, item in value.items()}
    return value


def _escape_strings(value: Any) -> Any:
    if isinstance(value, str):
        return escape_nul(value)
    if isinstance(value, list):
        return [_escape_strings(item) for item in value]
    if isinstance(value, dict):
        return {escape_nul(key): _escape_strings(item) for key, item in value.items()}
    return value


def forms(text: str) -> Iterable[bytes]:
    """The stored forms of every value that reads like this text: what filters and erasures look for."""
    yield to_json(text)
    if NUMBER.fullmatch(text):
        # jsonb compares numbers as such: 200 is 200.0, and 2e2.
        yield text.encode()
        if float(text) == 0:
            yield to_json(-0.0)
    elif text in ("true", "false"):
        yield text.encode()
    elif text in _SPECIAL:
        yield to_json(_SPECIAL[text])
    if text and len(text) % 4 == 0 and re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", text):
        data = b64decode(text)
        if b64encode(data).decode() == text:
            yield to_json(data)


def from_stored(value: Any) -> AnyValue:
    """The value of a stored JSON value (as decoded by a JSON parser that keeps ints and floats apart)."""
    if isinstance(value, str):
        return unescape_nul(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # jsonb prints a large double without a point; no int64 is that large.
        return value if -_INT64_LIMIT <= value < _INT64_LIMIT else float(value)
    if isinstance(value, list):
        return [from_stored(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1 and (field := next(iter(value))) in _FIELDS:
            return _from_otlp_field(field, value[field])
        return {unescape_nul(key): from_stored(item) for key, item in value.items()}
    return value  # type: ignore[no-any-return]


def _from_otlp_field(field: str, value: Any) -> AnyValue:
    if field == "bytesValue":
        return b64decode(value)
    if field == "doubleValue":
        return float(value)
    if field == "intValue":
        return int(value)
    if field == "arrayValue":
        return [from_otlp(item) for item in value["values"]]
    if field == "kvlistValue":
        return {unescape_nul(item["key"]): from_otlp(item["value"]) for item in value["values"]}
    return unescape_nul(value) if field == "stringValue" else bool(value)


def from_otlp(value: dict[str, Any]) -> AnyValue:
    """The value of an OTLP/JSON AnyValue object. Raises ValueError, TypeError or KeyError where it is none."""
    field = next(iter(value), None)
    return None if field is None else _from_otlp_field(field, value[field])


def to_text(value: AnyValue) -> str:
    """A value as text, the same for a string and for what it spells: bytes as base64, anything else as its stored JSON
    with the keys of maps in order."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return msgspec.json.encode(_storable(value), order="sorted").decode()


def canonical(value: AnyValue) -> bytes:
    """Bytes that are equal exactly where two values are: 1, true, 1.0 and "1" differ, order of keys does not matter."""
    out: list[bytes] = []
    _canonical(value, out.append)
    return b"".join(out)


def _canonical(value: AnyValue, put: Any) -> None:
    if isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        put((b"s" if isinstance(value, str) else b"b") + _pack_length(len(data)))
        put(data)
    elif isinstance(value, bool):
        put(b"t" if value else b"f")
    elif isinstance(value, int):
        put(b"i%d;" % value)
    elif isinstance(value, float):
        put(b"d" + (_NAN if math.isnan(value) else _pack_double(value)))
    elif isinstance(value, list):
        put(b"l" + _pack_length(len(value)))
        for item in value:
            _canonical(item, put)
    elif isinstance(value, dict):
        put(b"m" + _pack_length(len(value)))
        for key in sorted(value):
            _canonical(key, put)
            _canonical(value[key], put)
    else:
        put(b"n")


def identity(*parts: AnyValue) -> bytes:
    """The 32-byte SHA-256 by which a dimension is known, over the canonical form of its parts."""
    return hashlib.sha256(canonical(list(parts))).digest()


def key_hash(key: str) -> bytes:
    """What an attribute key is unique by: a key may be longer than an index takes."""
    return hashlib.sha256(key.encode()).digest()


def canonical_entry(key: str, value: AnyValue) -> bytes:
    """An entry of a map as `canonical` has it."""
    return canonical(key) + canonical(value)


def identity_of_map(parts: list[AnyValue], entries: Iterable[bytes]) -> bytes:
    """`identity` of the parts and, after them, a map of which the canonical entries are known, sorted by key."""
    joined = list(entries)
    head = b"l" + _pack_length(len(parts) + 1) + b"".join(map(canonical, parts))
    return hashlib.sha256(head + b"m" + _pack_length(len(joined)) + b"".join(joined)).digest()
