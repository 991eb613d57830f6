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
Has = dict[str, object]


class Body(Struct, frozen=True):
    """A request body: `records` in all, of which `refused` have no identity or cannot be read."""

    number: int
    signal: str
    encoding: Encoding
    content: bytes
    records: int
    refused: int


class Plan(Struct, frozen=True):
    """What bodies hold: new records each, how many more repeat the body before, whether each resource is new."""

    size: int = 20
    again: float = 0.1
    refused: bool = True
    timeless: bool = False
    distinct: bool = False
    padding: int = 0
    """Bytes more in each record."""
    signals: tuple[str, ...] = SIGNALS
    now: Callable[[], int] = lambda: NOW


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
            yield self._make(number, signal, encoding, ids, f"faults-{number if self.plan.distinct else seed}")
            # What is repeated must be equal: a new resource, or the time of another day, makes it another record.
            before[signal] = range(0) if self.plan.distinct else own

    def _make(self, number: int, signal: str, encoding: Encoding, ids: list[int], service: str) -> Body:
        plan = self.plan
        # No protobuf log that can be read has to be refused.
        refused = plan.refused and number % _REFUSED_EVERY == 0 and (signal, encoding) != (LOGS, Encoding.PROTOBUF)
        has: dict[str, object] = {f"key{number}": number} if plan.distinct else {}
        if plan.padding:
            has["padding"] = "x" * plan.padding
        at = plan.now()
        times = {i: 0 if plan.timeless and i % 3 == 0 else at + i for i in ids}
        content = _ENCODE[signal](times, has, refused, {"service.name": service})
        if encoding is Encoding.JSON:
            content = message_to_json(_MESSAGES[signal].FromString(content))
            if refused and signal == LOGS:
                content = _with_unreadable_log(content)
        return Body(number, signal, encoding, content, len(ids) + refused, int(refused))


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
    made = span(1 + number % TRACES, number, at, {"shard": number % 5} | has, name=f"op{number % 11}")
    made.events.add(name="begun", time_unix_nano=at)
    return made


def _log(number: int, at: int, has: Has) -> LogRecord:
    trace = {"trace_id": (1 + number % TRACES).to_bytes(16, "big"), "span_id": number.to_bytes(8, "big")}
    return log(f"record {number}", at or NOW + number, {"shard": number % 5} | has, **(trace if number % 2 else {}))


def _gauge(number: int, at: int, has: Has) -> Metric:
    return gauge(f"gauge{number % 3}", point(number, at, {"shard": number % 5} | has))


def _with_unreadable_log(content: bytes) -> bytes:
    request = msgspec.json.decode(content)
    request["resourceLogs"][0]["scopeLogs"][0]["logRecords"].append({"timeUnixNano": "noon"})
    return msgspec.json.encode(request)
