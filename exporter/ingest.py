"""One request body from its bytes to its answer: decode, find missing dimensions, queue, await the commit.

Source: docs/architecture.md, "A request".
"""

import asyncio
import hashlib
import os
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from exporter.admission import Visit
from exporter.batch import Batch, Find, Outcome, Row, Signal
from exporter.cardinality import Cardinality
from exporter.dimensions import Dimensions, Entry, Kind
from exporter.errors import BadData, BodyTooLarge, StorageUnavailable, UndecodableBody
from exporter.kept import Kept
from exporter.logs import Logs
from exporter.offload import LONG_BYTES, compute
from exporter.otlp.http import Encoding
from exporter.otlp.json import JsonCodec
from exporter.otlp.protobuf import ProtobufCodec
from exporter.otlp.records import Bounds, Codec, Refusal, ScopeRecords
from exporter.place import RECORD, Intake, Part, Receipts, Window
from exporter.promotion import Promotion
from exporter.redaction_bodies import SEARCHED_BYTES
from exporter.settings import Settings
from exporter.slices import NOWHERE, parts, refuse, slices
from exporter.stretches import of_times
from exporter.traces import Traces
from exporter.turns import Queue, Turnstile

ODD_BYTES, _FEW_RECORDS = 4096, 32
"""A record that is longer than that may be long to build: a span of ten thousand events, say."""

_MANY_MISSING = 32
"""Series: of a thousand records some fifteen are new once the first ones have taught what repeats."""

_NANO = 1_000_000_000
Turn = Callable[[], AbstractAsyncContextManager[None]]
_CODECS: dict[Encoding, Callable[[Bounds], Codec]] = {Encoding.PROTOBUF: ProtobufCodec, Encoding.JSON: JsonCodec}


class Ingest:
    """Everything that is kept between requests: bodies in flight and, for the lists in force, caches and verdicts."""

    def __init__(
        self,
        settings: Settings,
        promotion: Promotion,
        dimensions: Dimensions,
        tell: Callable[[Cardinality], Awaitable[None]],
        queue: Queue,
        digest_key: bytes,
        count: Callable[[Batch, Outcome, dict[str, int]], None],
    ) -> None:
        self._settings, self._tell, self._queue = settings, tell, queue
        self._digest_key, self._count = digest_key, count
        self._kept = Kept.new(settings, promotion.keyed(digest_key), dimensions)
        self._receipts = Receipts()
        self._bounds = Bounds(settings.max_value_depth, settings.max_body_records)
        self._in_flight: dict[bytes, asyncio.Future[Outcome]] = {}
        self.decoding = Turnstile()
        """Who has the turn has the caches and verdicts for itself: one body after the other, so that what the first one
        teaches the next ones know; long ones let others pass between two slices."""

    @property
    def traces(self) -> Traces:
        """Of the lists in force."""
        return self._kept.traces

    @property
    def logs(self) -> Logs:
        """Of the lists in force."""
        return self._kept.logs

    @property
    def dimensions(self) -> Dimensions:
        """Of the lists in force."""
        return self._kept.dimensions

    def use(self, promotion: Promotion) -> None:
        """Have these lists in force for whatever is taken from now on; what was taken before keeps to its own."""
        if promotion != self._kept.promotion:
            self._kept = self._kept.under(promotion.keyed(self._digest_key))

    def forget(self) -> None:
        """Forget ids and series; whoever has the turn may."""
        self._kept.forget()

    async def take(
        self, signal_name: str, encoding: Encoding, body: bytes, digest: bytes, visit: Visit | None = None
    ) -> Outcome:
        """Store the records of a body, known by its `digest`; returns the answer when they are committed. `visit` says
        whose turn it takes, and holds its bytes until the batch is written.

        Raises UndecodableBody, or Unavailable where nothing is known to be stored and the sender is to try again.
        """
        kept = self._kept
        signal = kept.signals[signal_name]
        codec = _CODECS[encoding](self._bounds)
        problem: UndecodableBody | None = None
        try:
            async with asyncio.timeout(self._settings.request_deadline):
                try:
                    batch = await self._decode(kept, signal, codec, body, digest, visit and visit.client)
                except UndecodableBody as error:
                    # Its sender drops it after a 400: that it came is kept.
                    problem, batch = error, _undecodable(signal, digest, len(body))
                outcome = await self._committed(batch, codec.findings.sanitised, visit)
        except TimeoutError:
            # A batch that was queued is still written, and the ledger makes the sender's next attempt cheap.
            raise StorageUnavailable("not committed in time; the same body again is safe") from None
        if problem is not None:
            raise problem
        return outcome

    async def replay(self, signal_name: str, rejected_id: int, body: bytes) -> Outcome:
        """Store a refused record, OTLP/JSON in a request of its own, which is not in quarantine any more when it lands.

        Raises UndecodableBody and Unavailable.
        """
        kept, codec = self._kept, JsonCodec(self._bounds)
        # Whether it landed is told by quarantine, not by the ledger: a digest of its own.
        batch = await self._decode(kept, kept.signals[signal_name], codec, body, os.urandom(32), None)
        batch.replays = rejected_id
        return batch.outcome() if batch.refusals else await self._committed(batch, codec.findings.sanitised)

    async def _committed(self, batch: Batch, sanitised: dict[str, int], visit: Visit | None = None) -> Outcome:
        """The answer to a batch, or to one of the same body that is on its way already."""
        if (first := self._in_flight.get(batch.digest)) is not None:
            outcome = (await asyncio.shield(first)).again()
            self._count(batch, outcome, sanitised)
            return outcome
        await self._enqueue(batch, sanitised, visit)
        return await asyncio.shield(batch.done)

    async def _enqueue(self, batch: Batch, sanitised: dict[str, int], visit: Visit | None) -> None:
        def done(future: "asyncio.Future[Outcome]") -> None:
            self._in_flight.pop(batch.digest, None)
            if not future.cancelled() and future.exception() is None:
                # Also where nobody waits for the answer any longer.
                self._count(batch, future.result(), sanitised)

        self._in_flight[batch.digest] = batch.done
        batch.done.add_done_callback(done)
        try:
            await self._queue.put(batch, visit and visit.client)
        except BaseException:
            # Nobody will write it: the same body again must not wait for it.
            del self._in_flight[batch.digest]
            raise
        if visit is not None:
            visit.keep_until(batch.done)

    def digest(self, signal: str, encoding: Encoding, body: bytes) -> bytes:
        """What a body is known by in the ledger, whatever its compression."""
        digest = hashlib.blake2b(key=self._digest_key, digest_size=32)
        digest.update(f"{signal} {encoding.name} ".encode())
        digest.update(body)
        return digest.digest()

    async def _decode(
        self, kept: Kept, signal: Signal, codec: Codec, body: bytes, digest: bytes, client: Hashable
    ) -> Batch:
        # Whatever the bytes are made of, nobody else waits for long ones.
        is_long = _is_long(kept, signal, body)
        turn = partial(self.decoding.turn, client)
        async with turn():
            kept.trim()
        rows: list[list[Row]] = [[] for _ in signal.tables]
        intake = Intake(signal.name, codec, kept.promotion, self._window(signal.name), [])
        received = position = 0
        async for groups in slices(signal, intake, body, is_long):
            places = await kept.dimensions.places(codec, kept.promotion, groups)
            for size, chunk in parts(signal, intake, groups, places, position):
                if received:
                    await asyncio.sleep(0)
                received += size
                if received > self._bounds.max_records:
                    limit = f"max_body_records ({self._bounds.max_records})"
                    raise BodyTooLarge(f"the body holds more than {limit} records")
                is_odd = len(body) > ODD_BYTES * max(received, _FEW_RECORDS)
                await self._build(kept, signal, intake, chunk, rows, turn, is_long or is_odd)
            position += sum(len(group.records) for group in groups) * RECORD
        if signal.cardinality is not None and signal.cardinality.untold:
            await self._tell(signal.cardinality)
        refusals = await compute(is_long, _redacted, intake, [*codec.findings.refusals, *intake.refusals])
        if "no_time" in codec.findings.sanitised:
            # Two logs without any time may be two events: only this very request is known again.
            digest = os.urandom(32)
        find = partial(self._find, kept, signal, type(codec), body)
        done = asyncio.get_running_loop().create_future()
        return await compute(is_long, _new_batch, signal, digest, rows, refusals, intake, len(body), find, done)

    async def _find(
        self,
        kept: Kept,
        signal: Signal,
        new_codec: Callable[[Bounds], Codec],
        body: bytes,
        ordinals: Collection[int],
        like: Refusal,
    ) -> list[Refusal]:
        """Refusals like the one given of the records of these ordinals: the body is read once more, as hardly any
        record is refused after it was made a row."""
        is_long = _is_long(kept, signal, body)
        codec, found = new_codec(self._bounds), sorted(ordinals)
        intake = Intake(signal.name, codec, kept.promotion, self._window(signal.name), [])
        position = 0
        async for groups in slices(signal, intake, body, is_long):
            for group in groups:
                end = position + len(group.records) * RECORD
                some = found[bisect_left(found, position) : bisect_left(found, end)]
                await compute(is_long, _refuse_found, signal, intake, group, [(o, o - position) for o in some], like)
                position = end
            await asyncio.sleep(0)
        return await compute(is_long, _redacted, intake, intake.refusals)

    async def _build(
        self,
        kept: Kept,
        signal: Signal,
        intake: Intake,
        chunk: list[Part],
        rows: list[list[Row]],
        turn: Turn,
        is_long: bool,
    ) -> None:
        """Rows of a chunk: parts whose dimension rows are not all stored yet are built again when they are."""
        cardinality = signal.cardinality
        if cardinality is not None:
            cardinality.earn(sum(len(part.records) for part in chunk))
        while chunk:
            async with turn():
                kind, missing, chunk = await compute(is_long, signal.build, intake, chunk, rows)
                if not missing or (cardinality is not None and cardinality.review()):
                    continue
                # Who misses much keeps the turn: what it teaches, others need not learn beside it.
                is_much = len(missing) > _MANY_MISSING
                problem = await self._ensure(kept, cardinality, kind, missing, nullcontext) if is_much else None
            if not is_much:
                problem = await self._ensure(kept, cardinality, kind, missing, turn)
            if problem is not None:
                await self._halve(kept, signal, intake, chunk, rows, problem, turn, is_long)
                return

    async def _ensure(
        self, kept: Kept, cardinality: Cardinality | None, kind: Kind, missing: dict[bytes, Entry], turn: Turn
    ) -> BadData | None:
        """Find or make dimension rows; what PostgreSQL says where it does not take one."""
        try:
            inserted = await kept.dimensions.ensure(kind, missing, kept.promotion)
        except BadData as problem:
            return problem
        if cardinality is not None and inserted:
            async with turn():
                cardinality.spend(missing[row_hash] for row_hash in sorted(inserted))  # type: ignore[misc]
        return None

    async def _halve(
        self,
        kept: Kept,
        signal: Signal,
        intake: Intake,
        chunk: list[Part],
        rows: list[list[Row]],
        error: BadData,
        turn: Turn,
        is_long: bool,
    ) -> None:
        """Build the halves of a chunk by themselves; the one record that PostgreSQL does not take is refused."""
        records = [(part, i) for part in chunk for i in range(len(part.records))]
        if len(records) == 1:
            ((part, i),) = records
            refuse(signal, intake, part, part.records[i], error)
            return
        middle = len(records) // 2
        for half in (records[:middle], records[middle:]):
            alone = [part.again([part.records[i]], [part.ordinals[i]]) for part, i in half]
            await self._build(kept, signal, intake, alone, rows, turn, is_long)

    def _window(self, signal: str) -> Window:
        now = time.time_ns()
        kept = getattr(self._settings.retention, signal)
        past = self._settings.accept_past if kept is None else min(kept, self._settings.accept_past)
        low, high = now - int(past * _NANO), now + int(self._settings.accept_future * _NANO)
        return Window(max(low, 1), high, self._receipts)


def _is_long(kept: Kept, signal: Signal, body: bytes) -> bool:
    """Whether a body is none for the event loop."""
    return len(body) > (SEARCHED_BYTES if signal is kept.logs and kept.promotion.bodies else LONG_BYTES)


def _redacted(intake: Intake, refusals: list[Refusal]) -> list[Refusal]:
    if (refused := intake.promotion.refused) is not None:
        for refusal in refusals:
            refusal.record = refused.redact(intake.signal, refusal.record)
    return refusals


def _refuse_found(
    signal: Signal, intake: Intake, group: ScopeRecords[Any], places: Sequence[tuple[int, int]], like: Refusal
) -> None:
    """Refuse the records of a group at these places: ordinals, in the body and in the group."""
    part = Part([], [], group, NOWHERE, NOWHERE)
    for ordinal, inside in places:
        record = group.records[inside // RECORD]
        intake.refuse(part, like.reason, like.message, partial(signal.original, intake.codec, record, ordinal))


def _undecodable(signal: Signal, digest: bytes, size: int) -> Batch:
    """What is kept of a body without a single record that could be told from another: that it came."""
    # No quotation of it: what is dropped could not be taken out.
    refusal = Refusal("undecodable_body", f"a body of {size} bytes that cannot be decoded", count=0)
    done = asyncio.get_running_loop().create_future()
    return _new_batch(signal, digest, [[] for _ in signal.tables], [refusal], None, size, _lost, done)


async def _lost(_ordinals: Collection[int], _like: Refusal) -> list[Refusal]:
    return []


def _new_batch(
    signal: Signal,
    digest: bytes,
    rows: list[list[Row]],
    refusals: list[Refusal],
    intake: Intake | None,
    size: int,
    find: Find,
    done: "asyncio.Future[Outcome]",
) -> Batch:
    facts = list(zip(signal.tables, rows, strict=True))[: signal.facts]
    times = [row[table.time] for table, table_rows in facts for row in table_rows]
    stored = sum(len(table_rows) for _, table_rows in facts)
    return Batch(
        signal,
        digest,
        rows,
        stored + sum(refusal.count for refusal in refusals),
        refusals,
        intake.codec.findings.warnings if intake else [],
        size,
        of_times(times),
        intake is not None and intake.late,
        done,
        find,
    )
