"""The text of one parameter to its value; ValueError says what is wrong and, after "; ", what to type instead."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from exporter.otlp import severity
from exporter.otlp.severity import SEVERITIES

T = TypeVar("T")

_MAX = (1 << 63) - 1
_NANO_PER: Final = MappingProxyType(
    {
        "ns": 1,
        "us": 1_000,
        "ms": 1_000_000,
        "s": 1_000_000_000,
        "m": 60_000_000_000,
        "h": 3_600_000_000_000,
        "d": 86_400_000_000_000,
        "w": 604_800_000_000_000,
    }
)
_DURATION = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))?(ns|us|ms|[smhdw])")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([KMGTP])(i?)B")
_RELATIVE = re.compile(r"now(?:([+ -])(.+))?")
_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?([Zz]|[+ -]\d\d:?\d\d)?)?")
_TIME_HINT = "for example now-15m, 2026-01-31T09:30:00Z or unix nanoseconds"
_DURATION_HINT = "for example 250ms, 15m or nanoseconds"

KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""Names of span kinds, by number."""
STATUSES: Final = ("unset", "ok", "error")
"""Names of span statuses, by number."""


class Parser(Generic[T]):
    """What reads one parameter, and the JSON schema of what that takes: of the ways to write it, the plain ones."""

    def __init__(self, read: Callable[[str], T], schema: dict[str, Any]) -> None:
        self._read, self.schema = read, schema

    def __call__(self, value: str) -> T:
        """The value of a text. Raises ValueError."""
        return self._read(value)


def takes(*any_of: dict[str, Any]) -> Callable[[Callable[[str], T]], Parser[T]]:
    """Makes a parser of a function that reads texts of these schemas."""
    schema = any_of[0] if len(any_of) == 1 else {"anyOf": list(any_of)}
    return lambda read: Parser(read, schema)


def _number(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "format": "int64", "minimum": low, "maximum": high}


@takes({"type": "string"})
def text(value: str) -> str:
    """Any text."""
    return value


def natural(value: str) -> int | None:
    """A number of digits only, at most 2^63 - 1; None where it is something else."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= _MAX else None


def whole(low: int, high: int) -> Parser[int]:
    """A whole number from `low` to `high`."""

    @takes(_number(low, high))
    def parse(value: str) -> int:
        number = natural(value)
        if number is None or not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}; for example {min(high, max(low, 100))}")
        return number

    return parse


class one_of(Parser[str]):
    """One of these words, in any case."""

    def __init__(self, *names: str) -> None:
        super().__init__(self._word, {"type": "string", "enum": names})
        self.names = names

    def _word(self, value: str) -> str:
        if value.lower() not in self.names:
            raise ValueError(f"is {value!r}; one of {', '.join(self.names)}")
        return value.lower()


@takes({"type": "boolean"})
def truth(value: str) -> bool:
    """Whether it is so: `true` or `false`, in any case."""
    if value.lower() not in ("true", "false"):
        raise ValueError(f"is {value!r}; true or false")
    return value.lower() == "true"


@takes(
    {"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["250ms", "15m"]},
    _number(0, _MAX),
)
def duration(value: str) -> int:
    """Nanoseconds of `250ms`, `1.5h` or plain digits."""
    if (number := natural(value)) is not None:
        return number
    found = _DURATION.fullmatch(value.strip().lower())
    if found is None:
        raise ValueError(f"is no duration: {value!r}; {_DURATION_HINT}")
    whole, fraction, unit = found.groups()
    nano = int(whole) * _NANO_PER[unit]
    nano += int((fraction or "0").ljust(9, "0")) * _NANO_PER[unit] // 1_000_000_000
    return min(nano, _MAX)


@takes(
    {"type": "string", "pattern": f"^now([+-]{_DURATION.pattern})?$", "examples": ["now-15m"]},
    {"type": "string", "format": "date-time", "examples": ["2026-01-31T09:30:00Z"]},
    {"type": "string", "format": "date", "examples": ["2026-01-31"]},
    _number(0, _MAX),
)
def moment(value: str) -> int:
    """Unix nanoseconds of digits, RFC 3339, `now`, `now-15m`."""
    if (number := natural(value)) is not None:
        return number
    # An unescaped + arrives as a blank.
    if relative := _RELATIVE.fullmatch(value.strip().lower()):
        sign, distance = relative.groups()
        offset = duration(distance) if distance else 0
        return min(_MAX, max(0, time.time_ns() + (-offset if sign == "-" else offset)))
    found = _RFC_3339.fullmatch(value.strip())
    if found is None:
        raise ValueError(f"is no time: {value!r}; {_TIME_HINT}")
    day, clock, fraction, zone = found.groups()
    try:
        return _unix_nano(day, clock or "00:00", fraction or "0", (zone or "Z").replace(" ", "+").upper())
    except ValueError:
        raise ValueError(f"is no time: {value!r}; {_TIME_HINT}") from None


@takes({"type": "string", "pattern": f"^{_SIZE.pattern}$", "examples": ["50GiB"]}, _number(0, _MAX))
def size(value: str) -> int:
    """Bytes of `50GiB`, `1.5TB` or plain digits."""
    if (number := natural(value)) is not None:
        return number
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError(f"is no size: {value!r}; for example 500MiB, 50GiB or bytes")
    amount, prefix, binary = found.groups()
    step = 1024 if binary else 1000
    return min(int(Fraction(amount) * step ** (1 + "KMGTP".index(prefix))), _MAX)


def _unix_nano(day: str, clock: str, fraction: str, zone: str) -> int:
    at = datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(UTC)
    nano = int(at.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0"))
    if not 0 <= nano <= _MAX:
        raise ValueError
    return nano


def hex_id(length_bytes: int) -> Parser[bytes]:
    """A trace or span id in hex, in any case; a uuid's hyphens are ignored."""
    digits = 2 * length_bytes

    @takes({"type": "string", "pattern": f"^[0-9A-Fa-f]{{{digits}}}$"})
    def parse(value: str) -> bytes:
        given = value.replace("-", "")
        if len(given) != digits or not re.fullmatch("[0-9A-Fa-f]+", given):
            raise ValueError(f"is no id: {value!r}; it has {digits} hex digits")
        return bytes.fromhex(given)

    return parse


def _enum(names: tuple[str, ...], prefix: str) -> Parser[int]:
    @takes({"type": "string", "enum": names}, _number(0, (1 << 31) - 1))
    def parse(value: str) -> int:
        name = value.lower().removeprefix(prefix)
        if name in names:
            return names.index(name)
        number = natural(value)
        if number is None or number >= 1 << 31:
            raise ValueError(f"is {value!r}; one of {', '.join(names)}")
        return number

    return parse


span_kind = _enum(KINDS, "span_kind_")
span_status = _enum(STATUSES, "status_code_")


@takes(
    {"type": "string", "pattern": f"^({'|'.join(SEVERITIES).lower()})[2-4]?$", "examples": ["warn"]},
    _number(0, (1 << 31) - 1),
)
def severity_number(value: str) -> int:
    """A severity number: digits, or a name such as warn or ERROR2."""
    if (number := natural(value)) is not None and number < 1 << 31:
        return number
    if (number := severity.severity_number(value)) is None:
        raise ValueError(f"is {value!r}; a number, or one of {', '.join(SEVERITIES).lower()}")
    return number
