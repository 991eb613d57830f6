"""Numbered records of all three signals in protobuf and JSON: a body's numbers say whether it is stored, and once.

Body k has the numbers from k * size to (k + 1) * size - 1, each once: as a span's id, as a log's text, as a point's
value. Some bodies bring one record more that has to be refused, some repeat records of the body before them.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from random import Random

import msgspec
from google.protobuf.message import Message
from msgspec import Struct
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from exporter.otlp.http import Encoding
from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.exporter.sending import NOW, gauge, log, logs, metrics, point, span, spans

SIGNALS = (SPANS, LOGS, METRICS)
KINDS = tuple((signal, encoding) for encoding in Encoding for signal in SIGNALS)
TRACES = 500
"""Spans of all bodies share this many traces."""
_REFUSED_EVERY = 5
Has = Mapping[str, object]


class Body(Struct, frozen=True):
    """A request body: `records` in all, of which `refused` have no identity or cannot be read."""

    number: int
    signal: str
    encoding: Encoding
    content: bytes
    records: int
    refused: int


class Plan(Struct, frozen=True):
    """What bodies hold: new records each, what share of the body before comes again, whether one is to be refused."""

    size: int = 20
    again: float = 0.1
    refused: bool = True
    timeless: bool = False
    resources: int = 1
    """Resources in each body, each with an attribute key and series of its own."""
    repeats_resources: bool = False
    """The n-th body of each connection has the resources of the n-th of the others, every other in reversed order."""
    padding: int = 0
    """Bytes more in each record."""
    signals: tuple[str, ...] = SIGNALS
    now: Callable[[], int] = lambda: NOW
    service: str = "faults"
    """How the names of services begin, where each body has one resource."""


class Bodies:
    """An endless source of bodies, for several threads at once."""

    def __init__(self, plan: Plan, first: int = 1) -> None:
        self.plan, self.first = plan, first
        self._numbers = count(first)
        self._guard = threading.Lock()

    def stream(self, seed: int) -> Iterator[Body]:
        """The bodies of one thread, which repeats only its own records."""
        rng = Random(seed)
        kinds = [kind for kind in KINDS if kind[0] in self.plan.signals]
        before: dict[str, range] = {}
        for turn in count(seed):
            signal, encoding = kinds[turn % len(kinds)]
            with self._guard:
                number = next(self._numbers)
            own = range(number * self.plan.size, (number + 1) * self.plan.size)
            repeated = [i for i in before.get(signal, ()) if rng.random() < self.plan.again]
            ids = [*own, *([] if signal == LOGS else repeated)]
            if seed % 2 and self.plan.repeats_resources:
                ids.reverse()
            yield self._make(number, signal, encoding, ids, self._name(seed, turn - seed, number))
            before[signal] = own

    def _name(self, seed: int, turn: int, number: int) -> str:
        if self.plan.resources == 1:
            return f"{self.plan.service}-{seed}"
        return f"turn-{turn}" if self.plan.repeats_resources else f"body-{number}"

    def _make(self, number: int, signal: str, encoding: Encoding, ids: list[int], service: str) -> Body:
        plan = self.plan
        # No protobuf log that can be read has to be refused.
        refusable = plan.refused and plan.resources == 1 and (signal, encoding) != (LOGS, Encoding.PROTOBUF)
        refused = refusable and number % _REFUSED_EVERY == 0
        has: Has = {"padding": "x" * plan.padding} if plan.padding else {}
        at = plan.now()
        times = {i: 0 if plan.timeless and i % 3 == 0 else at + i for i in ids}
        if plan.resources == 1:
            content = _ENCODE[signal](times, has, refused, {"service.name": service})
        else:
            content = self._of_many(signal, times, has, service)
        if encoding is Encoding.JSON:
            content = message_to_json(_MESSAGES[signal].FromString(content))
            if refused and signal == LOGS:
                content = _with_unreadable_log(content)
        return Body(number, signal, encoding, content, len(ids) + refused, int(refused))

    def _of_many(self, signal: str, times: Mapping[int, int], has: Mapping[str, object], name: str) -> bytes:
        """One request after the other in protobuf is one request of all their resources."""
        parts: list[bytes] = []
        for number, at in times.items():
            place = number % self.plan.resources
            own = {**has, f"key-{name}-{place}": place, "unique": f"u{number}"}
            parts.append(_ENCODE[signal]({number: at}, own, False, {"service.name": f"{name}-{place}"}))
        return b"".join(parts)


def _spans(times: Mapping[int, int], has: Has, refused: bool, resource: Has) -> bytes:
    made = [_span(number, at, has) for number, at in times.items()]
    return spans(*made, *([Span(name="without ids")] if refused else []), resource=resource)[1]


def _logs(times: Mapping[int, int], has: Has, _refused: bool, resource: Has) -> bytes:
    return logs(*(_log(number, at, has) for number, at in times.items()), resource=resource)[1]


def _metrics(times: Mapping[int, int], has: Has, refused: bool, resource: Has) -> bytes:
    made = [_gauge(number, at, has) for number, at in times.items()]
    return metrics(*made, *([gauge("", point(1))] if refused else []), resource=resource)[1]


_ENCODE = {SPANS: _spans, LOGS: _logs, METRICS: _metrics}
_MESSAGES: dict[str, type[Message]] = {SPANS: TracesData, LOGS: LogsData, METRICS: MetricsData}


def _span(number: int, at: int, has: Has) -> Span:
    made = span(1 + number % TRACES, number, at, {"shard": number % 5, **has}, name=f"op{number % 11}")
    made.events.add(name="begun", time_unix_nano=at)
    return made


def _log(number: int, at: int, has: Has) -> LogRecord:
    trace = {"trace_id": (1 + number % TRACES).to_bytes(16, "big"), "span_id": number.to_bytes(8, "big")}
    return log(f"record {number}", at or NOW + number, {"shard": number % 5, **has}, **(trace if number % 2 else {}))


def _gauge(number: int, at: int, has: Has) -> Metric:
    return gauge(f"gauge{number % 3}", point(number, at, {"shard": number % 5, **has}))


def _with_unreadable_log(content: bytes) -> bytes:
    request = msgspec.json.decode(content)
    request["resourceLogs"][0]["scopeLogs"][0]["logRecords"].append({"timeUnixNano": "noon"})
    return msgspec.json.encode(request)
