"""Indexes on what lies on rows: one for each promoted key whose values hardly repeat, made while others write.

Source: sql/migrations/0008_reading.sql; docs/decisions/0009-filters.md.
"""

import logging

from exporter.columns import LOGS as LOG_FACTS
from exporter.columns import SPANS as SPAN_FACTS
from exporter.database import Connection, Database
from exporter.otlp.anyvalue import escape_nul
from exporter.otlp.records import LOGS, SPANS
from exporter.promotion import Promotion
from sql import query

log = logging.getLogger("postel")
_LONGEST_S = 3600.0
_FACTS = {SPANS: SPAN_FACTS, LOGS: LOG_FACTS}


async def make(database_url: str, promotion: Promotion) -> int:
    """Make the indexes that are missing; returns how many statements that took. Raises StorageUnavailable.

    Over a connection of its own, as it takes as long as the data is large; nothing where another process is at it.
    """
    database = Database(database_url, 1, _LONGEST_S, "postel indexes")
    try:
        async with database.session() as connection:
            if not await connection.fetchval(query("indexes", "lock-indexing")):
                return 0
            for signal in _FACTS:
                await _claim(connection, signal, promotion)
            due = [row[0] for row in await connection.fetch(query("indexes", "list-due-indexes"))]
            for statement in due:
                await connection.execute(statement)
            await connection.execute(query("indexes", "complete-row-indexes"))
    finally:
        await database.close()
    if due:
        log.info("made %d indexes", len(due))
    return len(due)


async def _claim(connection: Connection, signal: str, promotion: Promotion) -> None:
    statement = query("indexes", "claim-row-indexes").replace("__signal__", signal)
    keys = [escape_nul(key) for key in promotion.promoted[signal]]
    await connection.execute(statement, keys, signal, _FACTS[signal].name)
