"""Group commit: whole batches in, one transaction each group, and futures that resolve only after COMMIT returned.

Source: docs/architecture.md, "The writer"; docs/decisions/0003-writer.md.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from random import random
from time import monotonic
from typing import Any

from exporter.batch import CONFLICT_MESSAGE, Batch, Outcome, Row, Signal
from exporter.check import CONFLICT, NEW, SAME, judge, owner
from exporter.database import Connection, Database, copy
from exporter.errors import BadData, Deadlock, Duplicate, ShuttingDown, StorageUnavailable, Unavailable
from exporter.offload import LONG_ROWS, compute, slices
from exporter.otlp.anyvalue import escape_nul
from exporter.otlp.records import Refusal
from exporter.partitions import Partitions
from sql import query

_STICKY_GROUPS = 100
_RETRY_S = 0.2
_DEADLOCK_RETRIES = 3


class Queue:
    """Batches that wait for a writer, in the order of their arrival."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._batches: deque[Batch] = deque()
        self._arrived = asyncio.Condition()
        self._closed = False

    async def put(self, batch: Batch) -> None:
        """Append a batch. Raises ShuttingDown."""
        async with self._arrived:
            if self._closed:
                raise ShuttingDown("the server is shutting down")
            self._batches.append(batch)
            self._arrived.notify()

    async def take(self) -> list[Batch] | None:
        """What is there, up to a group's bounds (one batch at least); None when closed and empty."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._batches or self._closed)
            if not self._batches:
                return None
            group: list[Batch] = []
            rows = size = 0
            while self._batches and (not group or (rows < self._max_rows and size < self._max_bytes)):
                batch = self._batches.popleft()
                group.append(batch)
                rows += batch.stored
                size += batch.size_bytes
            return group

    async def close(self) -> None:
        """Take nothing more; what waits is still written."""
        async with self._arrived:
            self._closed = True
            self._arrived.notify_all()


class Writer:
    """Identical tasks that take groups off the queue and store each in one transaction."""

    def __init__(
        self, database: Database, queue: Queue, partitions: Partitions, dedup_window_s: float, deadline_s: float
    ) -> None:
        self._database, self._queue, self._partitions = database, queue, partitions
        self._dedup_window_s, self._deadline_s = dedup_window_s, deadline_s
        self._sticky = 0

    async def run(self) -> None:
        """Write until the queue is closed and empty."""
        while (group := await self._queue.take()) is not None:
            await self._write(group)

    async def _write(self, group: list[Batch]) -> None:
        """Store a group whatever it takes: every batch's future is resolved afterwards."""
        try:
            await self._attempt(group, monotonic() + self._deadline_s)
        except BadData as error:
            await self._split(group, error)
        except Unavailable as error:
            _fail(group, error)
        except Exception as error:
            _fail(group, StorageUnavailable(f"unexpected {type(error).__name__}"))
            raise

    async def _split(self, group: list[Batch], error: BadData) -> None:
        """Nobody's good records go down with one bad one."""
        if len(group) == 1:
            _fail(group, StorageUnavailable(f"PostgreSQL refuses a record: {error}"))
            return
        middle = len(group) // 2
        await self._write(group[:middle])
        await self._write(group[middle:])

    async def _attempt(self, group: list[Batch], deadline: float) -> None:
        check, deadlocks, forgot = self._sticky > 0, 0, False
        self._sticky -= check
        while True:
            try:
                outcomes = await self._store(group, check)
            except Duplicate:
                check, self._sticky = True, _STICKY_GROUPS
                if monotonic() > deadline:
                    raise StorageUnavailable("duplicates did not end") from None
            except BadData:
                if forgot:
                    raise
                # A partition that was there may have been dropped by somebody else.
                forgot = True
                self._partitions.forget()
            except Deadlock:
                deadlocks += 1
                if deadlocks > _DEADLOCK_RETRIES:
                    raise StorageUnavailable("deadlocks did not end") from None
                await asyncio.sleep(random() * 0.05 * deadlocks)
            except StorageUnavailable:
                # Whether the transaction was committed may be unknown: the ledger tells on the next attempt.
                if monotonic() + _RETRY_S > deadline:
                    raise
                await asyncio.sleep(_RETRY_S * (0.5 + random()))
            else:
                for batch, outcome in zip(group, outcomes, strict=True):
                    if not batch.done.done():
                        batch.done.set_result(outcome)
                return

    async def _store(self, group: list[Batch], check: bool) -> list[Outcome]:
        await self._partitions.ensure(group)
        async with self._database.transaction() as connection:
            outcomes = await self._claim(connection, group)
            fresh = [batch for batch in group if batch.digest not in outcomes]
            for batch in fresh:
                outcomes[batch.digest] = batch.outcome()
            # Sorted, so that two groups of the same traces do not wait for each other in a circle.
            for signal in sorted({batch.signal.name: batch.signal for batch in fresh}.values(), key=lambda s: s.name):
                batches = [batch for batch in fresh if batch.signal is signal]
                outcomes |= await _store_signal(connection, signal, batches, check)
            await _quarantine(connection, fresh)
        return [outcomes[batch.digest] for batch in group]

    async def _claim(self, connection: Connection, group: list[Batch]) -> dict[bytes, Outcome]:
        """Enter the group in the ledger; returns the stored answers of bodies that were committed before."""
        rows = sorted(_ledger_row(batch) for batch in group)
        columns = [list(column) for column in zip(*rows, strict=True)]
        claimed = await connection.fetch(query("ledger", "claim-bodies"), *columns, self._dedup_window_s)
        repeated = set(columns[0]) - {row[0] for row in claimed}
        if not repeated:
            return {}
        answers = await connection.fetch(query("ledger", "find-answers"), sorted(repeated))
        received = {batch.digest: batch.received for batch in group}
        return {d: Outcome(rejected, message, 0, received[d] - rejected) for d, rejected, message in answers}


def _ledger_row(batch: Batch) -> tuple[Any, ...]:
    outcome = batch.outcome()
    counts = (batch.received, outcome.stored, 0, outcome.rejected)  # nothing is dropped as a whole record
    low, high = batch.keys or (None, None)
    return (batch.digest, batch.signal.name, *counts, outcome.message, low, high)


async def _store_signal(
    connection: Connection, signal: Signal, batches: Sequence[Batch], check: bool
) -> dict[bytes, Outcome]:
    """COPY the batches' rows and keep the rollup; returns the outcomes that are not what the batches expected."""
    is_long = sum(len(rows) for batch in batches for rows in batch.rows) > LONG_ROWS
    tables = await compute(is_long, _tables, signal, batches)
    amended: dict[bytes, Outcome] = {}
    if signal.finder is not None and (check or any(batch.late for batch in batches)):
        amended, tables = await _check(connection, signal, batches, tables, is_long)
    for table, rows in zip(signal.tables, tables, strict=True):
        if rows:
            await copy(connection, table, rows)
    if tables[0] and (rollup := await compute(is_long, signal.roll_up, tables[0])) is not None:
        statement, columns = rollup
        for some in slices(columns):
            await connection.execute(statement, *some)
    return amended


def _tables(signal: Signal, batches: Sequence[Batch]) -> list[list[Row]]:
    return [[row for batch in batches for row in batch.rows[i]] for i in range(len(signal.tables))]


async def _check(
    connection: Connection, signal: Signal, batches: Sequence[Batch], tables: list[list[Row]], is_long: bool
) -> tuple[dict[bytes, Outcome], list[list[Row]]]:
    """Leave out the rows that are stored already; what is stored under the same key with other content is refused."""
    assert signal.finder is not None
    if any(batch.late for batch in batches):
        await connection.execute(query("ledger", "lock-late-records"))
    counts = {batch.digest: [0, 0] for batch in batches}
    kept = list(tables)
    for i, table in enumerate(signal.tables[: signal.facts]):
        if not tables[i]:
            continue
        children = list(zip(signal.tables, tables, strict=True))[signal.facts :]
        verdicts = await judge(connection, signal.finder, table, tables[i], children)
        kept[i] = await compute(is_long, _keep_new, tables[i], verdicts, [(b, len(b.rows[i])) for b in batches], counts)
    if not any(map(any, counts.values())):
        return {}, tables
    for i in range(signal.facts, len(signal.tables)):
        kept[i] = await compute(is_long, _children, signal, kept, tables, i)
    amended = {b.digest: b.outcome(*counts[b.digest]) for b in batches if any(counts[b.digest])}
    rows = sorted((d, o.stored, o.deduplicated, o.rejected, o.message) for d, o in amended.items())
    await connection.execute(query("ledger", "amend-bodies"), *map(list, zip(*rows, strict=True)))
    conflicts = [(b, Refusal("conflict", CONFLICT_MESSAGE, b"", counts[b.digest][0])) for b in batches]
    await _keep_refusals(connection, [(b, refusal) for b, refusal in conflicts if refusal.count])
    return amended, kept


def _keep_new(
    rows: list[Row], verdicts: list[str], batches: Sequence[tuple[Batch, int]], counts: dict[bytes, list[int]]
) -> list[Row]:
    """The rows that are new; adds to the counts of each batch (conflicts, rows that were there already)."""
    start = 0
    for batch, size in batches:
        found = verdicts[start : start + size]
        counts[batch.digest][0] += found.count(CONFLICT)
        counts[batch.digest][1] += found.count(SAME)
        start += size
    return [row for row, verdict in zip(rows, verdicts, strict=True) if verdict == NEW]


def _children(signal: Signal, kept: list[list[Row]], tables: list[list[Row]], i: int) -> list[Row]:
    """The children of the rows that are kept; of two rows under one key only the first is, and so are its children."""
    width = signal.tables[i].key_width
    owners = {owner(row, width) for rows in kept[: signal.facts] for row in rows}
    return [row for row in tables[i] if owner(row, width) in owners]


async def _quarantine(connection: Connection, batches: Sequence[Batch]) -> None:
    await _keep_refusals(connection, [(batch, refusal) for batch in batches for refusal in batch.refusals])


async def _keep_refusals(connection: Connection, refusals: Sequence[tuple[Batch, Refusal]]) -> None:
    if not refusals:
        return
    for start in range(0, len(refusals), LONG_ROWS):
        rows = [
            (
                b.signal.name,
                r.reason,
                escape_nul(r.message),
                r.count,
                r.resource_id,
                escape_nul(r.record.decode()) or None,
            )
            for b, r in refusals[start : start + LONG_ROWS]
        ]
        await connection.execute(query("ledger", "quarantine-records"), *map(list, zip(*rows, strict=True)))


def _fail(group: Sequence[Batch], error: Exception) -> None:
    for batch in group:
        if not batch.done.done():
            batch.done.set_exception(error)
