"""The text forms of a setting's value (sizes, durations, counts, addresses), each read by one parser.

A parser takes the text that stands in a file, a variable or a flag and returns the value, or raises ValueError
with what it would have liked to see ("must be ...") and, after "; ", what may have been meant. All three go through the
same parsers, so they allow the same.
"""

import argparse
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from exporter.documents import did_you_mean

T = TypeVar("T")
Parser = Callable[[str], T]

_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_BYTES = {"": 1, "B": 1} | {
    prefix + unit: base**power
    for unit, base in (("iB", 2**10), ("B", 10**3))
    for power, prefix in enumerate("KMGT", start=1)
}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = re.compile(rf"({_NUMBER})(ms|s|m|h|d|w)")
_DURATIONS = re.compile(rf"(?:{_NUMBER}(?:ms|s|m|h|d|w))+")
_SIZE = re.compile(rf"({_NUMBER}) ?({'|'.join(_BYTES)})")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/,]+")
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):([0-9]{1,5})")


def seconds(text: str) -> float:
    """`250ms`, `15s`, `1h30m`, `30d` -> seconds."""
    if not _DURATIONS.fullmatch(text):
        raise ValueError("must be a duration with its unit, such as 15s, 6h or 30d")
    return float(sum(Fraction(number) * _MILLISECONDS[unit] for number, unit in _DURATION.findall(text)) / 1000)


def size_in_bytes(text: str) -> int:
    """`20MiB`, `1GB`, `4096` -> bytes."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError("must be a size in bytes, such as 512KiB or 20MiB")
    return int(Fraction(match[1]) * _BYTES[match[2]])


def integer(text: str) -> int:
    """`5000` -> 5000."""
    # Past 18 digits int() itself may refuse, in its own words.
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("must be an integer")
    return int(text)


def share(text: str) -> float:
    """`0.8` -> 0.8, from 0 to 1."""
    if not re.fullmatch(_NUMBER, text) or float(text) > 1:
        raise ValueError("must be a number from 0 to 1")
    return float(text)


def address(text: str) -> str:
    """`HOST:PORT`, `[IPv6]:PORT`; port 0 is a free one."""
    match = _ADDRESS.fullmatch(text)
    if not match or int(match[1]) > 65535:
        raise ValueError("must be HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:4318")
    return text


def postgres_url(text: str) -> str:
    """A URL that PostgreSQL's drivers understand."""
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("must be a URL that begins with postgresql://")
    return text


def path(text: str) -> Path:
    """A path; the home folder may be written `~`."""
    if not text:
        raise ValueError("must be a path")
    return Path(text).expanduser()


def origins(text: str) -> tuple[str, ...]:
    """`*`, or origins as browsers send them, separated by commas or spaces -> the origins."""
    found = tuple(text.replace(",", " ").split())
    if not found or not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in found):
        raise ValueError("must be origins such as https://shop.example, separated by commas, or *")
    return found


def between(parse: Parser[T], low: str, high: str) -> Parser[T]:
    """`parse`, from `low` to `high`, both written as a user would."""
    lowest, highest = parse(low), parse(high)

    def bounded(text: str) -> T:
        value = parse(text)
        if not lowest <= value <= highest:  # type: ignore[operator]
            raise ValueError(f"must be from {low} to {high}")
        return value

    return bounded


def one_of(parse: Parser[T], *texts: str) -> Parser[T]:
    """`parse`, and the value that of one of `texts`."""
    allowed = {parse(text): text for text in texts}

    def chosen(text: str) -> T:
        try:
            value = parse(text)
        except ValueError:
            meant = did_you_mean(text, texts)
        else:
            if value in allowed:
                return value
            meant = did_you_mean(text, texts)
            if not isinstance(value, str):
                nearest = min(allowed, key=lambda other: abs(other - value))  # type: ignore[operator]
                meant = f"did you mean {allowed[nearest]}?"
        raise ValueError(f"must be one of {', '.join(texts)}; {meant}")

    return chosen


def optional(parse: Parser[T]) -> Parser[T | None]:
    """`parse`, or `none`."""

    def maybe(text: str) -> T | None:
        return None if text.lower() == "none" else parse(text)

    return maybe


def parsed_by(parse: Callable[[str], T], least: T | None = None) -> Callable[[str], T]:
    """For argparse, which shows a parser's own words only of an ArgumentTypeError."""

    def parsed(text: str) -> T:
        try:
            value = parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
        if least is not None and value < least:  # type: ignore[operator]
            raise argparse.ArgumentTypeError(f"{text!r} must be at least {least}")
        return value

    return parsed
