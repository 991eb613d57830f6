"""Series of every metric type for tests of aggregations: told in a few words, and stored as a Collector would."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.queries.samples import attributes
from tests.queries.sending import SECOND
from tests.running import Server

GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY = "gauge", "sum", "histogram", "exponential_histogram", "summary"
DELTA, CUMULATIVE = 1, 2
MINUTE = 60 * SECOND


class Point(Struct, kw_only=True):
    """A data point; `value` of gauges and sums, the rest of the others."""

    time: int
    start: int = 0
    flags: int = 0
    value: float | None = None
    count: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bucket_counts: Sequence[int] = ()
    explicit_bounds: Sequence[float] = ()
    scale: int = 0
    zero_count: int = 0
    zero_threshold: float = 0.0
    positive: tuple[int, Sequence[int]] = (0, ())
    negative: tuple[int, Sequence[int]] = (0, ())


class Series(Struct, kw_only=True):
    """The points of one series of the metric `name`."""

    name: str
    service: str
    points: list[Point]
    kind: str = SUM
    temporality: int = CUMULATIVE
    monotonic: bool = True
    unit: str = "ms"
    description: str = ""
    labels: dict[str, Any] = {}
    resource: dict[str, Any] = {}


def counter(service: str, name: str, points: Iterable[tuple[int, float]], start: int = 0, **fields: Any) -> Series:
    """A cumulative sum of (time, value)."""
    made = [Point(time=time, value=value, start=start) for time, value in points]
    return Series(service=service, name=name, points=made, **fields)


def send(server: Server, *series: Series) -> None:
    """Store these series."""
    request = ExportMetricsServiceRequest()
    for one in series:
        place = request.resource_metrics.add()
        place.resource.attributes.extend(attributes({"service.name": one.service} | one.resource))
        metric = place.scope_metrics.add().metrics.add(name=one.name, unit=one.unit, description=one.description)
        data: Any = getattr(metric, one.kind)
        data.SetInParent()
        if one.kind not in (GAUGE, SUMMARY):
            data.aggregation_temporality = one.temporality
        if one.kind == SUM:
            data.is_monotonic = one.monotonic
        for point in one.points:
            _fill(data.data_points.add(attributes=attributes(one.labels)), one.kind, point)
    answer = server.post("metrics", request.SerializeToString())
    assert (answer.status_code, answer.content) == (200, b"")


def _fill(sent: Any, kind: str, point: Point) -> None:
    sent.time_unix_nano, sent.start_time_unix_nano, sent.flags = point.time, point.start, point.flags
    if kind in (GAUGE, SUM):
        if point.value is not None:
            setattr(sent, "as_int" if isinstance(point.value, int) else "as_double", point.value)
        return
    sent.count = point.count
    for name in ("sum",) if kind == SUMMARY else ("sum", "min", "max"):
        if getattr(point, name) is not None:
            setattr(sent, name, getattr(point, name))
    if kind == HISTOGRAM:
        sent.bucket_counts.extend(point.bucket_counts)
        sent.explicit_bounds.extend(point.explicit_bounds)
    if kind == EXPONENTIAL:
        sent.scale, sent.zero_count, sent.zero_threshold = point.scale, point.zero_count, point.zero_threshold
        for side, (offset, counts) in ((sent.positive, point.positive), (sent.negative, point.negative)):
            side.offset = offset
            side.bucket_counts.extend(counts)
