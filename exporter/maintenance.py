"""What `postel maintain` does once, and the server by itself: partitions ahead, retention, pruning, minutes.

Source: docs/data-life.md.
"""

import time

from exporter import row_indexes
from exporter.analyzing import analyze
from exporter.database import Database
from exporter.dimensions import LOG_SERIES, METRIC_SERIES, METRICS, RESOURCES, SCOPES, SPAN_SERIES, prune
from exporter.dropping import Dropping
from exporter.embedded import attached
from exporter.minutes import AT_ONCE, Minutes
from exporter.otlp import records
from exporter.partitions import Partitions
from exporter.promotion import load
from exporter.retention import Rules
from exporter.settings import Settings
from sql import query

_NANO = 1_000_000_000
_HOUR_NANO = 3600 * _NANO
_AROUND_TURN_NANO = 1200 * _NANO
"""Maintenance runs every ten minutes, so at least once after each hour's turn."""
_ROWS = 1_000
"""Rows that are pruned or marked in one transaction: who waits for one of them waits shortly."""
_MARGIN_S = 86_400.0
_SERIES_MARGIN_S = 7_200.0
"""A series may have been confirmed an hour after what it is of, as that was trusted for so long."""
_SERIES = ((records.SPANS, SPAN_SERIES), (records.LOGS, LOG_SERIES), (records.METRICS, METRIC_SERIES))


async def run_once(settings: Settings) -> None:
    """Connect, maintain, say what was done; what only the owner of the schema may, only as one. Raises Unavailable."""
    async with attached(settings) as url:
        database = Database(url, 1, 600.0, "postel maintain")
        try:
            partitions = Partitions(database, settings.intervals, settings.partitions_ahead)
            dropped = await maintain(database, partitions, settings)
            await analyze(url)
            deleted = await Rules(database, settings.retention.rules).apply()
            async with database.transaction() as connection:
                is_owner = await connection.fetchval(query("migrations", "may-migrate"))
            if is_owner:
                await row_indexes.make(url, load(overrides=settings.attribute_overrides))
            computed = await Minutes(database, partitions, AT_ONCE).roll_up()
        finally:
            await database.close()
    print(f"partitions are made {settings.partitions_ahead} ahead; dropped: {', '.join(dropped) or 'none'}")
    if settings.retention.rules:
        print(f"records deleted by rules of retention: {deleted}")
    if not is_owner:
        print("indexes on promoted keys are left to who owns the schema")
    print(f"minutes that were due and are computed: {computed}")


async def maintain(database: Database, partitions: Partitions, settings: Settings) -> list[str]:
    """Make partitions ahead, drop what retention and max_size say, prune the ledger and unused dimensions.

    Returns the names of the partitions that were dropped.
    """
    dropped = await Dropping(database, partitions, settings.retention).drop()
    await tend(database, partitions, settings)
    return dropped


async def tend(database: Database, partitions: Partitions, settings: Settings) -> None:
    """The same without dropping."""
    await partitions.make_ahead()
    await _mark_split_traces(database)
    await _prune_ledger(database, settings.dedup_window)
    await _prune_dimensions(database, settings.accept_future)


async def _mark_split_traces(database: Database) -> None:
    """Find the traces around the last hour's turn whose two rows were written at the same time."""
    now = time.time_ns()
    turn = now - now % _HOUR_NANO
    if now - turn > _AROUND_TURN_NANO:
        return
    bounds = turn - _AROUND_TURN_NANO, turn + _AROUND_TURN_NANO
    rows = await database.retrying(lambda c: c.fetch(query("spans", "find-split-traces"), *bounds))
    traces = sorted(row[0] for row in rows)
    for i in range(0, len(traces), _ROWS):
        hours = turn - _HOUR_NANO, turn
        await _execute(database, query("spans", "mark-split-traces"), traces[i : i + _ROWS], *hours)


async def _execute(database: Database, statement: str, *arguments: object) -> None:
    await database.retrying(lambda c: c.execute(statement, *arguments))


async def _prune_ledger(database: Database, window_s: float) -> None:
    while True:
        rows = await database.retrying(lambda c: c.fetch(query("ledger", "list-expired"), window_s, _ROWS))
        if rows:
            await _execute(database, query("ledger", "expire-bodies"), sorted(row[0] for row in rows), window_s)
        if len(rows) < _ROWS:
            return


async def _prune_dimensions(database: Database, accept_future_s: float) -> None:
    """Dimension rows that nothing points to, by what is left: no record is filed before the oldest partition begins,
    so none came earlier than accept_future before that, and what it points to was confirmed an hour before it came.

    Series first, and for longer what they point to: a series never outlives it (docs/decisions/0016).
    """
    now = time.time_ns()
    rows = await database.retrying(lambda c: c.fetch(query("partitions", "find-oldest-partitions")))
    oldest = dict(rows)
    ages_s = {
        signal: max(0, now - oldest.get(signal, now)) / _NANO + accept_future_s + _MARGIN_S for signal, _ in _SERIES
    }
    for signal, kind in _SERIES:
        await prune(database, kind, ages_s[signal])
    for kind in (METRICS, RESOURCES, SCOPES):
        await prune(database, kind, max(ages_s.values()) + _SERIES_MARGIN_S)
