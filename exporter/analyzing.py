"""What the planner knows of partitioned tables, of which autovacuum looks at the partitions alone: once a day, by one.

Source: docs/data-life.md; sql/migrations/0011_dropping.sql.
"""

import logging
from functools import partial

from exporter.database import Connection, Database
from sql import query

log = logging.getLogger("postel")
_LONGEST_S = 600.0


async def analyze(database_url: str) -> list[str]:
    """Analyse the tables that are due, each in a transaction; returns their names. Raises StorageUnavailable.

    Over a connection of its own, which has a name: who needs a partition at once ends what it is at.
    """
    database = Database(database_url, 1, _LONGEST_S, "postel analyze")
    try:
        rows = await database.retrying(lambda c: c.fetch(query("partitions", "list-unanalyzed")))
        done = [row[0] for row in rows if await database.retrying(partial(_analyze, table=row[0]))]
    finally:
        await database.close()
    if done:
        log.info("analysed %s", ", ".join(done))
    return done


async def _analyze(connection: Connection, table: str) -> bool:
    return bool(await connection.fetchval(query("partitions", "analyze-table"), table))
