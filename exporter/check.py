"""The check path: which of a group's rows are stored already, the same or others under the same key.

A record filed under its own time has its natural key; one filed under its receipt is known by the time it was sent
with. Two records are the same when everything about them is, wherever their attributes lie (series and row together).

Source: docs/architecture.md, "Effective once".
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from exporter.columns import Table
from exporter.database import Connection
from exporter.offload import LONG_ROWS, compute
from exporter.otlp.anyvalue import canonical, from_stored
from sql import query

Row = Sequence[Any]
Key = tuple[Any, ...]
NEW, SAME, CONFLICT = "new", "same", "conflict"


class Finder:
    """How one kind of fact is found by its key: spans or data points."""

    def __init__(self, find: str, find_late: str, has_series: bool, zero_has_key: bool) -> None:
        self._find, self._find_late = find, find_late
        self.has_series = has_series
        self._zero_has_key = zero_has_key

    def key(self, table: Table, row: Row) -> Key | None:
        """What a row is known by: its natural key, with the time as it was sent; None where it has no key."""
        sent = row[table.sent] if table.sent is not None else None
        if sent is None:
            return tuple(row[: table.key_width])
        if sent == 0 and not self._zero_has_key:
            return None
        return (*row[: table.key_width - 1], sent)

    async def find(self, connection: Connection, table: Table, keys: Iterable[Key], late: set[Key]) -> list[Row]:
        """The stored rows under `keys`; one that is `late` now may not have been so when it came first."""
        filed = [key for key in keys if key not in late]
        found = await self.find_filed(connection, table, filed) if filed else []
        if late:
            found += await self.find_filed(connection, table, list(late))
            columns = [list(column) for column in zip(*late, strict=True)]
            found += await connection.fetch(_statement(self._find_late, table), *columns)
        return found

    async def find_filed(self, connection: Connection, table: Table, keys: Sequence[Key]) -> list[Row]:
        """The stored rows whose first columns are one of `keys`."""
        found: list[Row] = []
        for start in range(0, len(keys), LONG_ROWS):
            columns = [list(column) for column in zip(*keys[start : start + LONG_ROWS], strict=True)]
            bounds = (min(columns[-1]), max(columns[-1]))
            found += await connection.fetch(_statement(self._find, table), *columns, *bounds)
        return found


SPANS = Finder("find-spans", "find-late-spans", has_series=True, zero_has_key=True)
POINTS = Finder("find-points", "find-late-points", has_series=False, zero_has_key=False)


def _statement(name: str, table: Table) -> str:
    columns = ", ".join(f"f.{column}" for column in table.columns)
    return query("check", name).replace("__columns__", columns).replace("__table__", table.name)


def owner(row: Row, key_width: int) -> Key:
    """What a row that is not stored yet shares with its children alone: the very objects of its key, as two rows of
    one group may have equal keys."""
    return tuple(map(id, row[:key_width]))


def _stored_owner(row: Row, key_width: int) -> Key:
    return tuple(row[:key_width])


async def judge(
    connection: Connection,
    finder: Finder,
    table: Table,
    rows: Sequence[Row],
    children: Sequence[tuple[Table, Sequence[Row]]],
) -> list[str]:
    """NEW, SAME or CONFLICT for each row, against what is stored and against the rows before it."""
    is_long = len(rows) > LONG_ROWS
    keys, first, late = await compute(is_long, _keys, finder, table, rows)
    stored = await finder.find(connection, table, first, late)
    doubles = [i for i, key in enumerate(keys) if key is not None and first[key] != i]
    if not stored and not doubles:
        return [NEW] * len(rows)
    stored_children = [(t, await _children(connection, finder, table, t, stored)) for t, _ in children]
    series = await _series(connection, table, [*rows, *stored]) if finder.has_series else {}

    def compare() -> list[str]:
        old = _Contents(table, stored_children, series, _stored_owner)
        new = _Contents(table, children, series, owner)
        known = {finder.key(table, row): old.of(row) for row in stored}
        verdicts = []
        for i, (key, row) in enumerate(zip(keys, rows, strict=True)):
            if key is None or (key not in known and first[key] == i):
                verdicts.append(NEW)
                continue
            before = known[key] if key in known else new.of(rows[first[key]])
            verdicts.append(SAME if new.of(row) == before else CONFLICT)
        return verdicts

    # However few they are, there is no telling how long: an attribute may be a million values.
    return await compute(True, compare)


def _keys(finder: Finder, table: Table, rows: Sequence[Row]) -> tuple[list[Key | None], dict[Key, int], set[Key]]:
    """The rows' keys, the first row of each, and which of them are of records filed under their receipt."""
    keys = [finder.key(table, row) for row in rows]
    first: dict[Key, int] = {}
    for i, key in enumerate(keys):
        if key is not None:
            first.setdefault(key, i)
    late = {key for key, row in zip(keys, rows, strict=True) if key and key != tuple(row[: table.key_width])}
    return keys, first, late


async def _children(
    connection: Connection, finder: Finder, table: Table, child: Table, stored: Sequence[Row]
) -> list[Row]:
    keys = [tuple(row[: table.key_width]) for row in stored]
    return await finder.find_filed(connection, child, keys) if keys else []


async def _series(connection: Connection, table: Table, rows: Iterable[Row]) -> dict[int, tuple[Any, ...]]:
    column = table.columns.index("series_id")
    ids = list({row[column] for row in rows})
    return {row[0]: tuple(row)[1:] for row in await connection.fetch(query("check", "read-span-series"), ids)}


class _Contents:
    """Everything about rows but where and when they are filed, in a form that compares."""

    def __init__(
        self,
        table: Table,
        children: Sequence[tuple[Table, Sequence[Row]]],
        series: dict[int, tuple[Any, ...]],
        owner_of: Callable[[Row, int], Key],
    ) -> None:
        self._table, self._series, self._owner_of = table, series, owner_of
        self._children: dict[Key, list[Any]] = {}
        for child, child_rows in children:
            for row in sorted(child_rows, key=lambda row: row[child.columns.index("ordinal")]):
                content = [child.name, *_comparable(child, row)]
                self._children.setdefault(owner_of(row, child.key_width), []).append(content)

    def of(self, row: Row) -> bytes:
        """The content of one row with its children."""
        content = _comparable(self._table, row)
        if self._series:
            *head, attributes = self._series[row[self._table.columns.index("series_id")]]
            content[-1] = _attributes(attributes) | content[-1]
            content.append(head)
        return canonical([content, self._children.get(self._owner_of(row, self._table.key_width), [])])


def _comparable(table: Table, row: Row) -> list[Any]:
    skipped = {"series_id", "sent_start_time_unix_nano", "sent_time_unix_nano"}
    return [
        _attributes(value) if column == "attributes" else value
        # A row that is not stored yet ends in its record's ordinal.
        for column, value in list(zip(table.columns, row, strict=False))[table.key_width :]
        if column not in skipped
    ]


def _attributes(json: bytes | None) -> dict[str, Any]:
    return {key: from_stored(value) for key, value in msgspec.json.decode(json or b"{}").items()}
