"""Partitions made ahead of the clock and on demand of what arrives; old ones dropped where retention says so.

Source: sql/migrations/0003_partitions.sql.
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
    """The partitions that exist as far as this process knows, by signal, as multiples of the interval."""

    def __init__(self, database: Database, interval_s: float, ahead: int) -> None:
        self._database = database
        self._interval = int(interval_s) * _NANO
        self._ahead = ahead
        self._known: dict[str, set[int]] = {signal: set() for signal in SIGNALS}

    async def ensure(self, group: Iterable[Batch]) -> None:
        """Make what the rows of a group need. Raises StorageUnavailable."""
        for batch in group:
            needed = self._needed(batch) - self._known[batch.signal.name]
            if needed:
                await self._make(batch.signal.name, needed)

    async def make_ahead(self) -> None:
        """Make the partition of now, the one before, and `ahead` more for every signal."""
        now = time.time_ns() // self._interval
        for signal in SIGNALS:
            await self._make(signal, set(range(now - 1, now + self._ahead + 1)))

    async def make(self, signal: str, low: int, high: int) -> None:
        """Make what records from `low` to `high` (unix nanoseconds) need. Raises StorageUnavailable."""
        await self._make(signal, set(range(low // self._interval, (high - 1) // self._interval + 1)))

    async def drop_before(self, retention_s: Mapping[str, float | None]) -> list[str]:
        """Drop the partitions that hold nothing younger than their signal's retention; returns their names."""
        dropped: list[str] = []
        for signal, kept_s in retention_s.items():
            if kept_s is None:
                continue
            before = time.time_ns() - int(kept_s * _NANO)
            rows = await self._database.retrying(lambda c, s=signal, b=before: _drop(c, s, b))  # type: ignore[misc]
            dropped += rows
            self._known[signal] = {i for i in self._known[signal] if (i + 1) * self._interval > before}
        return dropped

    def ahead(self) -> dict[str, float]:
        """How many whole partitions after the one of now are known, by signal."""
        now = time.time_ns() // self._interval
        return {signal: sum(i > now for i in known) for signal, known in self._known.items()}

    def forget(self) -> None:
        """Trust nothing: a partition was missing."""
        for known in self._known.values():
            known.clear()

    def _needed(self, batch: Batch) -> set[int]:
        if batch.keys is None:
            return set()
        low, high = (key // self._interval for key in batch.keys)
        if low == high:
            return {low}
        signal = batch.signal
        facts = list(zip(signal.tables, batch.rows, strict=True))[: signal.facts]
        return {row[table.time] // self._interval for table, rows in facts for row in rows}

    async def _make(self, signal: str, needed: set[int]) -> None:
        # Of every hour, as partitions of another interval may lie in ours, with gaps: all begin at a whole hour.
        keys = sorted(key for i in needed for key in range(i * self._interval, (i + 1) * self._interval, _HOUR_NANO))
        await self._database.retrying(
            lambda c: c.execute(query("partitions", "create-partitions"), signal, keys, self._interval)
        )
        self._known[signal] |= needed


async def _drop(connection: Connection, signal: str, before: int) -> list[str]:
    return [row[0] for row in await connection.fetch(query("partitions", "drop-partitions"), signal, before)]
