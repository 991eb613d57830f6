"""What spans and logs add up to by minute, made from the facts behind the writers: a few minutes in a transaction.

Source: sql/migrations/0010_minutes.sql; docs/decisions/0012-minutes.md.
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from math import inf
from time import monotonic
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from exporter.database import Connection, Database
from exporter.errors import NoPartition
from exporter.otlp.records import LOGS, SPANS
from exporter.partitions import Partitions
from sql import query

MINUTE_NANO = 60_000_000_000
_HOUR_NANO = 60 * MINUTE_NANO

_STATEMENTS: Final = MappingProxyType(
    {
        SPANS: ("forget-operations", "insert-operations", "forget-edges", "insert-edges"),
        LOGS: ("forget-log-counts", "insert-log-counts"),
    }
)
ROLLED_UP: Final = tuple(_STATEMENTS)
"""The signals that have minutes."""
_MOST_MINUTES = 60
_SHORT_S, _LONG_S = 0.2, 0.8
"""A transaction that takes less may have twice as many minutes the next time, one that takes more half as many."""


class Pace(Struct, frozen=True):
    """When minutes are computed, in seconds: `lag` behind the commits of writers that cannot be seen, `settle` after
    they ended, and `patience` at most for more after something came late; by one of all replicas in `pause`."""

    lag_s: float = 20.0
    settle_s: float = 45.0
    patience_s: float = 240.0
    pause_s: float = 0.0


BEHIND = Pace(pause_s=12.0)
AT_ONCE = Pace(settle_s=0.0, patience_s=0.0)


class Minutes:
    """Computes what is due, newest first. Of several replicas one does it at a time."""

    def __init__(self, database: Database, partitions: Partitions, pace: Pace) -> None:
        self._database, self._partitions, self._pace = database, partitions, pace
        self._sizes = dict.fromkeys(_STATEMENTS, 1)
        self.due: dict[str, float] = {}
        """How many minutes were due after the last round, by signal."""

    async def roll_up(self, budget_s: float = inf) -> int:
        """Mark what the ledger tells of, and compute minutes until none is left or the time is up; returns how many.

        Raises StorageUnavailable.
        """
        began, computed = monotonic(), 0
        is_ours = is_much = await self._database.retrying(self._begin)
        while is_much:
            is_much = await self._database.retrying(self._mark)
        waiting = deque(_STATEMENTS if is_ours else ())
        while waiting and monotonic() - began < budget_s:
            signal = waiting.popleft()
            if found := await self._compute(signal):
                computed += found
                waiting.append(signal)
        rows = await self._database.retrying(lambda c: c.fetch(query("minutes", "count-due-minutes")))
        self.due = dict.fromkeys(_STATEMENTS, 0.0) | {row[0]: float(row[1]) for row in rows}
        return computed

    async def _begin(self, connection: Connection) -> bool:
        """Whether no other replica works, or just did."""
        return await _locked(connection) and bool(
            await connection.fetchval(query("minutes", "claim-round"), self._pace.pause_s)
        )

    async def _mark(self, connection: Connection) -> bool:
        """Mark the minutes of newly committed bodies; returns whether there are more."""
        if not await _locked(connection):
            return False
        ((until, some),) = await connection.fetch(query("minutes", "find-committed-until"), self._pace.lag_s)
        is_much = some is not None and some < until
        for name in ("mark-minutes", "move-watermark"):
            await connection.execute(query("minutes", name), some if is_much else until)
        return is_much

    async def _compute(self, signal: str) -> int:
        """Compute the newest of the minutes that are due, neighbours together; returns how many."""
        began = monotonic()
        wanted = self._pace.settle_s, self._pace.patience_s, self._sizes[signal]
        rows = await self._database.retrying(lambda c: c.fetch(query("minutes", "list-due-minutes"), signal, *wanted))
        if not rows:
            return 0
        low, high = _newest_run([row[0] for row in rows])
        replace = partial(_replace, signal=signal, low=low, high=high)
        try:
            return await self._database.retrying(replace)
        except NoPartition:
            # Where the interval was changed, partitions of the facts may lie otherwise than those of the minutes, and
            # records may have come for what was being dropped. Calls are up to an hour from their client's minute.
            await self._partitions.make(signal, max(0, low - MINUTE_NANO), high + _HOUR_NANO)
            return await self._database.retrying(replace)
        finally:
            self._resize(signal, monotonic() - began)

    def _resize(self, signal: str, took_s: float) -> None:
        if took_s < _SHORT_S:
            self._sizes[signal] = min(_MOST_MINUTES, self._sizes[signal] * 2)
        elif took_s > _LONG_S:
            self._sizes[signal] = max(1, self._sizes[signal] // 2)


def _newest_run(minutes: Sequence[int]) -> tuple[int, int]:
    """From where to where the first of these minutes, newest first, are neighbours."""
    length = next((i for i, minute in enumerate(minutes) if minute != minutes[0] - i * MINUTE_NANO), len(minutes))
    return minutes[length - 1], minutes[0] + MINUTE_NANO


async def _replace(connection: Connection, signal: str, low: int, high: int) -> int:
    """Compute minutes anew, unless another replica just did or is about to; returns how many were due."""
    if not await _locked(connection):
        return 0
    settled = await connection.fetch(query("minutes", "settle-minutes"), signal, low, high)
    if settled:
        for name in _STATEMENTS[signal]:
            await connection.execute(query("minutes", name), low, high)
    return len(settled)


async def _locked(connection: Connection) -> bool:
    """Whether this transaction is the one that works on minutes."""
    return bool(await connection.fetchval(query("minutes", "try-lock-minutes")))
