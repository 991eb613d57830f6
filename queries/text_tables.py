"""Tables: aligned columns that together take no more than the terminal has, and the table of any records at all."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct

from queries import text_values as values
from queries.text_cells import BOLD, CYAN, Cell, Style, clean, columns_of, cut, line, padded

WIDE = 100
"""From so many columns on there is room for two blanks between columns, and for less important ones."""
_LEAST_TEXT = 16
Lines = Callable[[Sequence[Any], Style], list[str]]
"""Draws records of one type."""


class Column(NamedTuple):
    """One column; where room is short it is cut to `least` columns (None: never), then left out, highest rank first."""

    title: str
    cells: Sequence[Cell]
    to_right: bool = False
    least: int | None = None
    rank: int = 0


class Rest(NamedTuple):
    """The last column, made when it is known how many columns, `least` or more, the others leave it."""

    title: str
    least: int
    cells: Callable[[int], Sequence[Cell]]


def table(columns: Sequence[Column], style: Style, rest: Rest | None = None) -> list[str]:
    """The lines of a table, its titles first; columns in which there is nothing are left out."""
    gap = 2 if style.width >= WIDE else 1
    shown = [column for column in columns if any(cell.text not in ("", values.NO_VALUE) for cell in column.cells)]
    widths = _fit(shown, gap, style.width - (gap + rest.least if rest else 0))
    if rest:
        room = style.width - sum(width + gap for _, width in widths)
        widths.append((Column(rest.title, rest.cells(max(1, room))), max(1, room)))
    titles = [Cell(column.title, BOLD) for column, _ in widths]
    rows = zip(*(column.cells for column, _ in widths), strict=True)
    return [_row(cells, widths, gap, style) for cells in (titles, *rows)]


def _fit(columns: Sequence[Column], gap: int, room: int) -> list[tuple[Column, int]]:
    """The columns that there is room for, and their widths: the widest are cut first, to one width."""
    natural = [max(map(columns_of, (column.title, *(cell.text for cell in column.cells)))) for column in columns]
    room_for_text = room - gap * (len(columns) - 1)
    least = [width if c.least is None else min(width, c.least) for c, width in zip(columns, natural, strict=True)]
    if sum(least) > room_for_text:
        if last := max((column.rank for column in columns), default=0):
            return _fit([column for column in columns if column.rank < last], gap, room)
        least = [0 if column.least is not None else width for column, width in zip(columns, least, strict=True)]
    level = min(room, max(natural, default=0))
    while sum(widths := [min(n, max(low, level)) for n, low in zip(natural, least, strict=True)]) > room_for_text:
        if level <= 1:
            break
        level -= 1
    return list(zip(columns, widths, strict=True))


def _row(cells: Sequence[Cell], widths: Sequence[tuple[Column, int]], gap: int, style: Style) -> str:
    parts: list[Cell] = []
    for (text, ink), (column, width) in zip(cells, widths, strict=True):
        parts += [Cell(padded(text, width, column.to_right), ink), Cell(" " * gap)]
    return line(parts[:-1], style)


def with_details(text: str, details: Sequence[str], room: int) -> str:
    """A text and after it those of its details that there is room for as a whole."""
    found = cut(text, room)
    left = room - columns_of(found)
    for detail in details:
        if (taken := columns_of(detail) + 2) <= left:
            found, left = f"{found}  {detail}".lstrip(), left - taken
    return found


def any_records(records: Sequence[Any], style: Style, lines: Lines) -> list[str]:
    """A table of records of any type, a column a field; the records that each of them holds are drawn below it."""
    if not isinstance(records[0], Struct):
        return [line([Cell(values.compact(record))], style) for record in records]
    fields = records[0].__struct_fields__
    nested = [name for name in fields if any(is_records(getattr(record, name)) for record in records)]
    plain = [name for name in fields if name not in nested]
    if not nested:
        # What a record is called tells more than any number of it; namespaces are mostly all the same.
        plain.sort(key=lambda name: not any(isinstance(getattr(record, name), str) for record in records))
        ranks = {name: rank + len(plain) * name.endswith("namespace") for rank, name in enumerate(plain)}
        return table([_column(name, records, rank) for name, rank in ranks.items()], style)
    drawn: list[str] = []
    for record in records:
        drawn += ["", line([Cell(scalars({name: getattr(record, name) for name in plain}), BOLD)], style)]
        for name in nested:
            if found := getattr(record, name):
                drawn += [f"  {text}" for text in lines(found, Style(style.width - 2, style.color))]
    return drawn[1:]


def is_records(found: object) -> bool:
    """Whether it is a list of structs."""
    return isinstance(found, list) and bool(found) and isinstance(found[0], Struct)


def scalars(fields: Mapping[str, Any]) -> str:
    """Fields in a row, each after its name."""
    shown = ((title(name), _cell(name, found).text) for name, found in fields.items() if found not in (None, [], {}))
    return "  ".join(f"{name.lower()} {text}" for name, text in shown)


def title(name: str) -> str:
    """A field's name as the title of a column: `service_name` is SERVICE, `span_count` is SPANS."""
    for suffix in ("_time_unix_nano", "_unix_nano", "_nanos", "_nano", "_name"):
        name = name.removesuffix(suffix)
    if name.endswith("_count"):
        name = name.removesuffix("_count").removesuffix("s") + "s"
    return clean(name.replace("service_", "").replace("_", " ").upper())


def _column(name: str, records: Sequence[Any], rank: int) -> Column:
    found = [getattr(record, name) for record in records]
    cells = [_cell(name, value) for value in found]
    is_id = name.endswith("_id")
    is_number = all(value is None or isinstance(value, int | float) for value in found)
    is_text = not is_id and not is_number and not all(isinstance(value, datetime) for value in found)
    to_right = is_number and not is_id and not _is_moment(name) and not isinstance(found[0], bool)
    return Column(title(name), cells, to_right, _LEAST_TEXT if is_text else None, rank)


def _cell(name: str, found: Any) -> Cell:
    ink = CYAN if name == "service_name" else ""
    return Cell(_text(name, found), ink)


def _is_moment(name: str) -> bool:
    return name.endswith("_unix_nano")


def _text(name: str, found: Any) -> str:
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, datetime):
        return f"{found:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(found, int | float):
        return _number(name, found)
    if isinstance(found, dict):
        return " ".join(values.pairs(found)) or values.NO_VALUE
    if isinstance(found, list) and not any(isinstance(item, list | dict | Struct) for item in found):
        return ", ".join(map(values.compact, found)) or values.NO_VALUE
    return values.compact(found)


def _number(name: str, found: float) -> str:
    if name.endswith(("_nanos", "_nano", "step")) and math.isfinite(found):
        return f"{values.moment(int(found), 0)}Z" if _is_moment(name) else values.duration(round(found))
    if name.endswith("_id"):
        return str(found)
    return f"{found:,}" if isinstance(found, int) else values.number(found)
