"""A sidecar in the test's own process, and the small OTLP requests that tests send to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, MetricsData, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from exporter import promotion
from exporter.batch import Outcome
from exporter.errors import Unavailable
from exporter.otlp.http import Encoding
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.promotion import Promotion
from exporter.settings import load
from exporter.sidecar import Sidecar

T = TypeVar("T")

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NOW = time.time_ns() // HOUR * HOUR - HOUR
"""The beginning of the last whole hour: spans that begin soon after it lie in one row of the rollup."""


@asynccontextmanager
async def sidecar(
    url: str, settings: Mapping[str, str] | None = None, lists: Promotion | None = None
) -> AsyncIterator[Sidecar]:
    """A sidecar that takes bodies in until the block ends; `settings` are POSTEL_* variables without the prefix."""
    chosen = load(environ={f"POSTEL_{name}": text for name, text in (settings or {}).items()})
    running = Sidecar(chosen, lists or promotion.load(), url)
    running.start()
    try:
        async with asyncio.timeout(30):
            while not is_ready(running):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield running
    finally:
        await running.stop(5)


def is_ready(running: Sidecar) -> bool:
    """Whether bodies are taken in."""
    try:
        return running.ingest is not None
    except Unavailable:
        return False


async def send(running: Sidecar, signal: str, body: bytes, encoding: Encoding = Encoding.PROTOBUF) -> Outcome:
    """What is answered to a body."""
    return await running.ingest.take(signal, encoding, body, running.ingest.digest(signal, encoding, body))


async def send_until_stored(running: Sidecar, signal: str, body: bytes) -> Outcome:
    """The same as a client does it: again and again while the answer is 503."""
    for _ in range(200):
        try:
            return await send(running, signal, body)
        except Unavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("never stored")


def sent(url: str, *bodies: tuple[str, bytes], lists: Promotion | None = None, **settings: str) -> list[Outcome]:
    """The answers to bodies sent one after another to a sidecar of their own; `settings` as for `sidecar`."""

    async def session(running: Sidecar) -> list[Outcome]:
        return [await send(running, signal, body) for signal, body in bodies]

    return run(url, session, settings, lists)


def run(
    url: str,
    session: Callable[[Sidecar], Awaitable[T]],
    settings: Mapping[str, str] | None = None,
    lists: Promotion | None = None,
) -> T:
    """What a session with a sidecar returns."""

    async def whole() -> T:
        async with sidecar(url, settings, lists) as running:
            return await session(running)

    return asyncio.run(whole())


def any_value(value: Any) -> AnyValue:
    """A Python value as OTLP has it."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=attributes(value)))
    return AnyValue()


def attributes(mapping: Mapping[str, Any]) -> list[KeyValue]:
    """A mapping as attributes."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in mapping.items()]


def span(trace: int, span_id: int, start: int = NOW, has: Mapping[str, Any] | None = None, **fields: Any) -> Span:
    """A span of numbered ids; `has` are its attributes."""
    given: dict[str, Any] = {"name": "work", "end_time_unix_nano": start + SECOND} | fields
    return Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=span_id.to_bytes(8, "big"),
        start_time_unix_nano=start,
        attributes=attributes(has or {}),
        **given,
    )


def spans(*records: Span, resource: Mapping[str, Any] | None = None, scope: str = "lib") -> tuple[str, bytes]:
    """(signal, body) of spans of one resource and scope."""
    request = TracesData()
    group = request.resource_spans.add()
    group.resource.attributes.extend(attributes(resource or {"service.name": "shop"}))
    inside = group.scope_spans.add()
    inside.scope.name = scope
    inside.spans.extend(records)
    return SPANS, request.SerializeToString()


def log(text: Any, at: int = NOW, has: Mapping[str, Any] | None = None, **fields: Any) -> LogRecord:
    """A log record."""
    return LogRecord(time_unix_nano=at, body=any_value(text), attributes=attributes(has or {}), **fields)


def logs(*records: LogRecord, resource: Mapping[str, Any] | None = None) -> tuple[str, bytes]:
    """(signal, body) of log records of one resource."""
    request = LogsData()
    group = request.resource_logs.add()
    group.resource.attributes.extend(attributes(resource or {"service.name": "shop"}))
    group.scope_logs.add().log_records.extend(records)
    return LOGS, request.SerializeToString()


def point(value: float, at: int = NOW, has: Mapping[str, Any] | None = None, **fields: Any) -> NumberDataPoint:
    """A gauge's point."""
    number: dict[str, Any] = {"as_int": value} if isinstance(value, int) else {"as_double": value}
    return NumberDataPoint(time_unix_nano=at, attributes=attributes(has or {}), **number, **fields)


def gauge(name: str, *points: NumberDataPoint, **fields: Any) -> Metric:
    """A gauge."""
    metric = Metric(name=name, **fields)
    metric.gauge.data_points.extend(points)
    return metric


def metrics(*records: Metric, resource: Mapping[str, Any] | None = None) -> tuple[str, bytes]:
    """(signal, body) of metrics of one resource."""
    request = MetricsData()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(attributes(resource or {"service.name": "shop"}))
    group.scope_metrics.add().metrics.extend(records)
    return METRICS, request.SerializeToString()


def field(number: int, content: bytes) -> bytes:
    """A protobuf field that holds bytes."""
    size, length = len(content), b""
    while size > 127:
        length += bytes((size & 127 | 128,))
        size >>= 7
    return bytes((number << 3 | 2,)) + length + bytes((size,)) + content


MALFORMED = b"\xff\xff"
"""No protobuf message of any type."""


def enveloped(*records: bytes) -> bytes:
    """The body of encoded spans, log records or metrics: the envelopes of all three have the same numbers."""
    return field(1, field(2, b"".join(field(2, record) for record in records)))


def totals(outcomes: Sequence[Outcome]) -> tuple[int, int, int]:
    """(stored, deduplicated, rejected) of answers together."""
    return (
        sum(outcome.stored for outcome in outcomes),
        sum(outcome.deduplicated for outcome in outcomes),
        sum(outcome.rejected for outcome in outcomes),
    )
