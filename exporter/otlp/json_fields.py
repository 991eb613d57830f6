"""JSON fields read one by one: exact, and with an error that names the field.

Slower than msgspec's typed decoding, so used where that gives up: numbers such as 1e3, -0 and 7.0, null for absent, and
records that are not of their type. Which field is read how follows from the types of `json_wire`.

Source: https://protobuf.dev/programming-guides/json/.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Raw, Struct, defstruct

from exporter.errors import UndecodableBody
from exporter.otlp import json_wire as wire

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
Reader = Callable[[bytes], Any]

# Exponents of five digits and integers of forty are far out of any range, and cheap to find so.
_NUMBER = re.compile(rb'("?)(-?[0-9]+)(\.[0-9]+)?([eE][+-]?[0-9]{1,5})?\1')
_MAX_DIGITS = 40
_QUOTED = 60


class Malformed(UndecodableBody):
    """One record or opaque part is not of its type, at `path` in it; the rest of the body may well be."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem = problem
        self.path = path

    def under(self, step: str) -> "Malformed":
        """The same, seen from one level up."""
        dot = "." if self.path and not self.path.startswith("[") else ""
        return Malformed(self.problem, f"{step}{dot}{self.path}")


def decode(decoder: "msgspec.json.Decoder[T]", raw: bytes | Raw) -> T:
    """What `decoder` makes of `raw`; whatever it raises becomes Malformed."""
    try:
        return decoder.decode(raw)
    except RecursionError:
        raise Malformed("nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from None


def read(struct: type[S], raw: bytes | Raw) -> S:
    """A wire struct from one JSON object, field by field. Raises Malformed naming the field."""
    decoder, readers = _readers(struct)
    values = {}
    # Unknown fields are ignored, however many they are.
    found = decode(decoder, raw)
    for name, (field, reader) in readers.items():
        text = bytes(getattr(found, field))
        # Protobuf's JSON: null is the same as absent.
        if text and text != b"null":
            try:
                values[field] = reader(text)
            except Malformed as error:
                raise error.under(name) from None
    return struct(**values)


def read_quickly(struct: type[S], raw: bytes | Raw) -> S:
    """The same, typed where that goes well. Not for doubles: msgspec loses the sign of -0."""
    try:
        message: S = _typed(struct).decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return read(struct, raw)
    return message


@cache
def _typed(struct: type[Any]) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(struct, strict=False)


def check_u64(field: str, *values: int) -> None:
    """Raises Malformed where one of some non-negative integers exceeds 64 bits: see `json_wire.U64`."""
    for value in values:
        if value > wire.U64_MAX:
            raise Malformed(f"out of range: {value}", field)


def integer(low: int, high: int) -> Reader:
    """A reader of integers from `low` to `high`: numbers or strings, also such as 7.0 and 1e3."""

    def read_integer(raw: bytes) -> int:
        # Nearly all: a few digits, quoted or not.
        plain = raw.strip(b'"')
        if len(plain) < _MAX_DIGITS and plain.isdigit() and int(plain) <= high:
            return int(plain)
        if b"\\" in raw:
            raw = b'"%s"' % decode(_STRING, raw).encode()
        number = _NUMBER.fullmatch(raw)
        if number is None:
            raise Malformed(f"an integer is needed, not {quote(raw)}")
        _, digits, fraction, exponent = number.groups()
        if len(digits) > _MAX_DIGITS:
            raise Malformed(f"out of range: {quote(raw)}")
        value = int(digits) if fraction is None and exponent is None else _integral(raw)
        if not low <= value <= high:
            raise Malformed(f"out of range: {quote(raw)}")
        return value

    return read_integer


def _integral(raw: bytes) -> int:
    text = raw.strip(b'"').decode()
    # What no double can tell from zero is zero to msgspec's typed decoder.
    if float(text) == 0:
        return 0
    value = Decimal(text)
    if value.adjusted() > _MAX_DIGITS:
        raise Malformed(f"out of range: {quote(raw)}")
    if value != int(value):
        raise Malformed(f"an integer is needed, not {quote(raw)}")
    return int(value)


def double(raw: bytes) -> float:
    """A double: number or string, "NaN", "Infinity", "-Infinity"."""
    # msgspec takes -0 for the integer, which has no sign.
    if raw.strip(b'"') == b"-0":
        return -0.0
    return decode(_DOUBLE, raw)


def base64(text: str) -> bytes:
    """Bytes from base64, standard or URL-safe, with or without padding. Raises Malformed."""
    try:
        standard = text.rstrip("=").translate(_URL_SAFE)
        return b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (Base64Error, ValueError):
        raise Malformed(f"base64 is needed, not {quote(text.encode(errors='replace'))}") from None


def quote(raw: bytes) -> str:
    """The beginning of what was sent, for a message; not of what may hold attributes, as some are to be dropped."""
    if raw[:1] in (b"{", b"["):
        return "an object" if raw[:1] == b"{" else "a list"
    text = raw.decode(errors="replace")
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"


def _list(item: Reader) -> Reader:
    def read_list(raw: bytes) -> list[Any]:
        values = []
        for index, value in enumerate(_raws(raw)):
            try:
                values.append(item(bytes(value)))
            except Malformed as error:
                raise error.under(f"[{index}]") from None
        return values

    return read_list


@cache
def _readers(struct: type[Struct]) -> tuple["msgspec.json.Decoder[Any]", dict[str, tuple[str, Reader]]]:
    """A decoder to the same fields, undecoded, b"" where absent; JSON name -> the struct's field and how to read it."""
    fields = msgspec.structs.fields(struct)
    raw = defstruct(
        struct.__name__, [(f.name, Raw, wire.NO_RAW) for f in fields], rename={f.name: f.encode_name for f in fields}
    )
    return msgspec.json.Decoder(raw), {f.encode_name: (f.name, _reader(f.type)) for f in fields}


def _reader(field_type: Any) -> Reader:
    if (reader := _SCALARS.get(field_type)) is not None:
        return reader
    if get_origin(field_type) is list:
        (item,) = get_args(field_type)
        # Data points are records: whoever asked reads them one by one.
        return _raws if isinstance(item, TypeVar) else _list(_reader(item))
    struct = get_origin(field_type) or field_type
    return lambda raw: read(struct, raw)


def _raws(raw: bytes) -> list[Raw]:
    return decode(_LIST, raw)


def _enum(raw: bytes) -> int | str:
    return decode(_STRING, raw) if raw.startswith(b'"') else _int32(raw)


_LIST = msgspec.json.Decoder(list[Raw])
_STRING = msgspec.json.Decoder(str)
_DOUBLE = msgspec.json.Decoder(float, strict=False)
_URL_SAFE = str.maketrans("-_", "+/")
_int32 = integer(-(2**31), 2**31 - 1)
int64 = integer(-(2**63), 2**63 - 1)
_SCALARS: dict[Any, Reader] = {
    wire.U64: integer(0, wire.U64_MAX),
    wire.I64: int64,
    wire.U32: integer(0, 2**32 - 1),
    wire.I32: _int32,
    wire.Enum: _enum,
    wire.Text: lambda raw: decode(_STRING, raw),
    wire.Opaques: _raws,
    float: double,
    str: lambda raw: decode(_STRING, raw),
    Raw: Raw,
}
