"""Numbers, times, durations and attributes as people read them."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from queries.text_cells import clean

NO_VALUE = "-"
_SECOND_NANO = 1_000_000_000
_MINUTE_NANO = 60 * _SECOND_NANO
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONG_UNITS = (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1))
_SHORT_UNITS = (("µs", 1_000), ("ms", 1_000_000), ("s", _SECOND_NANO))
_NANO_PER_UNIT = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": _SECOND_NANO, "min": _MINUTE_NANO}
_NANO_PER_UNIT |= {"h": 60 * _MINUTE_NANO, "d": 1_440 * _MINUTE_NANO}
_LAST_KEYS = ("code.", "thread.", "process.", "telemetry.", "log.file.", "service.")
_FIRST_KEYS = ("exception.", "error", "http.response.status_code", "http.status_code", "rpc.grpc.status_code")
_STACKTRACE = "exception.stacktrace"


def duration(nano: int) -> str:
    """Nanoseconds in three digits and a unit: 1.23ms, or from a minute on in two units: 2m03s."""
    if nano < 0:
        return f"-{duration(-nano)}"
    if nano < 1_000:
        return f"{nano}ns" if nano else "0"
    if nano < _MINUTE_NANO - _SECOND_NANO // 20:
        amounts = ((f"{nano / size:.{_digits_after(nano / size)}f}", unit) for unit, size in _SHORT_UNITS)
        return next(amount + unit for amount, unit in amounts if float(amount) < 1_000)
    seconds = (nano + _SECOND_NANO // 2) // _SECOND_NANO
    unit, size, below, smaller = next(units for units in _LONG_UNITS if seconds >= units[1])
    rest = seconds % size // smaller
    return f"{seconds // size:,}{unit}" + (f"{rest:02}{below}" if rest else "")


def _digits_after(amount: float) -> int:
    return 2 if amount < 9.995 else 1 if amount < 99.95 else 0


def number(found: float | str | None) -> str:
    """A number in four digits: 1,234, 0.01235, 1.235M; infinities as a sign."""
    amount = real(found)
    if amount is None:
        return NO_VALUE if found is None else clean(str(found))
    if math.isinf(amount):
        return "∞" if amount > 0 else "-∞"
    if isinstance(found, int) and abs(found) < 1_000_000:
        return f"{found:,}"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if size <= abs(amount) < size * 1000:
            return f"{amount / size:.4g}{unit}"
    return f"{amount:,.0f}" if 1_000 <= abs(amount) < 1e6 else f"{amount:.4g}"


def counted(count: int, name: str) -> str:
    """So many of what the plural names: 1 span, 2 spans, 1 series."""
    return f"{count:,} {name if count != 1 or name == 'series' else name.removesuffix('s')}"


def real(found: Any) -> float | None:
    """A number of an answer, where an infinity is a string, as a float; None for NaN and for what is no number."""
    try:
        amount = float(found)
    except OverflowError:
        return math.inf if found > 0 else -math.inf
    except (TypeError, ValueError):
        return None
    return None if math.isnan(amount) else amount


def quantity(found: float | str | None, unit: str | None) -> str:
    """A number of a metric with its UCUM unit, where that is one of time, of bytes or per cent."""
    amount = real(found)
    if amount is None or math.isinf(amount):
        return number(found)
    if unit in _NANO_PER_UNIT and abs(amount) < 1e15:
        return duration(round(amount * _NANO_PER_UNIT[unit]))
    if unit == "By":
        for size, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if size <= abs(amount) < size << 10:
                return f"{amount / size:.{_digits_after(abs(amount) / size)}f}{name}"
    return number(found) + {"By": "B", "%": "%"}.get(unit or "", "")


def moment(unix_nano: int, digits: int = 3) -> str:
    """A time in UTC to so many digits below the second: 2026-01-31 09:30:00.123."""
    seconds, below = divmod(unix_nano, _SECOND_NANO)
    try:
        text = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(" ")
    except OverflowError:
        return f"{unix_nano}ns"
    return f"{text}.{below:09}"[: 20 + digits] if digits else text


def clocks(times: Sequence[int], digits: int = 3) -> tuple[str, list[str]]:
    """The title of a column of times, which says what they have in common, and the rest: Jan 31 UTC, 09:30:00.123."""
    texts = [moment(found, digits) for found in times]
    days = {text[:10] for text in texts}
    day = min(days, default="")
    if len(days) == 1 and day[4:5] == "-":
        return f"{_MONTHS[int(day[5:7]) - 1]} {day[8:]} UTC", [text[11:] for text in texts]
    if len({day[:5] for day in days}) == 1 and day[4:5] == "-":
        return f"{day[:4]} UTC", [text[5:] for text in texts]
    return "TIME UTC", texts


def compact(found: Any) -> str:
    """Any value of an answer on one line: text as it is, the rest as JSON."""
    if isinstance(found, str):
        return clean(found)
    if found is None:
        return NO_VALUE
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return clean(text.strip('"') if isinstance(found, datetime) else text)


def _plain(found: object) -> Any:
    return msgspec.to_builtins(found, enc_hook=str)


def pairs(attributes: Mapping[str, Any], without: Iterable[str] = ()) -> list[str]:
    """Attributes as key=value, the telling ones first: what failed, last where in the code."""
    left = [key for key in attributes if key != _STACKTRACE and key not in without]
    left.sort(key=lambda key: (not key.startswith(_FIRST_KEYS), key.startswith(_LAST_KEYS)))
    return [f"{clean(key)}={_value(attributes[key])}" for key in left]


def _value(found: Any) -> str:
    text = compact(found)
    return f'"{text}"' if isinstance(found, str) and (" " in text or not text) else text
