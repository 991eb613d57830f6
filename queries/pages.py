"""Pages, newest first: which slices of time are looked at, in what order, and how many records there are in all.

A page is found without sorting its window: a few ids (resources, or series) are branches of one statement, each of
which an index answers in order; everything else is looked for in slices that widen from the newest second on.
"""

import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from exporter.columns import Table
from queries import cursors
from queries.database import Connection, fetch_within
from queries.filters import PAGE, Kept, Match, union
from queries.params import Paged, Window
from sql import query

Row: TypeAlias = Any
"""An asyncpg record: columns by name."""

DEFAULT_LIMIT = 100
MOST_BRANCHES = 10
COUNT_LIMIT = 10_000
COUNT_MS = 5
_SECOND_NANO = 1_000_000_000
_WIDENING = 32
_FIRST_ROWS = 8_000
"""So many records the first slice has, about: for fewer, the index on time finds hardly fewer pages."""
_SHORTEST_NANO, _LONGEST_NANO = 1_000_000, 600 * _SECOND_NANO


class Source(Struct, frozen=True):
    """One fact table: what finds its records, and the columns that order them (time, and what tells equals apart)."""

    signal: str
    table: Table
    match: str
    key: tuple[str, str, str]

    def statement(self) -> str:
        """The match-… statement with the table's columns."""
        return self.match.replace("__columns__", ", ".join(self.table.columns))

    def page(self, match: str, order: str = "page-by-second") -> str:
        """The statement of a page of what `match` finds."""
        moment, group, last = self.key
        text = query("reading", order).replace("__matches__", f"({match})")
        return text.replace("__time__", moment).replace("__group__", group).replace("__id__", last)

    def key_of(self, row: Row) -> cursors.Key:
        """What the row is ordered by."""
        moment, group, last = self.key
        return row[moment], row[group], row[last]


class Selection(Struct):
    """Which records are asked for: of these resources and series (None = any), the values of `filters`, and conditions.

    `narrow` tells that an index finds the few records there are: those of a trace, or of a value on their rows.
    """

    resources: list[int] | None = None
    series: list[int] | None = None
    filters: Sequence[object] = ()
    narrow: bool = False
    kept: Sequence[Kept] = ()
    others: "Sequence[Selection]" = ()
    """What is asked for besides; no record is in two of them."""

    @property
    def parts(self) -> "list[Selection]":
        """This and the other one, as far as anything can be found."""
        return [part for part in (self, *self.others) if part.resources != [] and part.series != []]

    def match(self, source: Source, driver: str | None = None) -> Match:
        """The statement that finds the records; with a driver those of one of its ids, the last parameter."""
        given = (self.resources, self.series)
        if driver is not None:
            # Said twice, the planner would expect far too few rows.
            given = (None, self.series) if driver == "resource_id" else (self.resources, None)
        kept = list(self.kept)
        if driver is not None or given != (None, None):
            kept.append(Kept("keep-seconds", {}, names={"time": source.key[0]}))
        if driver is not None:
            kept.append(Kept("keep-one", {"id": None}, names={"driver": driver}))
        return Match(source.statement(), (*given, *self.filters), PAGE).around(kept)

    def driver(self) -> tuple[str, list[int]] | None:
        """The few ids that an index is asked for one by one; None where there are too many."""
        given = {"resource_id": self.resources, "series_id": self.series}
        found = [(len(ids), column, ids) for column, ids in given.items() if ids is not None]
        count, column, ids = min(found, default=(MOST_BRANCHES + 1, "", []))
        return (column, ids) if count <= MOST_BRANCHES else None


class Request(Struct):
    """One page: its window, where it begins (after a key, or after `offset` records), how long it is."""

    window: Window
    after: cursors.Key | None
    offset: int
    limit: int
    exact: bool
    looked_s: float = 0.0
    """How long its records were looked for without an index, which to count all of them takes at least."""

    @classmethod
    def of(cls, name: str, asked: Paged, window: Window, key_type: Any, limit: int = DEFAULT_LIMIT) -> "Request":
        """The page that is asked for of the endpoint `name`; a cursor brings the window that it was made in."""
        after: cursors.Key | None = None
        if asked.cursor:
            window, after = cursors.decode(name, asked.cursor, key_type)
        return cls(window, after, asked.offset, asked.limit or limit, asked.count == "exact")

    @property
    def wanted(self) -> int:
        """How many records to look for: one more than are answered tells whether there are more."""
        return self.offset + self.limit + 1

    @property
    def high(self) -> int:
        """The end of what is left of the window."""
        return self.window.end if self.after is None else min(self.window.end, self.after[0] + 1)


async def find(connection: Connection, source: Source, selection: Selection, request: Request) -> list[Row]:
    """The rows of a page and, where there are more, one more; newest first."""
    rows: list[Row] = []
    for part in selection.parts:
        rows += await _find(connection, source, part, request)
    rows.sort(key=source.key_of, reverse=True)
    return rows[request.offset : request.wanted]


async def _find(connection: Connection, source: Source, part: Selection, request: Request) -> list[Row]:
    low, high = request.window.start, request.high
    after = request.after or cursors.NO_KEY
    rows: list[Row]
    driver = None if part.narrow else part.driver()
    if driver is not None:
        column, ids = driver
        match = part.match(source, column)
        values = [low, high, *after, request.wanted, *match.arguments[:-1]]
        await connection.fetch(query("reading", "prefer-order"), "off")
        rows = await connection.fetch(_branches(source.page(match.text), len(values) + 1, len(ids)), *values, *ids)
        await connection.fetch(query("reading", "prefer-order"), "on")
        return rows
    match = part.match(source)
    page = source.page(match.text)
    if part.narrow:
        return await connection.fetch(page, low, high, *after, request.wanted, *match.arguments)
    rows = []
    began = time.monotonic()
    async for below, above in slices(connection, source, request, rows):
        rows += await connection.fetch(page, below, above, *after, request.wanted - len(rows), *match.arguments)
    request.looked_s += time.monotonic() - began
    return rows


def _branches(page: str, last: int, count: int) -> str:
    """One statement of `count` pages, each with a parameter of its own in place of the page's last one."""
    pages = (re.sub(rf"\${last}\b", f"${last + i}", page) for i in range(count))
    return " UNION ALL ".join(f"({one})" for one in pages)


async def slices(
    connection: Connection, source: Source, request: Request, rows: Sequence[Row]
) -> AsyncIterator[tuple[int, int]]:
    """Ever longer slices of the window, from the newest on, until `rows` holds as many as are wanted.

    As long as it takes to find the rest, as far as `rows` tells; but no slice is much longer than all before it.
    """
    low, high = request.window.start, request.high
    newest, covered = await _newest(connection, source, high)
    edge = high if request.after is not None else newest
    yield (edge := max(low, edge - covered)), high
    oldest = await connection.fetchval(query("reading", "find-oldest-partition"), source.table.name, low)
    low = high if oldest is None else max(low, oldest)
    while edge > low and len(rows) < request.wanted:
        rest = 2 * covered * (request.wanted - len(rows)) // len(rows) if rows else covered * _WIDENING
        width = max(covered // 2, min(rest, covered * _WIDENING))
        # A little more at once costs less than to come again for it.
        above, edge = edge, edge - width if edge - low > 2 * width else low
        covered += above - edge
        yield edge, above


async def _newest(connection: Connection, source: Source, high: int) -> tuple[int, int]:
    """Where to begin to look, before which are records and after which none or only the latest ones; and how long the
    first slice is, nanoseconds."""
    now = min(high, time.time_ns())
    (found,) = await connection.fetch(query("reading", "find-newest-key"), source.signal)
    newest, records_per_s = found["newest"], float(found["records_per_s"] or _FIRST_ROWS)
    width = max(_SHORTEST_NANO, min(_LONGEST_NANO, int(_FIRST_ROWS / records_per_s * _SECOND_NANO)))
    if newest is None or newest >= now - width:
        return now, width
    # What was last written need not be the newest: it may have been sent late.
    statement = query("reading", "find-any").replace("__table__", source.table.name)
    later = await connection.fetchval(statement.replace("__time__", source.key[0]), newest + 1, high)
    return (now if later else newest + 1), width


class Total(Struct):
    """How many records there are; `relation` "gte" tells that there may be more."""

    count: int
    relation: str


async def total(connection: Connection, match: Match, request: Request, rows: Sequence[Row]) -> Total:
    """How many records a match-… statement finds in the whole window.

    Has to be the last thing that is asked in its transaction.
    """
    seen = request.offset + len(rows) if rows else 0
    if request.after is None and len(rows) <= request.limit and (rows or not request.offset):
        return Total(seen, "eq")
    if request.looked_s * 1000 > COUNT_MS and not request.exact:
        return Total(seen, "gte")
    limit = None if request.exact else COUNT_LIMIT + 1
    statement = query("reading", "count-matches").replace("__matches__", f"({match.text})")
    given = (*request.window, *cursors.NO_KEY, limit, *match.arguments)
    if request.exact:
        return Total(await connection.fetchval(statement, *given), "eq")
    counted = await fetch_within(connection, COUNT_MS, statement, *given)
    found = counted[0][0] if counted else 0
    return Total(found, "eq") if counted and found <= COUNT_LIMIT else Total(max(seen, min(found, COUNT_LIMIT)), "gte")


async def total_of(
    connection: Connection, source: Source, selection: Selection, request: Request, rows: Sequence[Row]
) -> Total:
    """`total` of what a selection asks for."""
    parts = selection.parts
    if not parts:
        return Total(0, "eq")
    return await total(connection, union([part.match(source) for part in parts]), request, rows)
