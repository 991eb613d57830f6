"""Which partitions go, when and in what order: past their signal's retention, or the oldest of more than max_size.

A stretch of time goes as a whole: its partitions are emptied in one transaction, which locks none of their parents,
then dropped one by one, each as soon as the lock on its parent is to be had without anybody waiting long for it. What
is not done in one round is done in a later one, by any replica.

Source: docs/data-life.md; docs/decisions/0016-dropping.md; sql/migrations/0011_dropping.sql.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from random import uniform
from types import MappingProxyType
from typing import Final, TypeAlias

from exporter.database import Connection, Database
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.partitions import Partitions
from exporter.settings import Retention
from sql import query

log = logging.getLogger("postel")
_NANO = 1_000_000_000
_ROUND_S = 30.0
_SHARES = 6
_PAUSE_S = (0.05, 0.3)
"""Between two attempts: who waited for the last one is through by then, and other locks are held."""

Range: TypeAlias = tuple[str, int]
"""A signal, and where a stretch of its partitions ends, in unix nanoseconds."""
_Choose: TypeAlias = Callable[[Connection], Awaitable[Range | None]]
RETENTION, MAX_SIZE = "retention", "max_size"


class Dropping:
    """What was dropped by this process, and drops more. Of several replicas one decides at a time."""

    def __init__(self, database: Database, partitions: Partitions, kept: Retention) -> None:
        self._database, self._partitions = database, partitions
        self._kept_s: Final[Mapping[str, float | None]] = MappingProxyType(
            {SPANS: kept.spans, LOGS: kept.logs, METRICS: kept.metrics}
        )
        self._max_bytes = kept.max_size
        self.ranges: dict[str, float] = {RETENTION: 0, MAX_SIZE: 0}
        """Stretches of one signal that went, by reason."""
        self.freed_bytes: dict[str, float] = dict(self.ranges)
        self.stored_bytes: dict[str, float] = {}
        """What everything took when it was last measured, which is only done where there is a bound."""

    async def drop(self) -> list[str]:
        """Empty what is to go, drop what is emptied; returns the names of the partitions dropped.

        Raises StorageUnavailable.
        """
        deadline = time.monotonic() + _ROUND_S
        for signal in self._kept_s:
            await self._empty(RETENTION, partial(self._find_expired, of_signal=signal))
        if self._max_bytes is not None:
            await self._empty(MAX_SIZE, partial(self._find_surplus, max_bytes=self._max_bytes))
        return await self._drop_emptied(deadline)

    async def _empty(self, reason: str, choose: _Choose) -> None:
        """Empty one stretch after the other, the oldest first, as long as `choose` finds one.

        One that is in use holds up no more than what comes after it: a few seconds are a share of the round.
        """
        deadline = time.monotonic() + _ROUND_S / _SHARES
        while found := await self._database.retrying(partial(_empty_one, choose=choose)):
            (signal, until), freed = found
            if freed is not None:
                self.ranges[reason] += 1
                self.freed_bytes[reason] += freed
                self._partitions.forget_before(signal, until)
                log.info("dropped %s until %s (%s): %d bytes", signal, _written(until), reason, freed)
            elif time.monotonic() > deadline:
                log.warning("%s until %s are in use: dropped later", signal, _written(until))
                return
            else:
                await asyncio.sleep(uniform(*_PAUSE_S))

    async def _find_expired(self, connection: Connection, of_signal: str) -> Range | None:
        kept_s = self._kept_s[of_signal]
        until = 0 if kept_s is None else time.time_ns() - int(kept_s * _NANO)
        ended = (found for found in await _ended(connection) if found[0] == of_signal and found[1] <= until)
        return next(ended, None)

    async def _find_surplus(self, connection: Connection, max_bytes: int) -> Range | None:
        stored = await connection.fetchval(query("partitions", "measure-stored"))
        self.stored_bytes = {"": stored}
        if stored <= max_bytes:
            return None
        if ranges := await _ended(connection):
            return ranges[0]
        log.warning("%d bytes are stored, max_size is %d: what is left is of now", stored, max_bytes)
        return None

    async def _drop_emptied(self, deadline: float) -> list[str]:
        rows = await self._database.retrying(lambda c: c.fetch(query("partitions", "list-leaving")))
        waiting, dropped = deque(row[0] for row in rows), list[str]()
        while waiting and time.monotonic() < deadline:
            name = waiting.popleft()
            done = await self._database.retrying(partial(_drop_one, name=name))
            if done:
                dropped.append(name)
            elif done is False:
                waiting.append(name)
            await asyncio.sleep(uniform(*_PAUSE_S))
        if waiting:
            log.info("%d empty partitions are in use: dropped later", len(waiting))
        return dropped


async def _ended(connection: Connection) -> list[Range]:
    """The stretches that are over, the oldest first: what is written now is none of them."""
    rows = await connection.fetch(query("partitions", "list-ended-ranges"), time.time_ns())
    return [(row[0], row[1]) for row in rows]


async def _empty_one(connection: Connection, choose: _Choose) -> tuple[Range, int | None] | None:
    """The stretch that was chosen, and the bytes it held; these are None where somebody uses it. None where no stretch
    is chosen, or another replica is at it."""
    if not await connection.fetchval(query("partitions", "try-lock-dropping")):
        return None
    chosen = await choose(connection)
    return chosen and (chosen, await connection.fetchval(query("partitions", "empty-range"), *chosen))


async def _drop_one(connection: Connection, name: str) -> bool | None:
    """Whether it is gone; None where there was nothing to do."""
    done: bool | None = await connection.fetchval(query("partitions", "drop-partition"), name)
    return done


def _written(nano: int) -> str:
    return datetime.fromtimestamp(nano // _NANO, UTC).isoformat()
