"""Drawings of what things take: everything that is stored, and attributes with what they cost; ~ is an estimate."""

import math
from collections.abc import Sequence

from queries import text_values as values
from queries.answers_attributes import Attribute
from queries.answers_storage import Storage, StoredKey, StoredPartition, StoredService, StoredSignal, StoredTable
from queries.filters import RESOURCE, SCOPE
from queries.text_cells import BOLD, CYAN, Cell, Style, clean, cut, line, wrapped
from queries.text_tables import Column, Lines, table

ESTIMATED = "~"
_LEAST_TEXT = 16
_DAY_DIGITS = 16


def storage(content: Storage, style: Style) -> list[str]:
    """Everything that takes place: a line in all, then a table of each kind of part."""
    lines = wrapped(_in_all(content), style.width)
    parts: tuple[tuple[Sequence[object], Lines], ...] = (
        (content.signals, _signals),
        (content.tables, _tables),
        (content.partitions, _partitions),
        (content.services, _services),
        (content.keys, _keys),
    )
    for found, drawn in parts:
        if found:
            lines += ["", *drawn(found, style)]
    return lines


def _in_all(content: Storage) -> str:
    text = f"{_size(content.bytes)} in all, {_size(content.bytes_per_day)} more a day"
    if content.budget_bytes is None:
        return text
    budget = _size(content.budget_bytes)
    if content.days_until_budget is None:
        return f"{text}: {budget} will not be reached"
    if content.days_until_budget == 0:
        return f"{text}: {budget} are reached"
    return f"{text}: {content.days_until_budget:,g} days until {budget} are reached"


def _size(found: float | None) -> str:
    return values.quantity(found, "By")


def _sizes(title: str, sizes: Sequence[int | float | None], estimated: bool = False) -> Column:
    mark = ESTIMATED if estimated else ""
    return Column(title, [Cell(mark + _size(size) if size is not None else "") for size in sizes], True)


def _counts(title: str, counts: Sequence[int], estimated: Sequence[bool] | None = None, rank: int = 0) -> Column:
    marks = [ESTIMATED if found else "" for found in estimated or [False] * len(counts)]
    return Column(title, [Cell(f"{mark}{count:,}") for mark, count in zip(marks, counts, strict=True)], True, rank=rank)


def _names(title: str, names: Sequence[str | None], ink: str = "", rank: int = 0) -> Column:
    return Column(title, [Cell(clean(name or ""), ink) for name in names], least=_LEAST_TEXT, rank=rank)


def _signals(found: Sequence[StoredSignal], style: Style) -> list[str]:
    columns = [
        _names("SIGNAL", [each.signal for each in found], BOLD),
        _sizes("BYTES", [each.bytes for each in found]),
        _counts("RECORDS", [each.records for each in found], [True] * len(found)),
        _sizes("A RECORD", [each.bytes_per_record for each in found]),
        _counts("RECORDS A DAY", [each.records_per_day for each in found], rank=1),
        _sizes("BYTES A DAY", [each.bytes_per_day for each in found]),
    ]
    return table(columns, style)


def _tables(found: Sequence[StoredTable], style: Style) -> list[str]:
    columns = [
        _names("TABLE", [each.table for each in found]),
        _names("KIND", [each.kind for each in found], rank=1),
        _counts("ROWS", [each.rows for each in found], [True] * len(found), rank=2),
        _sizes("BYTES", [each.bytes for each in found]),
        _sizes("HEAP", [each.heap_bytes for each in found]),
        _sizes("TOAST", [each.toast_bytes for each in found]),
        _sizes("INDEXES", [each.index_bytes for each in found]),
    ]
    return table(columns, style)


def _partitions(found: Sequence[StoredPartition], style: Style) -> list[str]:
    columns = [
        Column("FROM UTC", [Cell(values.moment(each.start_time_unix_nano)[:_DAY_DIGITS]) for each in found]),
        Column("TO", [Cell(values.moment(each.end_time_unix_nano)[:_DAY_DIGITS]) for each in found]),
        _names("SIGNAL", [each.signal for each in found]),
        _counts("RECORDS", [each.records for each in found], [True] * len(found)),
        _sizes("BYTES", [each.bytes for each in found]),
    ]
    return table(columns, style)


def _services(found: Sequence[StoredService], style: Style) -> list[str]:
    estimated = [not each.counted for each in found]
    columns = [
        _names("SERVICE", [each.service_name for each in found], CYAN),
        _names("NAMESPACE", [each.service_namespace for each in found], rank=1),
        _counts("SPANS", [each.spans for each in found], estimated),
        _counts("LOGS", [each.logs for each in found], estimated),
        _counts("POINTS", [each.points for each in found], [True] * len(found)),
        _sizes("BYTES", [each.bytes for each in found], True),
    ]
    return table(columns, style)


def _keys(found: Sequence[StoredKey], style: Style) -> list[str]:
    columns = [
        _names("KEY", [each.key for each in found]),
        _names("SIGNAL", [each.signal for each in found]),
        _sizes("BYTES", [each.bytes for each in found], True),
        Column("OF SIGNAL", [Cell(f"{each.share:.1%}") for each in found], True),
    ]
    return table(columns, style)


def attributes(found: Sequence[Attribute], style: Style) -> list[str]:
    """Attributes: where they lie, what they cost, how often they were filtered on and for how long each time."""
    columns = [
        _names("KEY", [each.key for each in found]),
        Column("SIGNAL", [Cell(clean(each.signal)) for each in found]),
        Column("TYPES", [Cell(clean(", ".join(each.types))) for each in found], least=8),
        Column("LIES ON", [Cell(_place(each)) for each in found], rank=2),
        Column("PROMOTED", [Cell("yes" if each.promoted else "no") for each in found], rank=1),
        Column("VALUES", [Cell(_values(each)) for each in found], True, rank=1),
        _sizes("BYTES", [each.bytes for each in found], True),
        _counts("FILTERS", [each.filtered for each in found]),
        Column("EACH", [Cell(_mean(each)) for each in found], True),
    ]
    return table(columns, style)


def _values(found: Attribute) -> str:
    """How many values; of what lies on rows those that series have or had are not all."""
    return f"{found.distinct_values:,}{'+' if found.high_cardinality else ''}" if found.distinct_values else ""


def _mean(found: Attribute) -> str:
    nano = found.filter_seconds * 1e9 / found.filtered if found.filtered else math.nan
    return values.duration(round(nano)) if math.isfinite(nano) else ""


def _place(found: Attribute) -> str:
    if found.signal in (RESOURCE, SCOPE):
        return found.signal
    return "row" if found.high_cardinality else "series"


def file(text: str, style: Style) -> list[str]:
    """The text of a file below a list: a line that would be cut is left out, as it would say something else."""
    shown = [
        found if found == cut(found, style.width) else "## (longer than this terminal is wide)"
        for found in text.splitlines()
    ]
    return ["", *(line([Cell(clean(found))], style) for found in shown)]
