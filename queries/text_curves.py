"""What of a series' data points is worth looking at, as a curve over time, and curves as lines of block characters.

A counter is drawn as its increase from point to point, and histograms and summaries as the mean of what came in from
point to point: their own values only grow. https://opentelemetry.io/docs/specs/otel/metrics/data-model/#resets-and-gaps
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median_low
from typing import Any, NamedTuple

from queries.answers import Buckets, ExponentialBuckets
from queries.text_values import real

VALUE, INCREASE, MEAN, COUNT = "value", "increase", "mean", "count"
_LEVELS = "▁▂▃▄▅▆▇█"
_LEVEL_OF_ALL = "▄"
Place = tuple[int, float | None]
"""A time in unix nanoseconds, and the number there; None = none."""


class Bound(NamedTuple):
    """A quantile: it is `relation` ("", ≤ or >) `value`."""

    relation: str
    value: float


class Curve(NamedTuple):
    """What is drawn of a series (VALUE, INCREASE, MEAN or COUNT), oldest first; p50 and p95 of what came in last."""

    what: str
    places: list[Place]
    p50: Bound | None = None
    p95: Bound | None = None

    def numbers(self) -> list[float]:
        """The numbers that there are."""
        return [value for _, value in self.places if value is not None]


def curve(series: Any) -> Curve:
    """The curve of a series; it has `data_points`, which have `value`, or `count` and `sum`."""
    points = sorted(series.data_points, key=lambda point: point.time_unix_nano)
    is_cumulative = getattr(series, "aggregation_temporality", None) == "cumulative"
    if not points or not hasattr(points[0], "value"):
        return _distribution(points, is_cumulative or getattr(series, "metric_type", None) == "summary")
    places = [(point.time_unix_nano, real(point.value)) for point in points]
    # A point of an aggregation has no start: what it holds is computed already.
    if not getattr(series, "is_monotonic", None) or not hasattr(points[0], "start_time_unix_nano"):
        return Curve(VALUE, places)
    if not is_cumulative:
        return Curve(INCREASE, places)
    if len(points) == 1:
        return Curve(VALUE, places)
    return Curve(INCREASE, [(now, _increase(before, value)) for (_, before), (now, value) in pairwise(places)])


def _increase(before: float | None, now: float | None) -> float | None:
    if before is None or now is None:
        return None
    return real(now - before) if now >= before else now


def _distribution(points: Sequence[Any], is_cumulative: bool) -> Curve:
    befores = [None, *points[:-1]] if is_cumulative else [None] * len(points)
    arrived = [_arrived(before, point) for before, point in zip(befores, points, strict=True)]
    if is_cumulative:
        arrived = arrived[1:] or arrived
    p50, p95 = _quantiles(points[-1], befores[-1]) if points else (None, None)
    if any(total is not None for _, _, total in arrived):
        return Curve(MEAN, [(moment, _mean(count, total)) for moment, count, total in arrived], p50, p95)
    return Curve(COUNT, [(moment, real(count)) for moment, count, _ in arrived], p50, p95)


def _arrived(before: Any | None, point: Any) -> tuple[int, int, float | None]:
    """Time, count and sum of what a point counts beyond the one before it; all that it counts after a reset."""
    moment, count, total = point.time_unix_nano, point.count, real(point.sum)
    if before is None or count < before.count:
        return moment, count, total
    earlier = real(before.sum)
    return moment, count - before.count, None if total is None or earlier is None else total - earlier


def _mean(count: int, total: float | None) -> float | None:
    return real(total / amount) if total is not None and (amount := real(count)) else None


def _quantiles(point: Any, before: Any | None) -> tuple[Bound | None, Bound | None]:
    if hasattr(point, "quantiles"):
        known = {real(item.quantile): real(item.value) for item in point.quantiles}
        p50, p95 = (None if known.get(q) is None else Bound("", known[q] or 0.0) for q in (0.5, 0.95))
        return p50, p95
    counts, earlier = _buckets(point), _buckets(before) if before else {}
    if earlier.keys() <= counts.keys() and all(counts[bound] >= count for bound, count in earlier.items()):
        counts = {bound: count - earlier.get(bound, 0) for bound, count in counts.items()}
    return _bound(counts, 50), _bound(counts, 95)


def _buckets(point: Any) -> dict[float, int]:
    """Counts by upper bound of the buckets of any histogram; the last bound may be infinite."""
    found, counts = point.buckets, dict[float, int]()

    def add(bound: float | None, count: int | None) -> None:
        key = math.inf if bound is None else bound
        counts[key] = counts.get(key, 0) + (count or 0)

    if not isinstance(found, ExponentialBuckets):
        for bucket in found:
            add(real(bucket.upper_bound), bucket.count)
        return counts
    for index, count in _indexed(found.negative):
        add(-_power(index, found.scale), count)
    add(real(found.zero_threshold) or 0.0, found.zero_count)
    for index, count in _indexed(found.positive):
        add(_power(index + 1, found.scale), count)
    return counts


def _indexed(buckets: Buckets | None) -> Iterator[tuple[int, int]]:
    return iter(()) if buckets is None else enumerate(buckets.bucket_counts, buckets.offset)


def _power(index: int, scale: int) -> float:
    """base^index, where base = 2^(2^-scale)."""
    try:
        return math.pow(2.0, math.ldexp(index, -scale))
    except OverflowError:
        return math.inf if index > 0 else 0.0


def _bound(counts: dict[float, int], percent: int) -> Bound | None:
    """The bound of the bucket in which the quantile lies."""
    total, below = sum(counts.values()), 0
    bounds = sorted(counts)
    for place, bound in enumerate(bounds):
        below += counts[bound]
        if total and below * 100 >= total * percent:
            if math.isfinite(bound):
                return Bound("≤", bound)
            return Bound(">", bounds[place - 1]) if place else None
    return None


def sparkline(places: Sequence[Place], start: int, end: int, width: int) -> str:
    """A curve from start to end in `width` characters; each point lasts to the next one, unless that is long after it.

    Where several points fall into a column the highest counts; where there is none is a blank.
    """
    length = max(1, end - start)
    usual = step([places])
    columns: list[float | None] = [None] * width
    for (moment, value), (after, _) in pairwise([*places, (end + usual, None)]):
        reach = after if 2 * (after - moment) <= 3 * usual else moment + usual
        first = min(width - 1, (moment - start) * width // length)
        for column in range(first, max(first + 1, min(width, (reach - start) * width // length))):
            known = columns[column]
            columns[column] = value if known is None or (value is not None and value > known) else known
    numbers = [value for value in columns if value is not None and math.isfinite(value)]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    return "".join(" " if value is None else _level(value, low, high) for value in columns)


def step(curves: Sequence[Sequence[Place]]) -> int:
    """The usual time from one point to the next, in nanoseconds; 0 where no curve has two."""
    steps = [after - before for places in curves for (before, _), (after, _) in pairwise(places)]
    return median_low(steps) if steps else 0


def _level(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return _LEVELS[-1 if value > 0 else 0]
    # Halves, as the difference of two numbers may be too large for one.
    spread = high / 2 - low / 2
    return _LEVELS[int((value / 2 - low / 2) / spread * (len(_LEVELS) - 1) + 0.5)] if spread else _LEVEL_OF_ALL
