"""Answers as text for a terminal."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct


class Style(NamedTuple):
    """How many columns the terminal has, and whether it shows colours (`color`: always or never)."""

    width: int
    color: str


def draw(content: Struct, _style: Style) -> str:
    """An answer as lines of text."""
    records: Sequence[Any] = getattr(content, type(content).records)  # type: ignore[attr-defined]
    return "".join(f"{msgspec.json.encode(record).decode()}\n" for record in records)
