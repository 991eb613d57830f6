"""Indexes on what lies on rows: one for each promoted key whose values hardly repeat, made while others write.

Source: sql/migrations/0008_reading.sql; docs/decisions/0009-filters.md.
"""

import asyncio
import logging
from collections.abc import Iterable

from exporter.columns import LOGS as LOG_FACTS
from exporter.columns import SPANS as SPAN_FACTS
from exporter.database import Connection, Database
from exporter.otlp.anyvalue import escape_nul, key_hash
from exporter.otlp.records import LOGS, SPANS
from exporter.promotion import Promotion
from sql import query

log = logging.getLogger("postel")
_LONGEST_S = 3600.0
_LOOK_S = 1.0
FACTS = {SPANS: SPAN_FACTS, LOGS: LOG_FACTS}
"""Signals whose attributes may lie on rows, and the tables of these."""

Place = tuple[str, bytes]
"""(signal, hash) of a key."""


async def make(database_url: str, promotion: Promotion) -> int:
    """Make the indexes that are missing; returns how many statements that took. Raises StorageUnavailable.

    Over a connection of its own, as it takes as long as the data is large; nothing where another process is at it.
    """
    return await _make(database_url, {signal: promotion.promoted[signal] for signal in FACTS})


async def make_for(database_url: str, signal: str, key: str) -> int:
    """Make the index of one promoted key; in how many partitions. Raises StorageUnavailable.

    Where another process makes indexes, this waits until it has made the last one.
    """
    database = Database(database_url, 1, _LONGEST_S, "postel indexes")
    place = signal, key_hash(key)
    try:
        async with database.transaction() as connection:
            missing = await count_missing(connection, place)
        left = missing
        while left:
            await _make(database_url, {signal: [key]})
            async with database.transaction() as connection:
                left = await count_missing(connection, place)
            if left:
                await asyncio.sleep(_LOOK_S)
    finally:
        await database.close()
    return missing


async def _make(database_url: str, keys: dict[str, Iterable[str]]) -> int:
    database = Database(database_url, 1, _LONGEST_S, "postel indexes")
    try:
        async with database.session() as connection:
            if not await connection.fetchval(query("indexes", "lock-indexing")):
                return 0
            for signal, of_signal in keys.items():
                await _claim(connection, signal, of_signal)
            due = [row[0] for row in await connection.fetch(query("indexes", "list-due-indexes"))]
            for statement in due:
                await connection.execute(statement)
            await connection.execute(query("indexes", "complete-row-indexes"))
    finally:
        await database.close()
    if due:
        log.info("made %d indexes", len(due))
    return len(due)


async def drop(database_url: str, place: Place) -> int:
    """Drop the index of a key from every partition; how many there were. Raises StorageUnavailable.

    First nobody counts on it any more, neither who reads nor who makes partitions. Waits for who makes indexes.
    """
    database = Database(database_url, 2, _LONGEST_S, "postel indexes")
    try:
        async with database.session() as connection:
            # Waiting inside of PostgreSQL would have the making of an index wait for us in turn.
            while not await connection.fetchval(query("indexes", "lock-indexing")):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
            async with database.transaction() as releasing:
                await releasing.execute(query("indexes", "wait-for-partitions"))
                await releasing.execute(query("indexes", "release-row-index"), *place)
            made = await list_made(connection, place)
            for statement in made:
                await connection.execute(statement)
    finally:
        await database.close()
    return len(made)


async def list_made(connection: Connection, place: Place) -> list[str]:
    """The statements that drop the index of a key, one for each partition that has it."""
    signal, hashed = place
    rows = await connection.fetch(query("indexes", "list-indexed-partitions"), FACTS[signal].name, hashed)
    return [row["statement"] for row in rows]


async def count_missing(connection: Connection, place: Place) -> int:
    """How many partitions lack the index of a promoted key; 0 where its values do not lie on rows."""
    signal, hashed = place
    statement = query("indexes", "count-unindexed-partitions").replace("__signal__", signal)
    missing: int = await connection.fetchval(statement, FACTS[signal].name, hashed)
    return missing


async def _claim(connection: Connection, signal: str, promoted: Iterable[str]) -> None:
    statement = query("indexes", "claim-row-indexes").replace("__signal__", signal)
    keys = [escape_nul(key) for key in promoted]
    await connection.execute(statement, keys, signal, FACTS[signal].name)
