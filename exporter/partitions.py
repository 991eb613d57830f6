"""Partitions made ahead of the clock and on demand of what arrives, as long as their signal's interval.

Source: sql/migrations/0003_partitions.sql; docs/decisions/0015-partitions.md.
"""

import time
from collections.abc import Iterable, Mapping

from exporter.batch import Batch
from exporter.database import Connection, Database
from exporter.otlp.records import LOGS, METRICS, SPANS
from sql import query

SIGNALS = (SPANS, LOGS, METRICS)
_NANO = 1_000_000_000
_HOUR_NANO = 3600 * _NANO


class Partitions:
    """The partitions that exist as far as this process knows, by signal, as multiples of its interval."""

    def __init__(self, database: Database, intervals_s: Mapping[str, float], ahead: int) -> None:
        self._database = database
        self._intervals = {signal: int(intervals_s[signal]) * _NANO for signal in SIGNALS}
        self._ahead = ahead
        self._known: dict[str, set[int]] = {signal: set() for signal in SIGNALS}

    async def ensure(self, group: Iterable[Batch]) -> None:
        """Make what the rows of a group need. Raises StorageUnavailable."""
        for batch in group:
            needed = self._needed(batch) - self._known[batch.signal.name]
            if needed:
                await self._make(batch.signal.name, needed)

    async def make_ahead(self) -> None:
        """Make the partition of now and `ahead` more for every signal, one at a time: others may wait for one."""
        for signal, interval in self._intervals.items():
            now = time.time_ns() // interval
            for i in range(now, now + self._ahead + 1):
                await self._make(signal, {i}, is_urgent=False)

    async def make(self, signal: str, low: int, high: int) -> None:
        """Make what records from `low` to `high` (unix nanoseconds) need. Raises StorageUnavailable."""
        interval = self._intervals[signal]
        await self._make(signal, set(range(low // interval, (high - 1) // interval + 1)))

    def forget_before(self, signal: str, until: int) -> None:
        """Those that end at or before a time (unix nanoseconds) are going."""
        interval = self._intervals[signal]
        self._known[signal] = {i for i in self._known[signal] if (i + 1) * interval > until}

    def ahead(self) -> dict[str, float]:
        """How many whole partitions after the one of now are known, by signal."""
        now = time.time_ns()
        return {signal: sum(i > now // self._intervals[signal] for i in known) for signal, known in self._known.items()}

    def forget(self) -> None:
        """Trust nothing: a partition was missing."""
        for known in self._known.values():
            known.clear()

    def _needed(self, batch: Batch) -> set[int]:
        if batch.keys is None:
            return set()
        signal = batch.signal
        interval = self._intervals[signal.name]
        low, high = (key // interval for key in batch.keys)
        if low == high:
            return {low}
        facts = list(zip(signal.tables, batch.rows, strict=True))[: signal.facts]
        return {row[table.time] // interval for table, rows in facts for row in rows}

    async def _make(self, signal: str, needed: set[int], *, is_urgent: bool = True) -> None:
        # Of every hour, as partitions of another interval may lie in ours, with gaps: all begin at a whole hour.
        interval = self._intervals[signal]
        keys = sorted(key for i in needed for key in range(i * interval, (i + 1) * interval, _HOUR_NANO))

        async def create(connection: Connection) -> None:
            if is_urgent:
                await connection.fetch(query("partitions", "cancel-analyze"))
            await connection.execute(query("partitions", "create-partitions"), signal, keys, interval)

        await self._database.retrying(create)
        self._known[signal] |= needed
