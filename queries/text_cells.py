"""Cells, what a drawing is made of: text that is safe in a terminal, how many columns it takes, its colour.

Widths are those of https://www.unicode.org/reports/tr11/ as terminals take them: ambiguous characters are narrow.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from unicodedata import category, east_asian_width

BOLD, RED, YELLOW, CYAN = "1", "31", "33", "36"
"""Inks, as SGR parameters; what a dark and a bright background both show."""
MARK = "…"
"""Stands where something was cut off."""
LONGEST = 4_000
"""Characters of a text that are looked at: more than the widest line takes."""
_EMOJI_SELECTOR = "\ufe0f"
_JOINERS = ("\u200c", "\u200d")
_OTHER = re.compile("[^ -~]")
_NARROW = re.compile("[ -~\xa1-\xac\xae-\u02ff\u2010-\u2027\u2190-\u21ff\u2500-\u259f]*")
"""Text of Latin letters, arrows and what drawings are made of: a column each, which saves looking at each."""


class Style(NamedTuple):
    """How many columns the terminal has, and whether it shows colours (`color`: always or never)."""

    width: int
    color: str


class Cell(NamedTuple):
    """A piece of one line: safe text, and its ink."""

    text: str
    ink: str = ""


def clean(text: str) -> str:
    """The text on one line with what a terminal would obey shown as an escape: \\n, \\x1b, \\u202e."""
    if len(text) > LONGEST:
        text = text[:LONGEST] + MARK
    if text.isascii() and text.isprintable():
        return text
    return _OTHER.sub(lambda found: _shown(found[0]), text)


@lru_cache(4096)
def _shown(char: str) -> str:
    # What is unassigned may be anything in a terminal with a newer Unicode; emoji are what is added each year.
    obeyed = category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Cn") and char not in _JOINERS and not _is_new_emoji(char)
    return char.encode("unicode_escape", "surrogatepass").decode() if obeyed else char


def _is_new_emoji(char: str) -> bool:
    return "\U0001f000" <= char <= "\U0001faff" and category(char) == "Cn"


def columns_of(text: str) -> int:
    """How many columns a terminal shows the text in."""
    return len(text) if _NARROW.fullmatch(text) else sum(map(_columns, text))


@lru_cache(4096)
def _columns(char: str) -> int:
    if char == _EMOJI_SELECTOR:
        return 1  # ☁ takes one column, ☁ with it two
    if category(char) in ("Mn", "Me") or char in _JOINERS or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if east_asian_width(char) in "WF" or _is_new_emoji(char) else 1


def _fitting(text: str, room: int) -> int:
    """How many characters of the text there is room for."""
    taken = 0
    for place, char in enumerate(text):
        taken += _columns(char)
        if taken > room:
            return place
    return len(text)


def cut(text: str, room: int) -> str:
    """The text in at most `room` columns; where it is cut, its last character is MARK."""
    if columns_of(text) <= room:
        return text
    return text[: _fitting(text, room - 1)] + MARK if room > 0 else ""


def padded(text: str, width: int, to_right: bool = False) -> str:
    """The text cut to or filled up to `width` columns."""
    text = cut(text, width)
    blanks = " " * (width - columns_of(text))
    return blanks + text if to_right else text + blanks


def within(cells: Sequence[Cell], width: int) -> list[Cell]:
    """These cells in exactly `width` columns: cut, or followed by blanks."""
    room = width - columns_of("".join([text for text, _ in cells]))
    if room >= 0:
        return [*cells, Cell(" " * room)]
    kept: list[Cell] = []
    left = width
    for text, ink in cells:
        kept.append(Cell(cut(text, left), ink))
        left -= columns_of(kept[-1].text)
        if kept[-1].text != text:
            break
    return [*kept, Cell(" " * left)]


def line(cells: Sequence[Cell], style: Style) -> str:
    """One line of these cells without gaps, at most as wide as the terminal."""
    if style.color != "always":
        return cut("".join([text for text, _ in cells]), style.width).rstrip()
    painted = [f"\x1b[{ink}m{text}\x1b[0m" if ink and text else text for text, ink in within(cells, style.width)]
    return "".join(painted).rstrip()


def wrapped(text: str, width: int) -> list[str]:
    """The text on as many lines as it takes, broken between words, and in a word only where that is too long."""
    lines, rest = [], text
    while columns_of(rest) > width:
        most = max(1, _fitting(rest, width))
        blank = rest.rfind(" ", 1, most + 1)
        lines.append(rest[: most if blank < 0 else blank].rstrip())
        rest = rest[most if blank < 0 else blank :].lstrip()
    return [*lines, rest]
