"""Old data in line with the promotion lists: the typed rows and indexes that a key should have, and no others.

No answer depends on it, neither before nor meanwhile: who reads asks the dimensions themselves, and for an index only
where every partition has it. Work is done in small transactions with rests between, so that ingest hardly notices.

Source: docs/backfill.md; docs/decisions/0013-promotion-changes-its-mind.md.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Struct

from exporter import row_indexes
from exporter.database import Connection, Database
from exporter.dimensions import LOG_SERIES, METRIC_SERIES, RESOURCES, SCOPES, SPAN_SERIES, Kind, store_typed
from exporter.errors import StorageUnavailable
from exporter.otlp.anyvalue import escape_nul, from_stored, key_hash
from exporter.otlp.records import LOGS, METRICS, SPANS, AnyValue
from exporter.promotion import RESOURCE, SCOPE, TYPE_OF, TYPES
from sql import query

PLACES: Final[Mapping[str, Kind]] = MappingProxyType(
    {RESOURCE: RESOURCES, SCOPE: SCOPES, LOGS: LOG_SERIES, SPANS: SPAN_SERIES, METRICS: METRIC_SERIES}
)
"""Owners whose attributes get typed rows; those of events and links lie on their own rows."""
BATCH = 1000
"""Dimension rows that one transaction looks at: some ten milliseconds."""
_REST = 9.0
"""Seconds of rest for every second of work: a tenth of one core at most."""
_ROUNDS = 2
"""The second one is for what was being committed, by servers with earlier lists, as the first one came by."""
_LATEST = 1000
_TIMEOUT_S = 600.0

Say = Callable[[int, int], None]
"""Is told how many rows are done, and of how many."""
Rest = Callable[[float], Awaitable[None]]
"""Rests after work that took so many seconds."""


class Target(Struct, frozen=True):
    """A key of an owner, and the types under which it is to have typed rows; none: it is not promoted."""

    owner: str
    key: str
    types: frozenset[str]


class Difference(Struct):
    """How old data differs from the lists, or what was done about it: typed rows that are missing and that are too
    many, partitions without an index that there should be and with one that there should not be."""

    missing: int = 0
    surplus: int = 0
    unindexed: int = 0
    indexed: int = 0

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.missing or self.surplus or self.unindexed or self.indexed)


async def rest(took_s: float) -> None:
    """Rest after work of so many seconds."""
    await asyncio.sleep(took_s * _REST)


class Backfill:
    """What brings one key of one owner in line. Every method raises StorageUnavailable."""

    def __init__(
        self, database_url: str, target: Target, say: Say = lambda _done, _total: None, *, size: int = BATCH
    ) -> None:
        self._url, self._target, self._say, self._size = database_url, target, say, size
        self._kind = PLACES[target.owner]
        self._hash, self._key = key_hash(target.key), escape_nul(target.key)
        # One connection holds the lock.
        self._database = Database(database_url, 2, _TIMEOUT_S, "postel backfill")
        self.rest: Rest = rest

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()

    async def stored_types(self) -> set[str]:
        """The types of the key's newest values that could have typed rows."""
        rows = await self._fetch("list-latest-values", self._key, _LATEST)
        return {of_type for row in rows if (of_type := TYPE_OF.get(type(_value(row["value"]))))}

    async def difference(self) -> Difference:
        """What `align` would do."""
        found = Difference()
        if (key_id := await self._key_id()) is None:
            return found
        newest = await self._newest_id()
        found.missing = await self._walk(key_id, 0, newest, store=False)
        for of_type in self._unwanted():
            found.surplus += (await self._fetch("count-typed", key_id, of_type=of_type))[0][0]
        if self._target.owner in row_indexes.FACTS:
            place = self._target.owner, self._hash
            if self._target.types:
                found.unindexed = await self._database.retrying(partial(row_indexes.count_missing, place=place))
            else:
                found.indexed = len(await self._database.retrying(partial(row_indexes.list_made, place=place)))
        return found

    async def align(self) -> Difference:
        """Write and remove typed rows, make or drop indexes, until the key is stored as the lists say; what was done.

        Raises StorageUnavailable also where another process is at it.
        """
        done = Difference()
        async with self._database.session() as held:
            if not await held.fetchval(query("backfill", "lock-backfill")):
                raise StorageUnavailable("another `postel promote` or `postel demote` is at work on this database")
            if (key_id := await self._key_id()) is not None:
                done.surplus = await self._remove(key_id)
                done.missing = await self._fill(key_id)
            if self._target.owner in row_indexes.FACTS:
                place = self._target.owner, self._hash
                if self._target.types:
                    done.unindexed = await row_indexes.make_for(self._url, self._target.owner, self._target.key)
                else:
                    done.indexed = await row_indexes.drop(self._url, place)
        return done

    async def _fill(self, key_id: int) -> int:
        """Write the typed rows that are missing; returns how many."""
        if not self._target.types:
            await self._execute("forget-last-id", self._target.owner, self._hash)
            return 0
        types = sorted(self._target.types)
        rows = await self._fetch("find-last-id", self._target.owner, self._hash, types)
        after, written = (rows[0][0] if rows else 0), 0
        for _ in range(_ROUNDS):
            written += await self._walk(key_id, after, await self._newest_id(), store=True)
            await self._execute("forget-last-id", self._target.owner, self._hash)
            after = 0
        return written

    async def _walk(self, key_id: int, after: int, end: int, *, store: bool) -> int:
        """Look at the dimension's rows after an id and up to another one; how many typed rows were missing."""
        done = (await self._fetch("count-rows", 0, after))[0][0]
        total = done + (await self._fetch("count-rows", after, end))[0][0]
        missing = 0
        if after < end:
            self._say(done, total)
        while after < end:
            began = time.monotonic()
            after, rows, found = await self._database.retrying(
                partial(self._batch, key_id=key_id, after=after, end=end, store=store)
            )
            done, missing = done + rows, missing + found
            self._say(done, total)
            await self.rest(time.monotonic() - began)
        return missing

    async def _batch(
        self, connection: Connection, key_id: int, after: int, end: int, *, store: bool
    ) -> tuple[int, int, int]:
        """The same for the next rows: where they end, how many they are, and how many typed rows were missing."""
        ((last_id, size),) = await connection.fetch(self._statement("find-batch"), after, end, self._size)
        if not size:
            return end, 0, 0
        rows = await connection.fetch(self._statement("list-untyped"), after, last_id, self._key, key_id)
        values = {row["id"]: _value(row["value"]) for row in rows}
        wanted = {i: value for i, value in values.items() if TYPE_OF.get(type(value)) in self._target.types}
        if store:
            there = await connection.fetch(self._statement("lock-rows"), list(wanted), self._key) if wanted else []
            await store_typed(connection, self._kind, [(row[0], key_id, wanted[row[0]]) for row in there])
            progress = self._target.owner, self._hash, sorted(self._target.types), last_id
            await connection.execute(self._statement("save-last-id"), *progress)
        return last_id, size, len(wanted)

    async def _remove(self, key_id: int) -> int:
        """Remove the typed rows that are too many; returns how many."""
        counts = {t: (await self._fetch("count-typed", key_id, of_type=t))[0][0] for t in self._unwanted()}
        removed, total = 0, sum(counts.values())
        for of_type in counts:
            while True:
                began = time.monotonic()
                gone = await self._fetch("delete-typed", key_id, self._size, of_type=of_type)
                removed += len(gone)
                if gone:
                    self._say(removed, max(total, removed))
                await self.rest(time.monotonic() - began)
                if len(gone) < self._size:
                    break
        return removed

    def _unwanted(self) -> list[str]:
        return [of_type for of_type in TYPES if of_type not in self._target.types]

    async def _key_id(self) -> int | None:
        """The id of the key; None where nothing that is stored once ever had it."""
        rows = await self._database.retrying(lambda c: c.fetch(query("dimensions", "find-keys"), [self._hash]))
        return rows[0]["key_id"] if rows else None

    async def _newest_id(self) -> int:
        newest: int = (await self._fetch("find-newest-id"))[0][0]
        return newest

    async def _fetch(self, name: str, *arguments: object, of_type: str = "") -> list[Any]:
        statement = self._statement(name, of_type)
        return list(await self._database.retrying(lambda c: c.fetch(statement, *arguments)))

    async def _execute(self, name: str, *arguments: object) -> None:
        await self._database.retrying(lambda c: c.execute(self._statement(name), *arguments))

    def _statement(self, name: str, of_type: str = "") -> str:
        """A statement about the dimension, or about its typed table of one type."""
        typed = self._kind.attributes or ""
        table = typed + of_type if of_type else self._kind.table
        text = query("backfill", name).replace("__table__", table)
        return text.replace("__typed__", typed).replace("__id__", self._kind.id_column)


def _value(stored: bytes) -> AnyValue:
    return from_stored(msgspec.json.decode(stored))
