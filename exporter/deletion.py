"""Deletes records one by one, beside writers: a batch in a short transaction, with all that was made of them.

An erasure and the rules of retention find different records, and delete them by this one way.

Source: docs/decisions/0022-erasure.md; sql/migrations/0012_erasure.sql.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from msgspec import Struct

from exporter.columns import SPANS as SPAN_FACTS
from exporter.columns import Table
from exporter.database import Connection, Database
from exporter.logs import Logs
from exporter.metrics import Metrics
from exporter.minutes import MINUTE_NANO, ROLLED_UP
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.traces import HOUR_NANO, Traces
from sql import query

Signal: TypeAlias = type[Traces] | type[Logs] | type[Metrics]
SIGNALS: Final[Mapping[str, Signal]] = MappingProxyType({SPANS: Traces, LOGS: Logs, METRICS: Metrics})
"""What the tables of each signal are."""

Key = tuple[Any, ...]
"""A record's natural key, as its table begins."""
Noted = Callable[[Connection, int], Awaitable[object]]
"""Notes in the transaction of a batch how many records it deletes."""

BATCH = 1_000
"""Records of one transaction at most: it holds the rows of their traces, which a writer may want to add to."""
_FIRST_BATCH, _LOCKED_S = 100, 0.06
"""One that takes longer is followed by one half as large: nobody is to wait for more than a tenth of a second."""
PAGE = 10_000
"""Records that are found at once."""
_REST = 1.0
"""Rest after a batch, by what it took: half of the time is the writers' alone."""
_SHORT_S, _LONG_S = 0.2, 0.8
"""A window that is searched in less is followed by one twice as long, one that takes more by one half as long; so is
one that has more than a page, as what was deleted of it lies in the way."""
_FIRST_NANO = HOUR_NANO


class Find(Struct, frozen=True):
    """A statement that finds keys of records filed from $1 to $2, and its other parameters; the last one, which bounds
    how many, is left out."""

    statement: str
    arguments: tuple[object, ...] = ()


class Windows:
    """Windows of what is stored, oldest first, each as long as can be searched in a moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._length_nano = _FIRST_NANO
        self._has_more = False

    async def of(self, table: Table, low: int, high: int) -> AsyncIterator[tuple[int, int]]:
        """The windows from `low` to `high` (unix nanoseconds) in which a table can hold anything; none crosses the
        bounds of a partition. Raises StorageUnavailable."""
        statement = query("deletion", "list-windows")
        rows = await self._database.retrying(lambda c: c.fetch(statement, table.name, low, high))
        for lower, upper in rows:
            begin, end = max(lower, low), min(upper, high)
            while begin < end:
                until = min(begin + self._length_nano, end)
                self._has_more = False
                yield begin, until
                begin = begin if self._has_more else until

    async def ask(self, find: Find, begin: int, until: int, *others: object) -> list[Any]:
        """What a statement finds in a window; how long it took decides how long the next ones are. Where it found a
        page the next one begins at the same time."""
        began = monotonic()

        async def fetch(connection: Connection) -> list[Any]:
            await connection.execute(query("deletion", "plan-each-time"))
            return await connection.fetch(find.statement, begin, until, *find.arguments, *others)

        found = await self._database.retrying(fetch)
        took_s, self._has_more = monotonic() - began, len(found) == PAGE
        if took_s > _LONG_S or self._has_more:
            self._length_nano = max(MINUTE_NANO, (until - begin) // 2)
        elif took_s < _SHORT_S:
            self._length_nano = max(self._length_nano, until - begin) * 2
        return found


async def sweep(
    database: Database, signal: Signal, table: Table, find: Find, bounds: tuple[int, int], noted: Noted
) -> AsyncIterator[tuple[int, int]]:
    """Delete what `find` finds in a table of a signal within `bounds` (unix nanoseconds), oldest first.

    Yields after each batch how many records it deleted, and from when on they lay; 0 where it found none. Whoever is
    cut off, or meets records that arrived meanwhile, begins again: what is left is found. Raises StorageUnavailable.
    """
    windows, size = Windows(database), min(_FIRST_BATCH, BATCH)
    async for begin, until in windows.of(table, *bounds):
        keys: list[Key] = sorted(await windows.ask(find, begin, until, PAGE), key=itemgetter(table.time))
        if not keys:
            yield 0, begin
        while keys:
            began = monotonic()
            batch, keys = keys[:size], keys[size:]
            yield await database.retrying(partial(_work, signal=signal, table=table, keys=batch, noted=noted)), begin
            took_s = monotonic() - began
            if took_s > _LOCKED_S:
                size = max(1, size // 2)
            elif took_s < _LOCKED_S / 3:
                size = min(BATCH, size * 2)
            await asyncio.sleep(_REST * took_s)


async def _work(connection: Connection, signal: Signal, table: Table, keys: Sequence[Key], noted: Noted) -> int:
    count = await delete(connection, signal, table, keys)
    await noted(connection, count)
    return count


async def delete(connection: Connection, signal: Signal, table: Table, keys: Sequence[Key]) -> int:
    """Delete records by their natural keys, with their children; what is left of their traces is added up anew,
    their minutes are due. Returns how many there were.

    Locks are taken in the order in which writers take them: minutes, then traces by id and hour.
    """
    times = [key[table.time] for key in keys]
    if signal.name in ROLLED_UP:
        minutes = sorted({time - time % MINUTE_NANO for time in times})
        await connection.execute(query("deletion", "mark-minutes"), signal.name, minutes)
    traces = await _lock_traces(connection, keys) if table is SPAN_FACTS else None
    columns = [list(column) for column in zip(*keys, strict=True)]
    bounds = min(times), max(times)
    for child in signal.tables[signal.facts :]:
        await connection.fetchval(_deleting(child), *columns, *bounds)
    count: int = await connection.fetchval(_deleting(table), *columns, *bounds)
    if traces:
        for name in ("delete-empty-traces", "recompute-traces"):
            await connection.execute(query("deletion", name), *traces)
    return count


async def _lock_traces(connection: Connection, spans: Sequence[Key]) -> list[Any]:
    """The traces and hours of spans as two columns, with the first and the last hour, locked."""
    touched = sorted({(trace_id, start - start % HOUR_NANO) for trace_id, _, start in spans})
    traces, hours = ([*column] for column in zip(*touched, strict=True))
    columns = [traces, hours, min(hours), max(hours)]
    await connection.fetch(query("deletion", "lock-traces"), *columns)
    return columns


def key_of(table: Table) -> tuple[str, ...]:
    """The columns of a table's natural key."""
    return table.columns[: table.key_width]


def made_out(statement: str, table: Table) -> str:
    """A statement that serves every table, made out to this one."""
    return (
        statement.replace("__table__", table.name)
        .replace("__time__", table.columns[table.time])
        .replace("__key__", ", ".join(key_of(table)))
    )


def _deleting(table: Table) -> str:
    key = key_of(table)
    types = ("uuid" if column in ("trace_id", "trace_key") else "bigint" for column in key)
    return (
        made_out(query("deletion", "delete-rows"), table)
        .replace("__arrays__", ", ".join(f"${i}::{name}[]" for i, name in enumerate(types, 1)))
        .replace("__equal__", " AND ".join(f"t.{column} = k.{column}" for column in key))
        .replace("__low__", f"${len(key) + 1}")
        .replace("__high__", f"${len(key) + 2}")
    )
