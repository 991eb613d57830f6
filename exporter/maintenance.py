"""What `postel maintain` does once, and the server by itself: partitions ahead, retention, pruning, minutes.

Source: docs/operate.md, "Data life".
"""

import logging
import time
from functools import partial

from exporter import row_indexes
from exporter.database import Connection, Database
from exporter.dimensions import KINDS, prune
from exporter.embedded import attached
from exporter.minutes import AT_ONCE, Minutes
from exporter.partitions import Partitions
from exporter.promotion import load
from exporter.settings import Settings
from sql import query

log = logging.getLogger("postel")
_DAY_S = 86_400.0
_HOUR_NANO = 3_600_000_000_000
_AROUND_TURN_NANO = 1_200_000_000_000
"""Maintenance runs every ten minutes, so at least once after each hour's turn."""
_BODIES = 5_000
"""Ledger rows that are pruned in one transaction: whose retries wait for it wait shortly."""


async def run_once(settings: Settings) -> None:
    """Connect, maintain, say what was done; what only the owner of the schema may, only as one. Raises Unavailable."""
    async with attached(settings) as url:
        database = Database(url, 1, 600.0, "postel maintain")
        try:
            partitions = Partitions(database, settings.partition_interval, settings.partitions_ahead)
            dropped = await maintain(database, partitions, settings)
            async with database.transaction() as connection:
                is_owner = await connection.fetchval(query("migrations", "may-migrate"))
            if is_owner:
                await row_indexes.make(url, load(overrides=settings.attribute_overrides))
            computed = await Minutes(database, partitions, AT_ONCE).roll_up()
        finally:
            await database.close()
    print(f"partitions are made {settings.partitions_ahead} ahead; dropped: {', '.join(dropped) or 'none'}")
    if not is_owner:
        print("indexes on promoted keys are left to who owns the schema")
    print(f"minutes that were due and are computed: {computed}")


async def maintain(database: Database, partitions: Partitions, settings: Settings) -> list[str]:
    """Make partitions ahead, drop what retention says, prune the ledger and unused dimensions.

    Returns the names of the partitions that were dropped.
    """
    await partitions.make_ahead()
    kept = settings.retention
    dropped = await partitions.drop_before({"spans": kept.spans, "logs": kept.logs, "metrics": kept.metrics})
    if dropped:
        log.info("retention dropped %d partitions", len(dropped))
    await database.retrying(_mark_split_traces)
    await _prune(database, settings)
    return dropped


async def _mark_split_traces(connection: Connection) -> None:
    """Find the traces around the last hour's turn whose two rows were written at the same time."""
    now = time.time_ns()
    turn = now - now % _HOUR_NANO
    if now - turn > _AROUND_TURN_NANO:
        return
    bounds = turn - _AROUND_TURN_NANO, turn + _AROUND_TURN_NANO
    if found := await connection.fetch(query("spans", "find-split-traces"), *bounds):
        hours = turn - _HOUR_NANO, turn
        await connection.execute(query("spans", "mark-split-traces"), [row[0] for row in found], *hours)


async def _prune_ledger(database: Database, window_s: float) -> None:
    while True:
        rows = await database.retrying(lambda c: c.fetch(query("ledger", "list-expired"), window_s, _BODIES))
        if rows:
            digests = sorted(row[0] for row in rows)
            await database.retrying(partial(_expire, digests=digests, window_s=window_s))
        if len(rows) < _BODIES:
            return


async def _expire(connection: Connection, digests: list[bytes], window_s: float) -> None:
    await connection.execute(query("ledger", "expire-bodies"), digests, window_s)


async def _prune(database: Database, settings: Settings) -> None:
    """Ledger rows past the window; dimension rows that nothing can point to any more, by their last_seen alone."""
    await _prune_ledger(database, settings.dedup_window)
    kept = (settings.retention.spans, settings.retention.logs, settings.retention.metrics)
    if None in kept:
        return
    longest = max(seconds for seconds in kept if seconds is not None)
    age_s = longest + settings.accept_future + settings.partition_interval + _DAY_S

    for kind in KINDS:
        await database.retrying(partial(prune, kind=kind, age_s=age_s))
