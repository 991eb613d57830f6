"""One request body from its bytes to its answer: decode, find missing dimensions, queue, await the commit.

Source: docs/architecture.md, "A request".
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import structs

from exporter.attributes import Limits, redact
from exporter.batch import Batch, Outcome, Row, Signal
from exporter.cardinality import Cardinality
from exporter.dimensions import Dimensions
from exporter.errors import BodyTooLarge, StorageUnavailable
from exporter.logs import Logs
from exporter.metrics import Metrics
from exporter.offload import LONG_BYTES, compute
from exporter.otlp.http import Encoding
from exporter.otlp.json import JsonCodec
from exporter.otlp.protobuf import ProtobufCodec
from exporter.otlp.records import LOGS, METRICS, SPANS, Bounds, Codec, Metric, Refusal
from exporter.place import Intake, Part, Receipts, Window
from exporter.promotion import OWNERS, Promotion
from exporter.settings import Settings
from exporter.traces import Traces
from exporter.writer import Queue

SLICE = 500
"""Records between two yields to the event loop, and for which missing dimension rows are stored together."""

ODD_BYTES, _FEW_RECORDS = 4096, 32
"""A record that is longer than that may be long to build: a span of ten thousand events, say."""

_NANO = 1_000_000_000
_CODECS: dict[Encoding, Callable[[Bounds], Codec]] = {Encoding.PROTOBUF: ProtobufCodec, Encoding.JSON: JsonCodec}


class Ingest:
    """Everything that is kept between requests: caches, verdicts, bodies in flight."""

    def __init__(
        self, settings: Settings, promotion: Promotion, dimensions: Dimensions, queue: Queue, digest_key: bytes
    ) -> None:
        self._settings, self.promotion = settings, promotion
        self._dimensions, self._queue, self._digest_key = dimensions, queue, digest_key
        limits = Limits(settings.max_attributes, settings.max_attribute_value_bytes)
        caches = (settings.max_cached_attributes, settings.max_cached_series)
        self.traces = Traces(Cardinality(SPANS, settings.verdict, limits, *caches), dimensions)
        self.logs = Logs(Cardinality(LOGS, settings.verdict, limits, *caches), dimensions)
        self.metrics = Metrics(dimensions, limits, settings.max_cached_series)
        self._signals: dict[str, Signal] = {SPANS: self.traces, LOGS: self.logs, METRICS: self.metrics}
        self._receipts = Receipts()
        self._bounds = Bounds(settings.max_value_depth, settings.max_body_records)
        self._in_flight: dict[bytes, asyncio.Future[Outcome]] = {}
        self.decoding = asyncio.Lock()
        """Whoever holds it has the caches and verdicts for itself: slices of several bodies take turns."""
        self._dropped = frozenset().union(*map(promotion.dropped, OWNERS))

    async def take(
        self, signal_name: str, encoding: Encoding, body: bytes, digest: bytes
    ) -> tuple[Outcome, Batch, dict[str, int]]:
        """Store the records of a body, known by its `digest`; returns the answer when they are committed, with what was
        made of the body and how many values were stored in another form than sent, by reason.

        Raises UndecodableBody, or Unavailable where nothing is known to be stored and the sender is to try again.
        """
        signal = self._signals[signal_name]
        codec = _CODECS[encoding](self._bounds)
        try:
            async with asyncio.timeout(self._settings.request_deadline):
                batch = await self._batch(signal, codec, body, digest)
                if (outcome := self._in_flight.get(batch.digest)) is not None:
                    return (await asyncio.shield(outcome)).again(), batch, codec.findings.sanitised
                await self._enqueue(batch)
                return await asyncio.shield(batch.done), batch, codec.findings.sanitised
        except TimeoutError:
            # A batch that was queued is still written, and the ledger makes the sender's next attempt cheap.
            raise StorageUnavailable("not committed in time; the same body again is safe") from None

    async def _enqueue(self, batch: Batch) -> None:
        self._in_flight[batch.digest] = batch.done
        batch.done.add_done_callback(lambda _: self._in_flight.pop(batch.digest, None))
        try:
            await self._queue.put(batch)
        except BaseException:
            # Nobody will write it: the same body again must not wait for it.
            del self._in_flight[batch.digest]
            raise

    def digest(self, signal: str, encoding: Encoding, body: bytes) -> bytes:
        """What a body is known by in the ledger, whatever its compression."""
        digest = hashlib.blake2b(key=self._digest_key, digest_size=32)
        digest.update(f"{signal} {encoding.name} ".encode())
        digest.update(body)
        return digest.digest()

    async def _batch(self, signal: Signal, codec: Codec, body: bytes, digest: bytes) -> Batch:
        # Whatever the bytes are made of, nobody else waits for them long.
        is_long = len(body) > LONG_BYTES
        async with self.decoding:
            self._trim()
        rows: list[list[Row]] = [[] for _ in signal.tables]
        intake = Intake(codec, self.promotion, self._window(signal.name), [])
        chunk: list[Part] = []
        size = placed = received = 0
        raw, url = None, ""
        groups = iter(await compute(is_long, signal.records, codec, body))
        while (group := await compute(is_long, next, groups, None)) is not None:
            if group.resource is not raw or group.resource_schema_url != url:
                raw, url = group.resource, group.resource_schema_url
                resource = await self._dimensions.resource(codec, self.promotion, raw, url)
            for refusal in codec.findings.refusals[placed:]:
                refusal.resource_id = resource[0]
            placed = len(codec.findings.refusals)
            scope = await self._dimensions.scope(codec, self.promotion, group.scope, group.scope_schema_url)
            for count, records in _slices(group.records):
                chunk.append(Part(records, resource, scope))
                size += count
                if size >= SLICE:
                    received += size
                    if received > self._bounds.max_records:
                        limit = f"max_body_records ({self._bounds.max_records})"
                        raise BodyTooLarge(f"the body holds more than {limit} records")
                    await self._build(signal, intake, chunk, rows, is_long)
                    chunk, size = [], 0
                    await asyncio.sleep(0)
        is_long = is_long or len(body) > ODD_BYTES * max(received + size, _FEW_RECORDS)
        await self._build(signal, intake, chunk, rows, is_long)
        refusals = [*codec.findings.refusals, *intake.refusals]
        await compute(is_long, self._redact, refusals)
        if "no_time" in codec.findings.sanitised:
            # Two logs without any time may be two events: only this very request is known again.
            digest = os.urandom(32)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        return await compute(is_long, _new_batch, signal, digest, rows, refusals, codec, len(body), done)

    async def _build(
        self, signal: Signal, intake: Intake, chunk: list[Part], rows: list[list[Row]], is_long: bool
    ) -> None:
        """Rows of a chunk: parts whose dimension rows are not all stored yet are built again when they are."""
        cardinality = signal.cardinality
        async with self.decoding:
            if cardinality is not None:
                cardinality.earn(sum(len(part.records) for part in chunk))
            while chunk:
                kind, missing, chunk = await compute(is_long, signal.build, intake, chunk, rows)
                if not missing or (cardinality is not None and cardinality.review()):
                    continue
                inserted = await self._dimensions.ensure(kind, missing, self.promotion)
                if cardinality is not None:
                    cardinality.spend(missing[row_hash] for row_hash in sorted(inserted))  # type: ignore[misc]

    def _redact(self, refusals: Sequence[Refusal]) -> None:
        for refusal in refusals:
            refusal.record = redact(refusal.record, self._dropped)

    def _window(self, signal: str) -> Window:
        now = time.time_ns()
        kept = getattr(self._settings.retention, signal)
        past = self._settings.accept_past if kept is None else min(kept, self._settings.accept_past)
        low, high = now - int(past * _NANO), now + int(self._settings.accept_future * _NANO)
        return Window(max(low, 1), high, self._receipts)

    def _trim(self) -> None:
        if self._dimensions.is_due():
            self._dimensions.forget()
            self.traces.cardinality.forget()
            self.logs.cardinality.forget()
            self.metrics.forget()
        self.traces.cardinality.trim()
        self.logs.cardinality.trim()
        self.metrics.trim()


def _slices(records: Sequence[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
    """Slices of up to SLICE records with their sizes; a metric counts as its points, and one of many is cut."""
    if not records or not isinstance(records[0], Metric):
        for start in range(0, len(records), SLICE):
            some = records[start : start + SLICE]
            yield len(some), some
        return
    size, together = 0, []
    for metric in records:
        points = metric.data_points
        for start in range(0, len(points) or 1, SLICE):
            some = points[start : start + SLICE]
            together.append(metric if len(points) <= SLICE else structs.replace(metric, data_points=some))
            size += len(some) or 1
            if size >= SLICE:
                yield size, together
                size, together = 0, []
    yield size, together


def _new_batch(
    signal: Signal,
    digest: bytes,
    rows: list[list[Row]],
    refusals: list[Refusal],
    codec: Codec,
    size: int,
    done: "asyncio.Future[Outcome]",
) -> Batch:
    facts = list(zip(signal.tables, rows, strict=True))[: signal.facts]
    times = [row[table.time] for table, table_rows in facts for row in table_rows]
    late = any(row[table.sent] is not None for table, table_rows in facts if table.sent for row in table_rows)
    stored = sum(len(table_rows) for _, table_rows in facts)
    return Batch(
        signal,
        digest,
        rows,
        stored + sum(refusal.count for refusal in refusals),
        refusals,
        codec.findings.warnings,
        size,
        (min(times), max(times)) if times else None,
        late,
        done,
    )
