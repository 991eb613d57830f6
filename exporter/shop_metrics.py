"""What the shop's pods measure: their instruments, and the running state of every series of one pod.

Names follow the semantic conventions and the OpenTelemetry demo's own `app.*` instruments; all five
types of OTLP occur.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)

from exporter.shop_operations import OPERATIONS
from exporter.shop_services import SERVICES, Attributes, Pod, Scope, key_values

Kind: TypeAlias = Literal["gauge", "counter", "delta", "updown", "histogram", "exponential", "summary"]
Point: TypeAlias = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint

MILLISECONDS = (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
EXPONENTIAL_SCALE = 3
"""Buckets whose bounds are powers of 2 ** (2 ** -3)."""


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """One metric of a pod; `level` is its usual value, or its usual increase between two scrapes."""

    name: str
    unit: str
    kind: Kind
    level: float
    points: tuple[Attributes, ...] = ({},)
    description: str = ""
    scope: Scope = ("opentelemetry.shop", "2.0.2")

    @property
    def integral(self) -> bool:
        """Whether its points are integers: what is counted is, what is measured is not."""
        return self.unit.startswith("{") or self.unit == "By"


class Series:
    """One attribute set of one instrument in one pod, and what it has added up since the pod began."""

    __slots__ = ("attributes", "buckets", "count", "instrument", "route", "since", "total")

    def __init__(self, instrument: Instrument, attributes: Attributes, since: int) -> None:
        self.instrument = instrument
        self.attributes: Sequence[KeyValue] = key_values(attributes)
        route = attributes.get("http.route") or attributes.get("rpc.method") or ""
        self.route = str(route)
        self.since = since
        self.total = 0.0 if instrument.kind in ("counter", "delta") else instrument.level
        self.count = 0
        self.buckets = [0] * (len(_bounds(instrument)) + 1)

    def observe(self, rng: Random, now: int, exemplars: Sequence[Exemplar]) -> Point:
        """The point that a scrape at `now` (Unix ns) finds."""
        kind = self.instrument.kind
        if kind == "histogram":
            return self._histogram(rng, now, exemplars)
        if kind == "exponential":
            return self._exponential(rng, now)
        if kind == "summary":
            return self._summary(rng, now)
        return self._number(rng, now)

    def _number(self, rng: Random, now: int) -> NumberDataPoint:
        instrument = self.instrument
        if instrument.kind == "counter":
            self.total += instrument.level * rng.random() * 2
        elif instrument.kind == "delta":
            self.total = instrument.level * rng.random() * 2
        else:
            # Drifts back to its level, as memory and queue depths do.
            self.total += (instrument.level - self.total) * 0.2 + instrument.level * rng.gauss(0, 0.05)
        since = 0 if instrument.kind == "gauge" else self.since
        point = NumberDataPoint(attributes=self.attributes, start_time_unix_nano=since, time_unix_nano=now)
        if instrument.integral:
            point.as_int = int(self.total)
        else:
            point.as_double = self.total
        self._turn_over(now)
        return point

    def _histogram(self, rng: Random, now: int, exemplars: Sequence[Exemplar]) -> HistogramDataPoint:
        bounds = _bounds(self.instrument)
        scale = 1e3 if self.instrument.unit == "s" else 1.0
        seen = _durations(rng, self.instrument.level)
        for value in seen:
            self.buckets[bisect_left(bounds, value / scale)] += 1
        self.count += len(seen)
        self.total += sum(seen) / scale
        point = HistogramDataPoint(
            attributes=self.attributes,
            start_time_unix_nano=self.since,
            time_unix_nano=now,
            count=self.count,
            sum=self.total,
            bucket_counts=self.buckets,
            explicit_bounds=bounds,
            exemplars=exemplars,
        )
        if seen and scale == 1.0:
            point.min, point.max = min(seen), max(seen)
        return point

    def _exponential(self, rng: Random, now: int) -> ExponentialHistogramDataPoint:
        seen = _durations(rng, self.instrument.level)
        indexes = [math.ceil(math.log2(value) * 2**EXPONENTIAL_SCALE) - 1 for value in seen]
        offset = min(indexes, default=0)
        counts = [0] * (max(indexes, default=-1) - offset + 1)
        for index in indexes:
            counts[index - offset] += 1
        point = ExponentialHistogramDataPoint(
            attributes=self.attributes,
            start_time_unix_nano=self.since,
            time_unix_nano=now,
            count=len(seen),
            sum=sum(seen),
            scale=EXPONENTIAL_SCALE,
            positive=ExponentialHistogramDataPoint.Buckets(offset=offset, bucket_counts=counts),
        )
        if seen:
            point.min, point.max = min(seen), max(seen)
        self._turn_over(now)
        return point

    def _summary(self, rng: Random, now: int) -> SummaryDataPoint:
        seen = sorted(_durations(rng, self.instrument.level)) or [self.instrument.level]
        self.count += len(seen)
        self.total += sum(seen)
        value_at = SummaryDataPoint.ValueAtQuantile
        return SummaryDataPoint(
            attributes=self.attributes,
            start_time_unix_nano=self.since,
            time_unix_nano=now,
            count=self.count,
            sum=self.total,
            quantile_values=[value_at(quantile=q, value=seen[int(q * (len(seen) - 1))]) for q in QUANTILES],
        )

    def _turn_over(self, now: int) -> None:
        """The next delta begins where this one ended."""
        if self.instrument.kind in ("delta", "exponential"):
            self.since = now


def instruments_of(pod: Pod) -> Iterator[Instrument]:
    """What one pod measures: its process, its runtime, the operations it serves, its business."""
    yield Instrument("process.cpu.time", "s", "counter", 0.4, _each("process.cpu.state", "user", "system"))
    yield Instrument("process.memory.usage", "By", "updown", 180e6)
    yield Instrument("k8s.container.restarts", "{restart}", "gauge", 0.0, ({"k8s.container.name": pod.service},))
    yield Instrument("k8s.pod.network.io", "By", "counter", 90e3,
                     tuple({"direction": way, "interface": "eth0"} for way in ("receive", "transmit")))  # fmt: skip
    yield from _RUNTIMES.get(pod.language.runtime, ())
    yield from _serving(pod)
    yield from _BUSINESS.get(pod.service, ())


def series_of(pod: Pod, since: int) -> Iterator[Series]:
    """Every series of one pod, which began to count at `since` (Unix ns)."""
    for instrument in instruments_of(pod):
        for attributes in instrument.points:
            yield Series(instrument, attributes, since)


def metric_of(instrument: Instrument) -> Metric:
    """The instrument as a Metric without points; `data_points` of the set field takes them."""
    metric = Metric(name=instrument.name, unit=instrument.unit, description=instrument.description)
    kind = instrument.kind
    if kind == "gauge":
        metric.gauge.CopyFrom(Gauge())
    elif kind == "histogram":
        metric.histogram.CopyFrom(Histogram(aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE))
    elif kind == "exponential":
        metric.exponential_histogram.CopyFrom(
            ExponentialHistogram(aggregation_temporality=AGGREGATION_TEMPORALITY_DELTA)
        )
    elif kind == "summary":
        metric.summary.CopyFrom(Summary())
    else:
        delta = kind == "delta"
        temporality = AGGREGATION_TEMPORALITY_DELTA if delta else AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.CopyFrom(Sum(aggregation_temporality=temporality, is_monotonic=kind != "updown"))
    return metric


def add_points(metric: Metric, points: Sequence[Point]) -> None:
    """Append points, which must be of the metric's own type."""
    field = metric.WhichOneof("data")
    assert field is not None
    getattr(metric, field).data_points.extend(points)


def _bounds(instrument: Instrument) -> tuple[float, ...]:
    if instrument.kind != "histogram":
        return ()
    return SECONDS if instrument.unit == "s" else MILLISECONDS


def _durations(rng: Random, level_ms: float) -> list[float]:
    return [rng.lognormvariate(math.log(level_ms), 0.7) for _ in range(int(rng.random() * 12))]


def _each(key: str, *values: str) -> tuple[Attributes, ...]:
    return tuple({key: value} for value in values)


def _serving(pod: Pod) -> Iterator[Instrument]:
    served = [operation for operation in OPERATIONS.values() if operation.service == pod.service]
    routes = [operation for operation in served if operation.verb]
    methods = [operation.name.partition("/")[::2] for operation in served if not operation.verb]
    if routes and pod.language.modern:
        points: tuple[Attributes, ...] = tuple(
            {"http.request.method": o.verb, "http.route": o.name, "http.response.status_code": status}
            for o in routes
            for status in (200, 500)
        )
        yield Instrument("http.server.request.duration", "s", "histogram", 40.0, points,
                         "Duration of HTTP server requests.", pod.language.http)  # fmt: skip
    elif routes:
        points = tuple(
            {"http.method": o.verb, "http.route": o.name, "http.status_code": status, "http.scheme": "http"}
            for o in routes
            for status in (200, 500)
        )
        yield Instrument("http.server.duration", "ms", "histogram", 40.0, points,
                         "Measures the duration of inbound HTTP requests.", pod.language.http)  # fmt: skip
    if routes:
        points = tuple({"http.request.method": verb} for verb in ("GET", "POST"))
        yield Instrument("http.server.active_requests", "{request}", "updown", 3.0, points, "", pod.language.http)
    if methods:
        points = tuple(
            {"rpc.system": "grpc", "rpc.service": s, "rpc.method": m, "rpc.grpc.status_code": 0} for s, m in methods
        )
        yield Instrument("rpc.server.duration", "ms", "histogram", 8.0, points, "Measures the duration of inbound RPC.",
                         pod.language.rpc)  # fmt: skip
        yield Instrument("rpc.server.requests_per_rpc", "{count}", "delta", 20.0, points, "", pod.language.rpc)


_RUNTIMES: dict[str, tuple[Instrument, ...]] = {
    "go": (
        Instrument("go.goroutine.count", "{goroutine}", "updown", 60.0),
        Instrument("go.memory.allocated", "By", "counter", 5e6),
        Instrument("go_gc_duration_seconds", "s", "summary", 0.002),
    ),
    "nodejs": (
        Instrument("nodejs.eventloop.utilization", "1", "gauge", 0.2),
        Instrument("nodejs.eventloop.delay.p99", "s", "gauge", 0.012),
        Instrument("v8js.memory.heap.used", "By", "gauge", 30e6,
                   _each("v8js.heap.space.name", "new_space", "old_space", "code_space", "large_object_space")),
    ),
    "OpenJDK Runtime Environment": (
        Instrument("jvm.memory.used", "By", "updown", 60e6, tuple(
            {"jvm.memory.type": kind, "jvm.memory.pool.name": pool}
            for kind, pool in (("heap", "G1 Eden Space"), ("heap", "G1 Old Gen"), ("heap", "G1 Survivor Space"),
                               ("non_heap", "Metaspace"), ("non_heap", "CodeCache")))),
        Instrument("jvm.thread.count", "{thread}", "updown", 12.0, tuple(
            {"jvm.thread.daemon": daemon, "jvm.thread.state": state}
            for daemon in (True, False) for state in ("runnable", "waiting", "timed_waiting"))),
        Instrument("jvm.gc.duration", "s", "histogram", 9.0,
                   ({"jvm.gc.name": "G1 Young Generation", "jvm.gc.action": "end of minor GC"},)),
        Instrument("jvm.cpu.recent_utilization", "1", "gauge", 0.15),
    ),
    ".NET": (
        Instrument("dotnet.gc.collections", "{collection}", "counter", 1.0,
                   _each("gc.heap.generation", "gen0", "gen1", "gen2")),
        Instrument("dotnet.process.memory.working_set", "By", "updown", 120e6),
        Instrument("dotnet.thread_pool.queue.length", "{work_item}", "updown", 2.0),
    ),
    "cpython": (
        Instrument("process.runtime.cpython.memory", "By", "updown", 50e6, _each("type", "rss", "vms")),
        Instrument("process.runtime.cpython.gc_count", "{collection}", "counter", 3.0, _each("count", "0", "1", "2")),
    ),
}  # fmt: skip

_TOPICS: tuple[Attributes, ...] = tuple({"topic": "orders", "partition": str(partition)} for partition in range(6))
_BUSINESS: dict[str, tuple[Instrument, ...]] = {
    "cart": (
        Instrument("app.cart.add_item.latency", "ms", "exponential", 4.0),
        Instrument("app.cart.get_cart.latency", "ms", "exponential", 2.0),
    ),
    "checkout": (
        Instrument("app.orders.placed", "{order}", "delta", 6.0,
                   _each("app.user.currency", "USD", "EUR", "GBP", "CHF", "JPY")),
        Instrument("rpc.client.duration", "ms", "exponential", 12.0,
                   _each("server.address", "cart", "product-catalog", "currency", "payment")),
    ),
    "payment": (Instrument("app.payment.transactions", "{transaction}", "counter", 5.0,
                           _each("app.payment.currency", "USD", "EUR", "GBP")),),
    "currency": (Instrument("app.currency.counter", "{conversion}", "counter", 40.0,
                            _each("currency_code", "USD", "EUR", "GBP", "CHF", "JPY")),),
    "recommendation": (Instrument("app.recommendations.counter", "{recommendation}", "counter", 25.0,
                                  _each("recommendation.type", "catalog")),),
    "ad": (Instrument("app.ads.ad_requests", "{request}", "counter", 15.0, tuple(
        {"app.ads.ad_request_type": kind, "app.ads.ad_response_type": answer}
        for kind in ("targeted", "not_targeted") for answer in ("targeted", "random"))),),
    "quote": (Instrument("quotes", "{quote}", "counter", 3.0, _each("number_of_items", "1", "2", "3", "4")),),
    "email": (Instrument("app.confirmation.counter", "{email}", "counter", 3.0),),
    "product-catalog": (Instrument("db.client.connection.count", "{connection}", "gauge", 8.0, tuple(
        {"state": state, "db.client.connection.pool.name": "catalog"} for state in ("idle", "used"))),),
    "frontend-proxy": (
        Instrument("envoy_cluster_upstream_rq_total", "{request}", "counter", 60.0,
                   _each("envoy.cluster_name", *SERVICES)),
        Instrument("envoy_cluster_upstream_rq_time", "ms", "summary", 35.0,
                   _each("envoy.cluster_name", "frontend", "image-provider")),
    ),
    "accounting": (Instrument("kafka.consumer.lag", "{message}", "gauge", 14.0, _TOPICS),),
    "fraud-detection": (Instrument("kafka.consumer.records_consumed_total", "{record}", "counter", 18.0, _TOPICS),),
    "kafka": (
        Instrument("kafka.message.count", "{message}", "counter", 30.0, _TOPICS),
        Instrument("kafka.request.time.total", "ms", "counter", 12.0,
                   _each("type", "produce", "fetchconsumer", "fetchfollower")),
        Instrument("kafka.network.io", "By", "counter", 60e3, _each("state", "in", "out")),
    ),
}  # fmt: skip
