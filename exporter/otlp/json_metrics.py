"""Data points from their JSON form to records.

Source: opentelemetry-proto `metrics.proto`.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from exporter.otlp import json_wire as wire
from exporter.otlp import records as r
from exporter.otlp.json_fields import check_u64

FIELDS: dict[int, str] = {
    r.GAUGE: "gauge",
    r.SUM: "sum",
    r.HISTOGRAM: "histogram",
    r.EXPONENTIAL_HISTOGRAM: "exponential_histogram",
    r.SUMMARY: "summary",
}
"""The wire field in which each type has its points."""

TEMPORAL = (r.SUM, r.HISTOGRAM, r.EXPONENTIAL_HISTOGRAM)


def _check_times(p: Any) -> None:
    if (p.start_time_unix_nano | p.time_unix_nano) > wire.U64_MAX:
        check_u64("startTimeUnixNano", p.start_time_unix_nano)
        check_u64("timeUnixNano", p.time_unix_nano)


def _number(p: wire.NumberDataPoint) -> r.NumberDataPoint:
    _check_times(p)
    return r.NumberDataPoint(
        p.attributes and list(map(bytes, p.attributes)),
        p.start_time_unix_nano,
        p.time_unix_nano,
        p.flags,
        p.exemplars and list(map(bytes, p.exemplars)),
        p.as_double if p.as_int is None else p.as_int,
    )


def _histogram(p: wire.HistogramDataPoint) -> r.HistogramDataPoint:
    _check_times(p)
    check_u64("count", p.count)
    check_u64("bucketCounts", *p.bucket_counts)
    return r.HistogramDataPoint(
        p.attributes and list(map(bytes, p.attributes)),
        p.start_time_unix_nano,
        p.time_unix_nano,
        p.flags,
        p.exemplars and list(map(bytes, p.exemplars)),
        p.count,
        p.sum,
        p.min,
        p.max,
        p.explicit_bounds,
        p.bucket_counts,
    )


def _exponential(p: wire.ExponentialHistogramDataPoint) -> r.ExponentialHistogramDataPoint:
    _check_times(p)
    check_u64("count", p.count)
    check_u64("zeroCount", p.zero_count)
    return r.ExponentialHistogramDataPoint(
        p.attributes and list(map(bytes, p.attributes)),
        p.start_time_unix_nano,
        p.time_unix_nano,
        p.flags,
        p.exemplars and list(map(bytes, p.exemplars)),
        p.count,
        p.sum,
        p.min,
        p.max,
        p.scale,
        p.zero_count,
        p.zero_threshold,
        _buckets(p.positive),
        _buckets(p.negative),
    )


def _buckets(side: wire.Buckets | None) -> r.Buckets | None:
    if side is None:
        return None
    check_u64("bucketCounts", *side.bucket_counts)
    return r.Buckets(side.offset, side.bucket_counts)


def _summary(p: wire.SummaryDataPoint) -> r.SummaryDataPoint:
    _check_times(p)
    check_u64("count", p.count)
    return r.SummaryDataPoint(
        p.attributes and list(map(bytes, p.attributes)),
        p.start_time_unix_nano,
        p.time_unix_nano,
        p.flags,
        p.count,
        p.sum,
        [q.quantile for q in p.quantile_values],
        [q.value for q in p.quantile_values],
    )


def _kind(
    struct: type[Any], convert: Callable[[Any], r.SentPoint]
) -> tuple[type[Any], "msgspec.json.Decoder[Any]", Callable[[Any], r.SentPoint]]:
    return struct, msgspec.json.Decoder(list[struct], strict=False), convert  # type: ignore[valid-type]


POINTS = {
    r.GAUGE: _kind(wire.NumberDataPoint, _number),
    r.SUM: _kind(wire.NumberDataPoint, _number),
    r.HISTOGRAM: _kind(wire.HistogramDataPoint, _histogram),
    r.EXPONENTIAL_HISTOGRAM: _kind(wire.ExponentialHistogramDataPoint, _exponential),
    r.SUMMARY: _kind(wire.SummaryDataPoint, _summary),
}
"""Per type: the wire struct of its points, a decoder of a list of them, and what makes a record of one or raises
Malformed."""
