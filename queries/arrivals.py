"""What became visible since a snapshot, whichever replica committed it: its transactions, and what a search asks of it.

Source: docs/decisions/0011-tail.md.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from exporter.stretches import Stretch, merged
from queries import cursors
from queries.database import Connection
from queries.filters import union
from queries.pages import Row, Selection, Source
from sql import query

OVERLAP_S = 60.0
"""A transaction that was under way at a snapshot began so long before it at most."""
PAGE_BYTES = 1 << 20
FIRST: cursors.Key = (-1, bytes(16), -(1 << 63))
"""Before every record."""
_FETCHED = 25
"""Rows that come at a time: what may be in memory beyond PAGE_BYTES."""
_POSITION = re.compile(r"(\d{1,12})-(\d{1,18}):(\d{1,18}):([\d,]*)", re.ASCII)


class Position(Struct, frozen=True):
    """A snapshot of PostgreSQL's, and when it was taken by its clock, in unix seconds: what a reader has seen."""

    at_s: int
    xmin: int
    xmax: int
    running: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """The position of its text; None where it is none."""
        found = _POSITION.fullmatch(text)
        if found is None:
            return None
        running = tuple(int(number) for number in found[4].split(",") if number)
        position = cls(int(found[1]), int(found[2]), int(found[3]), running)
        return position if position._is_sound() else None

    def _is_sound(self) -> bool:
        numbers = [self.xmin, *self.running, self.xmax]
        # None is a multiple of 2^32.
        return numbers == sorted(numbers) and all(_lower_half(number) for number in numbers)

    @property
    def snapshot(self) -> str:
        """As PostgreSQL writes it."""
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.running))}"

    def __str__(self) -> str:
        return f"{self.at_s}-{self.snapshot}"

    def sees(self, transaction: int) -> bool:
        """Whether what the transaction committed is visible here."""
        return transaction < self.xmin or (transaction < self.xmax and transaction not in self.running)


def _lower_half(number: int) -> int:
    """What a row shows of its transaction's number."""
    return number & 0xFFFFFFFF


class Arrivals(Struct):
    """Transactions that became visible, and where in time their records lie, between others."""

    transactions: list[int]
    stretches: list[Stretch]

    def but(self, seen: Position) -> "Arrivals":
        """Those that are not visible at a position."""
        return Arrivals([number for number in self.transactions if not seen.sees(number)], self.stretches)


class Look(Struct):
    """What became visible up to a position, by signal; `has_gap`: there may have been more."""

    position: Position
    arrivals: dict[str, Arrivals]
    has_gap: bool


class Search(Struct, frozen=True):
    """What somebody asks for of all that arrives: parameters, how they select, and how rows become whole records."""

    source: Source
    asked: Any
    select: Callable[[Connection, Any], Awaitable[Selection]]
    load: Callable[[Connection, Sequence[Row]], Awaitable[list[Any]]]


async def look(connection: Connection, since: Position | None, kept_s: float) -> Look:
    """What became visible since a position, in a ledger that keeps its rows for `kept_s`; None = nothing."""
    given = (None, None) if since is None else (since.snapshot, since.at_s)
    rows = await connection.fetch(query("reading_arrivals", "find-arrivals"), *given, OVERLAP_S, kept_s)
    position = Position.parse(f"{rows[0]['at']}-{rows[0]['snapshot']}")
    assert position is not None
    arrivals = {
        row["signal"]: Arrivals(row["transactions"], merged(zip(row["lows"], row["highs"], strict=True)))
        for row in rows
        if row["signal"] is not None
    }
    return Look(position, arrivals, rows[0]["has_gap"])


async def page(
    connection: Connection, search: Search, arrivals: Arrivals, after: cursors.Key, limit: int
) -> tuple[list[Row], bool]:
    """The earliest rows after a key, as many and as large as a page may be; whether they are the last ones."""
    selection = await search.select(connection, search.asked)
    rows: list[Row] = []
    size_bytes = 0
    for stretch in _after(arrivals, after, selection):
        statement, arguments = _asked(search.source, selection, arrivals, stretch, after)
        arguments[5] = limit - len(rows)
        async for row in connection.cursor(statement, *arguments, prefetch=_FETCHED):
            rows.append(row)
            size_bytes += sum(len(value) for value in row if isinstance(value, bytes | str))
            if len(rows) == limit or size_bytes >= PAGE_BYTES:
                return rows, False
    return rows, True


async def count(connection: Connection, search: Search, arrivals: Arrivals, after: cursors.Key) -> int:
    """How many rows there are after a key."""
    selection = await search.select(connection, search.asked)
    found = 0
    for stretch in _after(arrivals, after, selection):
        statement, arguments = _asked(search.source, selection, arrivals, stretch, after)
        found += await connection.fetchval(
            query("reading", "count-matches").replace("__matches__", f"({statement})"), *arguments
        )
    return found


def _after(arrivals: Arrivals, after: cursors.Key, selection: Selection) -> list[Stretch]:
    """What is left of the stretches."""
    left = ((max(low, after[0]), high) for low, high in arrivals.stretches if high >= after[0])
    return list(left) if selection.parts else []


def _asked(
    source: Source, selection: Selection, arrivals: Arrivals, stretch: Stretch, after: cursors.Key
) -> tuple[str, list[Any]]:
    """The statement that finds the rows of a stretch, and its parameters; the limit, the sixth, is none."""
    with_transaction = replace(source, table=replace(source.table, columns=(*source.table.columns, "xmin")))
    match = union([part.match(with_transaction) for part in selection.parts])
    arguments = [stretch[0], stretch[1] + 1, *cursors.NO_KEY, None, *match.arguments]
    statement = source.page(match.text, "page-arrivals")
    for name, value in (
        ("transactions", [_lower_half(number) for number in arrivals.transactions]),
        *zip(("after_time", "after_group", "after_id"), after, strict=True),
    ):
        arguments.append(value)
        statement = statement.replace(f"__{name}__", f"${len(arguments)}")
    return statement, arguments
