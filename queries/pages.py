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
_WIDENING = 4


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

    def match(self, source: Source, driver: str = "resource_id") -> Match:
        """The statement that finds the records; the last one of `base_arguments` is a value of `driver`."""
        text = source.statement().replace("__driver__", driver)
        return Match(text, (*self.base_arguments(), None), PAGE).around(self.kept)

    def base_arguments(self) -> tuple[object, ...]:
        """The parameters of a match-… statement from $7 on, but for the last."""
        return (self.resources, self.series, *self.filters)

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
    driver = None if part.narrow else part.driver()
    if driver is not None:
        column, ids = driver
        match = part.match(source, column)
        values = [low, high, *after, request.wanted, *match.arguments]
        place = PAGE + len(part.base_arguments())
        values[place] = ids[0]
        page = _branches(source.page(match.text), place + 1, len(values), len(ids))
        return await connection.fetch(page, *values, *ids[1:])
    match = part.match(source)
    page = source.page(match.text)
    if part.narrow:
        return await connection.fetch(page, low, high, *after, request.wanted, *match.arguments)
    rows: list[Row] = []
    async for below, above in slices(connection, source, request):
        rows += await connection.fetch(page, below, above, *after, request.wanted - len(rows), *match.arguments)
        if len(rows) >= request.wanted:
            break
    return rows


def _branches(page: str, parameter: int, parameters: int, count: int) -> str:
    """One statement of `count` pages: in place of one of its `parameters` all but the first have one of their own."""
    others = (re.sub(rf"\${parameter}\b", f"${parameters + i}", page) for i in range(1, count))
    return " UNION ALL ".join(f"({one})" for one in [page, *others])


async def slices(connection: Connection, source: Source, request: Request) -> AsyncIterator[tuple[int, int]]:
    """Ever longer slices of the window, from the newest on."""
    low, high = request.window.start, request.high
    edge = high if request.after is not None else await _newest(connection, source, high)
    width = _SECOND_NANO
    edge = max(low, edge - width)
    yield edge, high
    oldest = await connection.fetchval(query("reading", "find-oldest-partition"), source.table.name, low)
    low = high if oldest is None else max(low, oldest)
    while edge > low:
        width *= _WIDENING
        above, edge = edge, max(low, edge - width)
        yield edge, above


async def _newest(connection: Connection, source: Source, high: int) -> int:
    """Where to begin to look: before it are records, after it are none or only the latest ones."""
    now = min(high, time.time_ns())
    newest: int | None = await connection.fetchval(query("reading", "find-newest-key"), source.signal)
    if newest is None or newest >= now - _SECOND_NANO:
        return now
    # What was last written need not be the newest: it may have been sent late.
    statement = query("reading", "find-any").replace("__table__", source.table.name)
    later = await connection.fetchval(statement.replace("__time__", source.key[0]), newest + 1, high)
    return now if later else newest + 1


class Total(Struct):
    """How many records there are; `relation` "gte" tells that there may be more."""

    count: int
    relation: str


async def total(connection: Connection, match: Match, request: Request, rows: Sequence[Row]) -> Total:
    """How many records a match-… statement finds in the whole window.

    Has to be the last thing that is asked in its transaction.
    """
    seen = request.offset + len(rows)
    if request.after is None and len(rows) <= request.limit and (rows or not request.offset):
        return Total(seen, "eq")
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
