"""Group commit: whole batches in, one transaction each group, and futures that resolve only after COMMIT returned.

Source: docs/architecture.md, "The writer"; docs/decisions/0003-writer.md.
"""

import asyncio
from collections.abc import Sequence
from random import random
from time import monotonic
from typing import Any

from exporter.batch import Batch, Outcome, Row, Signal, unstorable
from exporter.check import CONFLICT, NEW, SAME, judge, owner
from exporter.database import Connection, Database, copy, savepoint
from exporter.errors import BadData, Deadlock, Duplicate, NoPartition, StorageUnavailable, Unavailable
from exporter.offload import LONG_ROWS, compute, slices
from exporter.otlp.records import Refusal
from exporter.partitions import Partitions
from exporter.quarantine import Quarantine
from exporter.telemetry import Telemetry
from exporter.turns import Queue
from sql import query

_STICKY_GROUPS = 100
_RETRY_S = 0.2
_DEADLOCK_RETRIES = 3
_MAX_LABEL = 64
_CONFLICT_MESSAGE = "another record is stored under the same ids and time; the first is kept"


class Writer:
    """Identical tasks that take groups off the queue and store each in one transaction."""

    def __init__(
        self,
        database: Database,
        queue: Queue,
        partitions: Partitions,
        quarantine: Quarantine,
        telemetry: Telemetry,
        dedup_window_s: float,
        deadline_s: float,
    ) -> None:
        self._database, self._queue, self._partitions = database, queue, partitions
        self._quarantine, self._telemetry = quarantine, telemetry
        self._dedup_window_s, self._deadline_s = dedup_window_s, deadline_s
        self._sticky = 0
        self.committed_at: float | None = None
        """When a group was last committed, by the monotonic clock."""

    async def run(self) -> None:
        """Write until the queue is closed and empty."""
        while (group := await self._queue.take()) is not None:
            await self._write(group)

    async def _write(self, group: list[Batch]) -> None:
        """Store a group whatever it takes: every batch's future is resolved afterwards."""
        try:
            await self._attempt(group)
        except BadData:
            await self._split(group)
        except Unavailable as error:
            _fail(group, error)
        except Exception as error:
            _fail(group, StorageUnavailable(f"unexpected {type(error).__name__}"))
            raise

    async def _split(self, group: list[Batch]) -> None:
        """Nobody's good records go down with one bad one."""
        middle = len(group) // 2
        await self._write(group[:middle])
        await self._write(group[middle:])

    async def _attempt(self, group: list[Batch]) -> None:
        deadline = monotonic() + self._deadline_s
        check, deadlocks, piecewise = self._sticky > 0, 0, False
        self._sticky -= check
        while True:
            try:
                began = monotonic()
                outcomes = await self._store(group, check, piecewise)
            except Duplicate:
                check, self._sticky = True, _STICKY_GROUPS
                if monotonic() > deadline:
                    raise StorageUnavailable("duplicates did not end") from None
            except NoPartition:
                # It was there, and was dropped by somebody else.
                self._partitions.forget()
                if monotonic() > deadline:
                    raise StorageUnavailable("partitions did not stay") from None
            except BadData:
                if len(group) > 1:
                    raise
                if piecewise:
                    raise StorageUnavailable("PostgreSQL refuses more than records") from None
                piecewise = True
            except Deadlock:
                deadlocks += 1
                if deadlocks > _DEADLOCK_RETRIES:
                    raise StorageUnavailable("deadlocks did not end") from None
                await asyncio.sleep(random() * 0.05 * deadlocks)
            except StorageUnavailable as error:
                self._telemetry.failures.labels(str(error)[:_MAX_LABEL]).inc()
                # Whether the transaction was committed may be unknown: the ledger tells on the next attempt.
                if monotonic() + _RETRY_S > deadline:
                    raise
                await asyncio.sleep(_RETRY_S * (0.5 + random()))
            else:
                self._telemetry.commit.observe(monotonic() - began)
                self.committed_at = monotonic()
                for batch, outcome in zip(group, outcomes, strict=True):
                    if not batch.done.done():
                        batch.done.set_result(outcome)
                return

    async def _store(self, group: list[Batch], check: bool, piecewise: bool) -> list[Outcome]:
        await self._partitions.ensure(group)
        async with self._database.transaction() as connection:
            outcomes = await self._claim(connection, group)
            fresh = [batch for batch in group if batch.digest not in outcomes]
            for batch in fresh:
                batch.forget_attempt()
            # Sorted, so that two groups of the same traces do not wait for each other in a circle.
            for signal in sorted({batch.signal.name: batch.signal for batch in fresh}.values(), key=lambda s: s.name):
                batches = [batch for batch in fresh if batch.signal is signal]
                await _store_signal(connection, signal, batches, check, piecewise)
            outcomes |= {batch.digest: batch.outcome() for batch in fresh}
            await _amend(connection, [batch for batch in fresh if batch.found or batch.deduplicated])
            await self._quarantine.keep(connection, fresh)
        return [outcomes[batch.digest] for batch in group]

    async def _claim(self, connection: Connection, group: list[Batch]) -> dict[bytes, Outcome]:
        """Enter the group in the ledger; returns the stored answers of bodies that were committed before."""
        batches = {batch.digest: batch for batch in group}
        repeated = await _enter(connection, group)
        if not repeated:
            return {}
        expired = await connection.fetch(query("ledger", "expire-bodies"), sorted(repeated), self._dedup_window_s)
        if expired:
            repeated -= {row[0] for row in expired}
            repeated |= await _enter(connection, [batches[row[0]] for row in expired])
        answers = await connection.fetch(query("ledger", "find-answers"), sorted(repeated))
        if len(answers) < len(repeated):
            raise StorageUnavailable("a body's ledger row was pruned at this moment")
        return {row["body_digest"]: _stored_answer(batches[row["body_digest"]], row) for row in answers}


async def _enter(connection: Connection, batches: Sequence[Batch]) -> set[bytes]:
    """Enter bodies in the ledger; returns the digests of those that are there already."""
    rows = sorted(_ledger_row(batch) for batch in batches)
    columns = [list(column) for column in zip(*rows, strict=True)]
    claimed = await connection.fetch(query("ledger", "claim-bodies"), *columns)
    return set(columns[0]) - {row[0] for row in claimed}


def _stored_answer(batch: Batch, row: Any) -> Outcome:
    """The answer in the ledger: the batch's own, if an attempt was committed without our hearing of it."""
    outcome = Outcome(row["rejected"], row["message"], row["stored"], row["deduplicated"])
    return outcome if row["claim"] == batch.claim else outcome.again()


def _ledger_row(batch: Batch) -> tuple[Any, ...]:
    batch.forget_attempt()
    outcome = batch.outcome()
    counts = (batch.received, outcome.stored, 0, outcome.rejected)  # nothing is dropped as a whole record
    low, high = batch.keys or (None, None)
    return (batch.digest, batch.signal.name, *counts, outcome.message, low, high, _ranges(batch), batch.claim)


def _ranges(batch: Batch) -> str | None:
    """The stretches of time as a multirange; None where there is but one."""
    several = len(batch.stretches) > 1
    return f"{{{','.join(f'[{low},{high}]' for low, high in batch.stretches)}}}" if several else None


async def _amend(connection: Connection, batches: Sequence[Batch]) -> None:
    """Enter what was found when it came to storing."""
    if batches:
        outcomes = [(batch.digest, batch.outcome()) for batch in batches]
        rows = sorted((digest, o.stored, o.deduplicated, o.rejected, o.message) for digest, o in outcomes)
        await connection.execute(query("ledger", "amend-bodies"), *map(list, zip(*rows, strict=True)))


async def _store_signal(
    connection: Connection, signal: Signal, batches: Sequence[Batch], check: bool, piecewise: bool
) -> None:
    is_long = sum(len(rows) for batch in batches for rows in batch.rows) > LONG_ROWS
    tables = await compute(is_long, _tables, signal, batches)
    if signal.finder is not None and (check or any(batch.late for batch in batches)):
        tables = await _check(connection, signal, batches, tables, is_long)
    if not piecewise:
        await _put(connection, signal, tables)
        return
    (batch,) = batches
    async with savepoint(connection, keep=False):
        refused = dict(await _put_pieces(connection, signal, tables))
    # Once more without savepoints: rows bear the number of their transaction, which a tail knows from the ledger.
    kept = [[row for row in rows if row[-1] not in refused] for rows in tables[: signal.facts]]
    kept += [_children(signal, kept, tables, i) for i in range(signal.facts, len(signal.tables))]
    await _put(connection, signal, kept)
    by_problem: dict[tuple[str, str], list[int]] = {}
    for ordinal, problem in refused.items():
        by_problem.setdefault(problem, []).append(ordinal)
    for problem, ordinals in by_problem.items():
        batch.found += await batch.find(ordinals, Refusal(*problem))


async def _put(connection: Connection, signal: Signal, tables: Sequence[list[Row]]) -> None:
    """COPY rows and keep the rollup."""
    for table, rows in zip(signal.tables, tables, strict=True):
        if rows:
            await copy(connection, table, rows)
    if tables[0] and (rollup := await compute(len(tables[0]) > LONG_ROWS, signal.roll_up, tables[0])) is not None:
        for some in slices(rollup.columns):
            if found := await connection.fetch(rollup.statement, *some, *rollup.bounds):
                await connection.execute(rollup.follow_up, [row[0] for row in found], *rollup.bounds)


async def _put_pieces(
    connection: Connection, signal: Signal, tables: list[list[Row]]
) -> list[tuple[int, tuple[str, str]]]:
    """Store the records that PostgreSQL takes; returns the ordinals of the others, each found by halving, with what is
    wrong with it."""
    facts = [(i, row) for i in range(signal.facts) for row in tables[i]]
    try:
        async with savepoint(connection):
            await _put(connection, signal, tables)
        return []
    except BadData as error:
        if len(facts) == 1:
            ((_, row),) = facts
            return [(row[-1], unstorable(error))]
    middle = len(facts) // 2
    refused = []
    for half in (facts[:middle], facts[middle:]):
        piece = [[row for i, row in half if i == table] for table in range(len(tables))]
        for i in range(signal.facts, len(signal.tables)):
            piece[i] = _children(signal, piece, tables, i)
        refused += await _put_pieces(connection, signal, piece)
    return refused


def _tables(signal: Signal, batches: Sequence[Batch]) -> list[list[Row]]:
    return [[row for batch in batches for row in batch.rows[i]] for i in range(len(signal.tables))]


async def _check(
    connection: Connection, signal: Signal, batches: Sequence[Batch], tables: list[list[Row]], is_long: bool
) -> list[list[Row]]:
    """Leave out the rows that are stored already; what is stored under the same key with other content is refused."""
    assert signal.finder is not None
    if any(batch.late for batch in batches):
        await connection.execute(query("ledger", "lock-late-records"))
    kept = list(tables)
    conflicts: dict[bytes, list[int]] = {}
    for i, table in enumerate(signal.tables[: signal.facts]):
        if not tables[i]:
            continue
        children = list(zip(signal.tables, tables, strict=True))[signal.facts :]
        verdicts = await judge(connection, signal.finder, table, tables[i], children)
        kept[i] = await compute(
            is_long, _keep_new, tables[i], verdicts, [(b, len(b.rows[i])) for b in batches], conflicts
        )
    for batch in batches:
        if batch.digest in conflicts:
            batch.found += await batch.find(conflicts[batch.digest], Refusal("conflict", _CONFLICT_MESSAGE))
    for i in range(signal.facts, len(signal.tables)):
        kept[i] = await compute(is_long, _children, signal, kept, tables, i)
    return kept


def _keep_new(
    rows: list[Row], verdicts: list[str], batches: Sequence[tuple[Batch, int]], conflicts: dict[bytes, list[int]]
) -> list[Row]:
    """The rows that are new; says in the batches and in `conflicts` what the others are."""
    start = 0
    for batch, size in batches:
        found = verdicts[start : start + size]
        batch.deduplicated += found.count(SAME)
        if CONFLICT in found:
            places = [
                row[-1] for row, verdict in zip(rows[start : start + size], found, strict=True) if verdict == CONFLICT
            ]
            conflicts.setdefault(batch.digest, []).extend(places)
        start += size
    return [row for row, verdict in zip(rows, verdicts, strict=True) if verdict == NEW]


def _children(signal: Signal, kept: list[list[Row]], tables: list[list[Row]], i: int) -> list[Row]:
    """The children of the rows that are kept; of two rows under one key only the first is, and so are its children."""
    width = signal.tables[i].key_width
    owners = {owner(row, width) for rows in kept[: signal.facts] for row in rows}
    return [row for row in tables[i] if owner(row, width) in owners]


def _fail(group: Sequence[Batch], error: Exception) -> None:
    for batch in group:
        if not batch.done.done():
            batch.done.set_exception(error)
