"""Parsed protobuf messages to the records that both encodings share.

Source: opentelemetry-proto `trace.proto`, `logs.proto`, `metrics.proto`.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any

from exporter.otlp import records as r

_METRIC_TYPES = {
    "gauge": r.GAUGE,
    "sum": r.SUM,
    "histogram": r.HISTOGRAM,
    "exponential_histogram": r.EXPONENTIAL_HISTOGRAM,
    "summary": r.SUMMARY,
}


def same(messages: Any) -> list[Any]:
    """Span and LogRecord messages are records as they are: they have the fields of `records.Span` and `LogRecord`, and
    each field is read once."""
    return messages[:]  # type: ignore[no-any-return]


def metric(message: Any, number_point: Callable[[bytes], r.NumberDataPoint | r.PlainNumberPoint]) -> r.Metric:
    """A Metric message to a record; the points of a gauge or sum are opaque, `number_point` makes records of them."""
    kind = message.WhichOneof("data")
    data: Any = getattr(message, kind) if kind else None
    kind_id = _METRIC_TYPES.get(kind, 0)
    make = _POINTS.get(kind_id, number_point)
    return r.Metric(
        message.name,
        message.description,
        message.unit,
        message.metadata,
        kind_id,
        data.aggregation_temporality if kind_id in _WITH_TEMPORALITY else 0,
        data.is_monotonic if kind_id == r.SUM else False,
        [make(point) for point in data.data_points] if kind_id else [],
    )


def number(message: Any) -> int | float | None:
    """The value of a NumberDataPoint or Exemplar message."""
    kind = message.WhichOneof("value")
    return getattr(message, kind) if kind else None


def number_point(p: Any) -> r.NumberDataPoint:
    """A NumberDataPoint message to a record."""
    return r.NumberDataPoint(p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, p.exemplars, number(p))


_head, _late_head = Struct("<BQBQB").unpack_from, Struct("<BQB").unpack_from
_double, _int = Struct("<d").unpack_from, Struct("<q").unpack_from


def cut_number_point(raw: bytes, blocks: set[bytes]) -> r.PlainNumberPoint | None:
    """A NumberDataPoint written as encoders write most: start, time, a value, then nothing but attributes, each shorter
    than 128 bytes; None where it is otherwise. Of attributes that came before (`blocks`) not one is looked at."""
    size = len(raw)
    if size >= 27 and raw[0] == 17:
        _, start, time_tag, time, value_tag = _head(raw)
        end = 27
    elif size >= 18 and raw[0] == 25:
        # A gauge need not have a start.
        start, (time_tag, time, value_tag), end = 0, _late_head(raw), 18
    else:
        return None
    if time_tag != 25 or (value_tag != 33 and value_tag != 49):
        return None
    block = raw[end:]
    if block not in blocks:
        if not _is_block(block):
            return None
        blocks.add(block)
    (value,) = _double(raw, end - 8) if value_tag == 33 else _int(raw, end - 8)
    return r.PlainNumberPoint(start, time, value, block)


def _is_block(raw: bytes) -> bool:
    """Whether the bytes are nothing but attributes of a number point, each shorter than 128 bytes."""
    end, size = 0, len(raw)
    try:
        while end < size:
            if raw[end] != 58 or raw[end + 1] > 127:
                return False
            end += 2 + raw[end + 1]
    except IndexError:
        return False
    return end == size


def _optional(message: Any, name: str) -> float | None:
    return getattr(message, name) if message.HasField(name) else None


def _histogram_point(p: Any) -> r.HistogramDataPoint:
    return r.HistogramDataPoint(
        p.attributes,
        p.start_time_unix_nano,
        p.time_unix_nano,
        p.flags,
        p.exemplars,
        p.count,
        _optional(p, "sum"),
        _optional(p, "min"),
        _optional(p, "max"),
        p.explicit_bounds,
        p.bucket_counts,
    )


def _buckets(p: Any, name: str) -> r.Buckets | None:
    if not p.HasField(name):
        return None
    side = getattr(p, name)
    return r.Buckets(side.offset, side.bucket_counts)


def _exponential_histogram_point(p: Any) -> r.ExponentialHistogramDataPoint:
    return r.ExponentialHistogramDataPoint(
        p.attributes,
        p.start_time_unix_nano,
        p.time_unix_nano,
        p.flags,
        p.exemplars,
        p.count,
        _optional(p, "sum"),
        _optional(p, "min"),
        _optional(p, "max"),
        p.scale,
        p.zero_count,
        p.zero_threshold,
        _buckets(p, "positive"),
        _buckets(p, "negative"),
    )


def _summary_point(p: Any) -> r.SummaryDataPoint:
    return r.SummaryDataPoint(
        p.attributes,
        p.start_time_unix_nano,
        p.time_unix_nano,
        p.flags,
        p.count,
        p.sum,
        [q.quantile for q in p.quantile_values],
        [q.value for q in p.quantile_values],
    )


_WITH_TEMPORALITY = (r.SUM, r.HISTOGRAM, r.EXPONENTIAL_HISTOGRAM)
_POINTS: dict[int, Callable[[Any], r.SentPoint]] = {
    r.HISTOGRAM: _histogram_point,
    r.EXPONENTIAL_HISTOGRAM: _exponential_histogram_point,
    r.SUMMARY: _summary_point,
}
