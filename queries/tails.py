"""Everybody who tails: one look at the ledger for all of them twice a second, and what each one is still to get.

Nothing is buffered but which transactions a reader has not come to: their records are read when it takes them.

Source: docs/decisions/0011-tail.md.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic
from typing import Any

from msgspec import Struct

from exporter.errors import Overloaded, ShuttingDown, Unavailable
from queries import arrivals, cursors
from queries.answers import Skipped
from queries.arrivals import Arrivals, Look, Position, Search
from queries.database import ReadDatabase
from queries.errors import QueryTimeout, shape
from queries.pages import Row
from sql import query

log = logging.getLogger("postel")
MOST_READERS = 20
MOST_LOOKS = 20
"""Looks that a reader may be behind, ten seconds of them: then it is too slow."""
LOOK_S = 0.5
RECORDS_S = 4_000
"""Records a second that all readers get together in the long run: an eighth of a core, less in PostgreSQL."""
RECORDS_AT_ONCE = 4_000
"""Records that each one may get at once after it got few."""
_PAGE = 250
_STATEMENT_MS, _TRIES = 1_000, 3
_IDLE_S = 1.0
_LAST_WORD_S = 30.0
_TOO_SLOW = shape(
    "too_slow",
    f"what was sent was not read for {MOST_LOOKS * LOOK_S:g} s, or there was more than could be looked through",
    hint="read faster, or ask for less: a service, severity=warn",
)
_SHUTTING_DOWN = shape("shutting_down", "the server is shutting down", hint="ask again")
_TOO_MANY = f"more than {RECORDS_S} records a second, which all tails share; ask for less: a service, severity=warn"
_TOO_LONG = f"looking for them took longer than {_STATEMENT_MS / 1000:g} s; ask for less: a service, severity=warn"
_GAP = "the last look at the ledger was too long ago, or at another database"


class Batch(Struct):
    """Records that arrived, or words about records left out; none = nothing for now.

    `before` is seen whole by who got what came before, `position` by who got this.
    """

    records: list[Any]
    before: Position
    position: Position


class Reader:
    """One tail, from the snapshot on that it began with."""

    def __init__(self, tails: "Tails", search: Search, first: Look, since: Position | None) -> None:
        self._tails, self._search = tails, search
        self._start = first.position
        self.position = since or first.position
        """What it has seen whole."""
        self._looks: asyncio.Queue[Look] = asyncio.Queue(MOST_LOOKS)
        self._looks.put_nowait(first)
        self._tokens, self._earned_at = float(RECORDS_AT_ONCE), monotonic()
        self.ended = asyncio.Event()
        self.problem: dict[str, dict[str, str]] = {}
        """Why it was ended."""
        self.last_word_s = 0.0
        """How long it may take the reader to hear of that."""

    def leave(self) -> None:
        """Nobody reads any longer."""
        self._tails.readers.discard(self)

    def end(self, problem: dict[str, dict[str, str]], last_word_s: float) -> None:
        """It gets nothing any longer."""
        self.problem, self.last_word_s = problem, last_word_s
        self.ended.set()
        self.leave()

    def offer(self, look: Look) -> None:
        """What became visible since the last time, and maybe before the reader began."""
        new = {signal: found.but(self._start) for signal, found in look.arrivals.items()}
        try:
            self._looks.put_nowait(Look(look.position, new, look.has_gap))
        except asyncio.QueueFull:
            self.end(_TOO_SLOW, _LAST_WORD_S)

    async def batches(self) -> AsyncIterator[Batch]:
        """What arrives, each record once; at least one batch a second or two, be it an empty one."""
        while True:
            found = None
            with suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_S):
                    found = await self._looks.get()
            if found is not None:
                if found.has_gap:
                    yield self._said(Skipped(None, _GAP))
                new = found.arrivals.get(self._search.source.signal)
                if new is not None and new.transactions:
                    async for batch in self._read(new, found.position):
                        yield batch
                self.position = found.position
            yield self._said()

    def _said(self, *records: Any) -> Batch:
        return Batch(list(records), self.position, self.position)

    async def _read(self, new: Arrivals, position: Position) -> AsyncIterator[Batch]:
        after, is_last, tries = arrivals.FIRST, False, _TRIES
        while not is_last:
            try:
                if self._earned() < _PAGE:
                    if left := await self._count(new, after):
                        yield self._said(Skipped(left, _TOO_MANY))
                    return
                rows, found, is_last = await self._page(new, after)
            except Unavailable as error:
                # A server that does not answer, or is gone, will answer some time.
                tries -= isinstance(error, QueryTimeout) and not isinstance(error.__cause__, TimeoutError)
                if not tries:
                    yield self._said(Skipped(None, _TOO_LONG))
                    return
                yield self._said()
                await asyncio.sleep(LOOK_S)
                continue
            self._tokens -= len(rows)
            if rows:
                after = self._search.source.key_of(rows[-1])
                yield Batch(found, self.position, position if is_last else self.position)

    def _earned(self) -> float:
        """How many records the reader may get now."""
        now = monotonic()
        earned = (now - self._earned_at) * RECORDS_S / max(1, len(self._tails.readers))
        self._tokens, self._earned_at = min(self._tokens + earned, RECORDS_AT_ONCE), now
        return self._tokens

    async def _page(self, new: Arrivals, after: cursors.Key) -> tuple[list[Row], list[Any], bool]:
        async with self._tails.database.reading() as connection:
            await connection.fetch(query("reading", "limit-statement"), str(_STATEMENT_MS))
            rows, is_last = await arrivals.page(connection, self._search, new, after, _PAGE)
            found = await self._search.load(connection, rows)
        return rows, [record.to_json() for record in found], is_last

    async def _count(self, new: Arrivals, after: cursors.Key) -> int:
        async with self._tails.database.reading() as connection:
            await connection.fetch(query("reading", "limit-statement"), str(_STATEMENT_MS))
            return await arrivals.count(connection, self._search, new, after)


class Tails:
    """The readers of one process. The ledger that they look at keeps its rows for `kept_s`."""

    def __init__(self, database: ReadDatabase, kept_s: float) -> None:
        self.database, self._kept_s = database, max(kept_s, arrivals.OVERLAP_S)
        self.readers: set[Reader] = set()
        self._looking = asyncio.Lock()
        self._position: Position | None = None
        self._poller: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self, search: Search, since: Position | None = None) -> Reader:
        """A reader of what arrives from now on, or since a position. Raises Unavailable."""
        async with self._looking:
            if len(self.readers) >= MOST_READERS:
                raise Overloaded(f"{MOST_READERS} tails are being read already")
            first = await self._look(since)
            if self._closed:
                raise ShuttingDown("the server is shutting down")
            reader = Reader(self, search, first, since)
            self.readers.add(reader)
            if self._poller is None or self._poller.done():
                self._position = first.position
                self._poller = asyncio.create_task(self._poll())
        return reader

    def close(self) -> None:
        """End every tail, and begin no other."""
        self._closed = True
        for reader in list(self.readers):
            reader.end(_SHUTTING_DOWN, LOOK_S)
        if self._poller is not None:
            self._poller.cancel()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if not self.readers:
                return
            try:
                async with self._looking:
                    look = await self._look(self._position)
                    self._position = look.position
                    for reader in list(self.readers):
                        reader.offer(look)
            except Unavailable:
                # The next look begins where the last one ended.
                continue
            except Exception:
                log.exception("a look at the ledger failed")

    async def _look(self, since: Position | None) -> Look:
        async with self.database.reading() as connection:
            return await arrivals.look(connection, since, self._kept_s)
