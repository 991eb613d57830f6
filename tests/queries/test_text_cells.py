"""Cells: what a terminal would obey is shown instead, and widths are those of a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.text_cells import LONGEST, RED, Cell, Style, clean, columns_of, cut, line, padded, within, wrapped
from tests.queries.shapes import TEXTS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain größe 日本 🎉", "plain größe 日本 🎉"),
        ("C:\\new", "C:\\new"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[31m\x07\x00\x7f", "\\x1b[31m\\x07\\x00\\x7f"),
        ("\x9b31m\x85\xad", "\\x9b31m\\x85\\xad"),
        ("\u202etxt\u2066\u200e\u2028\ufeff", "\\u202etxt\\u2066\\u200e\\u2028\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("👩\u200d💻 ☁\ufe0f e\u0301", "👩\u200d💻 ☁\ufe0f e\u0301"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    assert clean("x" * 100_000) == "x" * LONGEST + "…"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("größe", 5),
        ("日本語", 6),
        ("ﾊﾛｰ", 3),
        ("\uff21\uff22", 4),
        ("🎉", 2),
        ("e\u0301", 1),
        ("ㅎ", 2),
        ("\u1112\u1161\u11ab", 2),
        ("☁", 1),
        ("☁\ufe0f", 2),
        ("👩\u200d💻", 4),
        ("├─█▌…", 5),
        ("\U0001fadf", 2),
    ],
)
def test_widths(text: str, columns: int) -> None:
    assert columns_of(text) == columns


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
        ("abc", -1, ""),
    ],
)
def test_cut(text: str, room: int, expected: str) -> None:
    assert cut(text, room) == expected


@given(TEXTS, st.integers(0, 30))
def test_cut_and_padded_text_has_its_width(text: str, width: int) -> None:
    safe = clean(text)
    assert columns_of(cut(safe, width)) <= width
    for to_right in (True, False):
        assert columns_of(padded(safe, width, to_right)) == width
    assert sum(columns_of(cell.text) for cell in within([Cell(safe), Cell(safe, RED)], width)) == width


@given(TEXTS)
def test_clean_text_has_no_control_character(text: str) -> None:
    assert not {unicodedata.category(char) for char in clean(text)} & {"Cc", "Cs", "Zl", "Zp"}
    assert clean(clean(text)) == clean(text)


def test_lines_are_cut_and_painted() -> None:
    cells = [Cell("ab", RED), Cell(""), Cell("cdef"), Cell("gh", RED), Cell("  ")]
    assert line(cells, Style(10, "never")) == "abcdefgh"
    assert line(cells, Style(10, "always")) == "\x1b[31mab\x1b[0mcdef\x1b[31mgh\x1b[0m"
    assert line(cells, Style(4, "never")) == "abc…"
    assert line(cells, Style(4, "always")) == "\x1b[31mab\x1b[0mc…"
    assert line([Cell("a", RED), Cell("   ")], Style(4, "never")) == "a"


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("", 5, [""]),
        ("one two three", 13, ["one two three"]),
        ("one two three", 8, ["one two", "three"]),
        ("one two three", 7, ["one two", "three"]),
        ("a verylongword", 5, ["a", "veryl", "ongwo", "rd"]),
        ("日本 語", 5, ["日本", "語"]),
    ],
)
def test_wrapped(text: str, width: int, expected: list[str]) -> None:
    assert wrapped(text, width) == expected
