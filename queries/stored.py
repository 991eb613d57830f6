"""What the columns hold, back to what was sent, and further to plain JSON."""

import math
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from exporter.otlp.anyvalue import escape_nul, from_stored, unescape_nul
from exporter.otlp.records import AnyValue, KeyValue

Attributes = dict[str, AnyValue]

_decode = msgspec.json.Decoder().decode
_UINT64 = (1 << 64) - 1
_UINT32 = (1 << 32) - 1
_WILDCARD, _LITERALLY = re.compile(r"[%_\\]"), r"\\\g<0>"


def value(text: bytes | None) -> AnyValue:
    """The value of a jsonb column."""
    return None if text is None else from_stored(_decode(text))


def attributes(text: bytes | None) -> Attributes:
    """The attributes of a jsonb column; none for null."""
    if text is None or text == b"{}":
        return {}
    return {unescape_nul(key): from_stored(item) for key, item in _decode(text).items()}


def key_values(found: Mapping[str, AnyValue]) -> list[KeyValue]:
    """Attributes as OTLP lists them."""
    return [KeyValue(key, item) for key, item in found.items()]


def unsigned(bits: int | None) -> int:
    """A uint64 that a bigint holds; 0 for null."""
    return (bits or 0) & _UINT64


def unsigned32(bits: int | None) -> int:
    """A uint32 that an int holds; 0 for null."""
    return (bits or 0) & _UINT32


def unsigned_all(counts: Iterable[int] | None, wide: Iterable[int] | None) -> list[int]:
    """Counts of an int[] column or of the bigint[] beside it."""
    return list(counts) if counts is not None else [unsigned(count) for count in wide or ()]


def span_id(bits: int | None) -> bytes:
    """The 8 bytes of a span id; b"" for null."""
    return b"" if bits is None else unsigned(bits).to_bytes(8, "big")


def text(stored: str | None) -> str:
    """A text column; "" for null."""
    return unescape_nul(stored) if stored else ""


def escaped(texts: list[str]) -> list[str] | None:
    """What a parameter has to equal in a text column; None, which is any, where nothing is given."""
    return [escape_nul(text) for text in texts] or None


def containing(text: str) -> list[str]:
    """Patterns of LIKE for what contains `text`: the first one for a text column, both for the text of a jsonb column,
    where the second one finds what JSON escapes inside of strings."""
    raw = escape_nul(text)
    forms = (raw, msgspec.json.encode(raw).decode()[1:-1])
    return [f"%{_WILDCARD.sub(_LITERALLY, form)}%" for form in forms]


def hex_or_null(raw: bytes) -> str | None:
    """An id in hex; None where there is none."""
    return raw.hex() or None


def plain(found: AnyValue) -> Any:
    """A value as JSON for people: bytes as {"bytesValue": base64}, doubles that JSON lacks as strings."""
    if isinstance(found, float):
        return number(found)
    if isinstance(found, bytes):
        return {"bytesValue": b64encode(found).decode()}
    if isinstance(found, list):
        return [plain(item) for item in found]
    if isinstance(found, dict):
        return {key: plain(item) for key, item in found.items()}
    return found


def number(found: float | None) -> float | str | None:
    """A number as JSON: "NaN", "Infinity" and "-Infinity" are strings."""
    if found is None or math.isfinite(found):
        return found
    return "NaN" if math.isnan(found) else "Infinity" if found > 0 else "-Infinity"
