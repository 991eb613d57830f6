"""The believable web shop whose telemetry demo, load and benchmark send: OTLP requests, endless and reproducible.

Shaped like the OpenTelemetry demo shop (https://opentelemetry.io/docs/demo/), because that is what most people's
telemetry looks like: fifteen services in nine languages on Kubernetes that call each other over HTTP, gRPC and Kafka,
SDKs of different age (old and new semantic conventions side by side), most attributes repeated from a small set and a
few (user, session, order, URL) never twice, one span in forty an error, one record's resource equal to its
neighbour's, logs and exemplars that point at spans. Fourteen spans a visit on average, three to sixty.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import count, islice
from random import Random
from typing import Literal, TypeAlias, TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Status

from exporter.shop_metrics import Instrument, Point, add_points, metric_of, series_of
from exporter.shop_services import Pod, Scalar, Scope, any_value, key_values, open_pods
from exporter.shop_visits import CLIENT, SERVER, Line, Step, Visit

Signal: TypeAlias = Literal["traces", "logs", "metrics"]
Request: TypeAlias = ExportTraceServiceRequest | ExportLogsServiceRequest | ExportMetricsServiceRequest

SIGNALS: tuple[Signal, ...] = ("traces", "logs", "metrics")
RECORDS_PER_VISIT = 14 + 4
"""Spans and log records, on average."""
POINTS_PER_SCRAPE = 287
"""Of one pod of each service together."""

_SCHEMA_URL = "https://opentelemetry.io/schemas/1.34.0"
_SEVERITIES = {5: "DEBUG", 9: "INFO", 13: "WARN", 17: "ERROR"}
_CACHED_ATTRIBUTES = 20_000
_CACHED_VISITS = 512
_EXEMPLAR_VISITS = 4
_PODS_BEGAN_S = 3_600
_SAMPLED, _CONTEXT_HAS_IS_REMOTE, _IS_REMOTE = 0x1, 0x100, 0x200

_T = TypeVar("_T")
_Spot: TypeAlias = tuple[Pod, Scope]
_Reading: TypeAlias = tuple[Pod, Instrument, Point]


class Shop:
    """Endless OTLP of one shop, the same for the same arguments, each stream from the beginning.

    `users` is the cardinality of `app.user.id` (sessions, orders and URLs never repeat anyway), `pods` the copies of
    each service, so 15 x pods resources and about 290 x pods metric series. Time begins at `start_unix_nano` and
    moves by 1 / `visits_per_second` with every visit (about 14 spans and 4 logs); every pod is scraped every
    `scrape_interval_s`. Logs and exemplars carry ids of spans that `traces` of an equal shop yields.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        start_unix_nano: int,
        users: int = 10_000,
        pods: int = 3,
        visits_per_second: float = 5.0,
        scrape_interval_s: float = 10.0,
    ) -> None:
        self._seed = seed
        self._start = start_unix_nano
        self._users = users
        self._pods = open_pods(seed, pods)
        self._visit_nano = 1e9 / visits_per_second
        self._scrape_nano = int(scrape_interval_s * 1e9)
        self._key_values = _KeyValues()
        # Streams of several signals run side by side, so each visit is asked for two or three times within moments.
        self._visit = lru_cache(_CACHED_VISITS)(self._play_visit)

    def traces(self, records: int = 1_000) -> Iterator[ExportTraceServiceRequest]:
        """Requests of exactly `records` spans each, grouped by resource and scope like a Collector's batch."""
        for steps in _batches((step for visit in self._visits() for step in visit.steps), records):
            yield self._trace_request(steps)

    def logs(self, records: int = 1_000) -> Iterator[ExportLogsServiceRequest]:
        """Requests of exactly `records` log records each."""
        for lines in _batches((line for visit in self._visits() for line in visit.lines), records):
            yield self._logs_request(lines)

    def metrics(self, records: int = 1_000) -> Iterator[ExportMetricsServiceRequest]:
        """Requests of exactly `records` data points each."""
        for readings in _batches(self._readings(), records):
            yield self._metrics_request(readings)

    def requests(self, signals: Sequence[Signal] = SIGNALS, records: int = 1_000) -> Iterator[tuple[Signal, Request]]:
        """The streams of several signals as one, in the order of their times."""
        for _, _, signal, request in heapq.merge(*(self._timed(signal, records) for signal in signals)):
            yield signal, request

    def _timed(self, signal: Signal, records: int) -> Iterator[tuple[int, int, Signal, Request]]:
        streams: dict[Signal, Callable[[int], Iterator[Request]]] = {
            "traces": self.traces,
            "logs": self.logs,
            "metrics": self.metrics,
        }
        # The signal's rank keeps equal times from comparing messages.
        rank = SIGNALS.index(signal)
        return ((_time_of(request), rank, signal, request) for request in streams[signal](records))

    def _play_visit(self, number: int) -> Visit:
        return Visit(self._seed, number, self._start + int(number * self._visit_nano), self._users, self._pods)

    def _visits(self) -> Iterator[Visit]:
        return map(self._visit, count())

    def _trace_request(self, steps: Sequence[Step]) -> ExportTraceServiceRequest:
        request = ExportTraceServiceRequest()
        for pod, scopes in _group(steps, _spot):
            resource_spans = request.resource_spans.add(resource=pod.resource, schema_url=_SCHEMA_URL)
            for scope, members in scopes:
                scope_spans = resource_spans.scope_spans.add(scope=_scope(scope))
                for step in members:
                    self._add_span(scope_spans, step)
        return request

    def _logs_request(self, lines: Sequence[Line]) -> ExportLogsServiceRequest:
        request = ExportLogsServiceRequest()
        for pod, scopes in _group(lines, _spot):
            resource_logs = request.resource_logs.add(resource=pod.resource, schema_url=_SCHEMA_URL)
            for scope, members in scopes:
                scope_logs = resource_logs.scope_logs.add(scope=_scope(scope))
                for line in members:
                    self._add_log_record(scope_logs, line)
        return request

    def _metrics_request(self, readings: Sequence[_Reading]) -> ExportMetricsServiceRequest:
        request = ExportMetricsServiceRequest()
        for pod, scopes in _group(readings, lambda reading: (reading[0], reading[1].scope)):
            resource_metrics = request.resource_metrics.add(resource=pod.resource, schema_url=_SCHEMA_URL)
            for scope, members in scopes:
                scope_metrics = resource_metrics.scope_metrics.add(scope=_scope(scope))
                points: dict[Instrument, list[Point]] = {}
                for _, instrument, point in members:
                    points.setdefault(instrument, []).append(point)
                for instrument, own in points.items():
                    metric = metric_of(instrument)
                    add_points(metric, own)
                    scope_metrics.metrics.append(metric)
        return request

    def _add_span(self, scope_spans: ScopeSpans, step: Step) -> None:
        remote = _CONTEXT_HAS_IS_REMOTE | _IS_REMOTE if step.kind != CLIENT and step.parent_id else 0
        key_value = self._key_values
        span = scope_spans.spans.add(
            trace_id=step.trace_id,
            span_id=step.span_id,
            parent_span_id=step.parent_id,
            flags=_SAMPLED | remote,
            name=step.name,
            kind=step.kind,
            start_time_unix_nano=step.start,
            end_time_unix_nano=step.end,
            attributes=[key_value[pair] for pair in step.attributes.items()],
        )
        for time, name, attributes in step.events:
            span.events.add(time_unix_nano=time, name=name, attributes=key_values(attributes))
        for linked, attributes in step.links:
            span.links.add(
                trace_id=linked.trace_id,
                span_id=linked.span_id,
                flags=_SAMPLED | _CONTEXT_HAS_IS_REMOTE | _IS_REMOTE,
                attributes=key_values(attributes),
            )
        if step.error:
            span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=step.error))

    def _add_log_record(self, scope_logs: ScopeLogs, line: Line) -> None:
        key_value = self._key_values
        step = line.step
        scope_logs.log_records.add(
            time_unix_nano=line.time,
            observed_time_unix_nano=line.time + 150_000,
            severity_number=SeverityNumber.ValueType(line.severity),
            severity_text=_SEVERITIES[line.severity],
            event_name=line.event_name,
            body=any_value(line.body),
            attributes=[key_value[pair] for pair in line.attributes.items()],
            trace_id=step.trace_id if step else b"",
            span_id=step.span_id if step else b"",
            flags=_SAMPLED if step else 0,
        )

    def _readings(self) -> Iterator[_Reading]:
        """Every series of every pod, scrape after scrape; each pod has its own moment within the interval."""
        rng = Random(f"{self._seed}/metrics")
        began = self._start - _PODS_BEGAN_S * 1_000_000_000
        pods = [pod for pods in self._pods.values() for pod in pods]
        moments = sorted(((rng.randrange(self._scrape_nano), pod) for pod in pods), key=lambda moment: moment[0])
        boards = [(moment, pod, list(series_of(pod, began))) for moment, pod in moments]
        for scrape in count():
            exemplars = self._exemplars(rng, scrape) if scrape else {}
            for moment, pod, board in boards:
                now = self._start + scrape * self._scrape_nano + moment
                for series in board:
                    point = series.observe(rng, now, exemplars.get((pod.service, series.route), ()))
                    yield pod, series.instrument, point

    def _exemplars(self, rng: Random, scrape: int) -> dict[tuple[str, str], list[Exemplar]]:
        """Service and route -> requests that it served in some visits of the interval before this scrape."""
        first = int((scrape - 1) * self._scrape_nano / self._visit_nano)
        last = max(first + 1, int(scrape * self._scrape_nano / self._visit_nano))
        found: dict[tuple[str, str], list[Exemplar]] = {}
        for number in {rng.randrange(first, last) for _ in range(_EXEMPLAR_VISITS)}:
            for step in self._visit(number).steps:
                if step.kind == SERVER:
                    route = str(step.attributes.get("http.route") or step.attributes.get("rpc.method"))
                    found.setdefault((step.pod.service, route), [_exemplar(step)])
        return found


class _KeyValues(dict[tuple[str, Scalar], KeyValue]):
    """(key, value) -> message; the frequent ones are built once. No key has 1 and also 1.0 or True, which are equal."""

    def __missing__(self, pair: tuple[str, Scalar]) -> KeyValue:
        if len(self) >= _CACHED_ATTRIBUTES:
            self.clear()
        known = self[pair] = KeyValue(key=pair[0], value=any_value(pair[1]))
        return known


def _exemplar(step: Step) -> Exemplar:
    user = step.attributes.get("app.user.id")
    return Exemplar(
        time_unix_nano=step.end,
        as_double=(step.end - step.start) / 1e6,
        trace_id=step.trace_id,
        span_id=step.span_id,
        filtered_attributes=key_values({"app.user.id": user}) if user else (),
    )


def _batches(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while batch := list(islice(items, size)):
        yield batch


def _spot(item: Step | Line) -> _Spot:
    return item.pod, item.scope


def _group(items: Iterable[_T], spot: Callable[[_T], _Spot]) -> Iterator[tuple[Pod, Iterable[tuple[Scope, list[_T]]]]]:
    """Items by pod and scope, both in the order of their first item."""
    pods: dict[Pod, dict[Scope, list[_T]]] = {}
    for item in items:
        pod, scope = spot(item)
        pods.setdefault(pod, {}).setdefault(scope, []).append(item)
    return ((pod, scopes.items()) for pod, scopes in pods.items())


def _scope(scope: Scope) -> InstrumentationScope:
    return InstrumentationScope(name=scope[0], version=scope[1])


def _time_of(request: Request) -> int:
    """When its first record was made, Unix ns."""
    if isinstance(request, ExportTraceServiceRequest):
        return request.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano
    if isinstance(request, ExportLogsServiceRequest):
        return request.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    field = metric.WhichOneof("data")
    assert field is not None
    return int(getattr(metric, field).data_points[0].time_unix_nano)
