"""What aggregations of series come to, worked out point by point: plain Python that shares nothing with the answers.

The quantiles follow promql/quantile.go of Prometheus 3 line by line.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from tests.queries.metering import DELTA, GAUGE, HISTOGRAM, MINUTE, SUM, Point, Series

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
Lines = dict[tuple[Any, ...], dict[int, float]]


def aggregated(
    series: Sequence[Series], aggregation: str, step: int, start: int, end: int, keys: Sequence[str] = ()
) -> Lines:
    """Value by step and line; a line is the values of `keys`, `service` among them."""
    parts: dict[tuple[Any, ...], list[Series]] = {}
    for one in series:
        labels = one.labels | {"service": one.service}
        if any(start <= point.time < end for point in one.points):
            parts.setdefault(tuple(labels.get(key) for key in keys), []).append(one)
    return {line: _line(found, aggregation, step, start, end) for line, found in parts.items()}


def _line(series: Sequence[Series], aggregation: str, step: int, start: int, end: int) -> dict[int, float]:
    steps: dict[int, list[Any]] = {}
    for one in series:
        for time, value in _values(one, aggregation, step, end):
            if start <= time < end and value is not None:
                steps.setdefault(time - time % step, []).append(value)
    numbers = {begin: _combined(values, aggregation, step) for begin, values in steps.items()}
    return {begin: number for begin, number in numbers.items() if number is not None}


def _values(one: Series, aggregation: str, step: int, end: int) -> Iterator[tuple[int, Any]]:
    points = sorted((p for p in one.points if not p.flags & 1 and p.time < end), key=lambda p: p.time)
    if one.kind in (GAUGE, SUM):
        points = [p for p in points if p.value is not None]
        if aggregation in ("avg", "sum", "min", "max", "count"):
            yield from ((p.time, 1 if aggregation == "count" else p.value) for p in points)
        else:
            yield from _growth(one, points, step, lambda p: p.value)
    elif aggregation in ("min", "max"):
        yield from ((p.time, getattr(p, aggregation)) for p in points)
    elif aggregation in QUANTILES:
        yield from _distributions(one, points, step)
    elif aggregation in ("sum", "avg"):
        points = [p for p in points if p.sum is not None]
        sums = _growth(one, points, step, lambda p: p.sum)
        counts = _growth(one, points, step, lambda p: p.count)
        for (time, total), (_, count) in zip(sums, counts, strict=True):
            yield time, total if aggregation == "sum" or total is None else (total, count)
    else:
        yield from _growth(one, points, step, lambda p: p.count)


def _combined(values: list[Any], aggregation: str, step: int) -> float | None:
    if aggregation in QUANTILES:
        return _quantile(QUANTILES[aggregation], values)
    if isinstance(values[0], tuple):
        count = sum(count for _, count in values)
        return float(sum(total for total, _ in values) / count) if count else None
    functions: dict[str, Callable[[list[Any]], float]] = {
        "avg": lambda found: sum(found) / len(found),
        "min": min,
        "max": max,
        "rate": lambda found: sum(found) / (step / 1e9),
    }
    return float(functions.get(aggregation, sum)(values))


def linked(one: Series, points: Sequence[Point], step: int) -> Iterator[tuple[Point, Point | None, bool]]:
    """Each point, the one that it counts from (None = zero), and whether it counts at all."""
    before = None
    for point in points:
        oldest = point.time - point.time % step - 5 * MINUTE
        started = point.start if point.start < point.time else 0
        level, level_before = (
            (p.value if one.kind == SUM else p.count) if p is not None else None for p in (point, before)
        )
        if one.temporality == DELTA:
            yield point, None, True
        elif before is not None and before.time >= oldest:
            may_reset = one.kind != SUM or one.monotonic
            assert level is not None and level_before is not None
            is_reset = may_reset and (level < level_before or started > before.time)
            yield point, None if is_reset else before, True
        else:
            yield point, None, started >= oldest and started > 0
        before = point


def _growth(
    one: Series, points: Sequence[Point], step: int, amount: Callable[[Point], Any]
) -> Iterator[tuple[int, float | None]]:
    for point, base, counts in linked(one, points, step):
        yield point.time, (amount(point) - (amount(base) if base else 0)) if counts else None


Buckets = dict[tuple[float, float], float]
"""Count by lower and upper bound."""


def _distributions(one: Series, points: Sequence[Point], step: int) -> Iterator[tuple[int, Any]]:
    for point, base, counts in linked(one, points, step):
        if counts:
            yield point.time, (one.kind, point, base)


def _quantile(q: float, found: Sequence[tuple[str, Point, Point | None]]) -> float | None:
    if found[0][0] == HISTOGRAM:
        return classic_quantile(q, *_explicit([(point, base) for _, point, base in found]))
    points = [part for _, point, base in found for part in ((point, 1), (base, -1)) if part[0] is not None]
    return native_quantile(q, points)  # type: ignore[arg-type]


def _explicit(found: Sequence[tuple[Point, Point | None]]) -> tuple[list[float], list[float]]:
    """Bounds of all, and how many values are below each (and in all), where values are spread evenly in a bucket."""
    edges = sorted({float(bound) for point, _ in found for bound in point.explicit_bounds})
    if edges and edges[0] < 0 and any(point.explicit_bounds and point.explicit_bounds[0] > 0 for point, _ in found):
        edges = sorted({0.0, *edges})
    totals: dict[tuple[float, ...], list[float]] = {}
    for point, base in found:
        earlier = base.bucket_counts if base else [0] * len(point.bucket_counts)
        total = totals.setdefault(tuple(point.explicit_bounds), [0.0] * len(earlier))
        for place, (now, then) in enumerate(zip(point.bucket_counts, earlier, strict=True)):
            total[place] += now - then
    below = [0.0] * (len(edges) + 1)
    for bounds, total in totals.items():
        counts = [max(0.0, count) for count in total]
        for place, edge in enumerate(edges):
            below[place] += _below(edge, bounds, counts)
        below[-1] += sum(counts)
    return edges, below


def _below(edge: float, bounds: Sequence[float], counts: Sequence[float]) -> float:
    """How many values are not above `edge`."""
    total = 0.0
    for place, bound in enumerate(bounds):
        low = bounds[place - 1] if place else (0.0 if bound > 0 else -math.inf)
        if bound <= edge or low == -math.inf:
            total += counts[place]
        elif low < edge:
            total += counts[place] * (edge - low) / (bound - low)
    return total


def classic_quantile(q: float, bounds: Sequence[float], below: Sequence[float]) -> float | None:
    """BucketQuantile: `below` are counts up to each bound, and of all."""
    if not bounds or below[-1] == 0:
        return None
    rank = q * below[-1]
    b = next((i for i in range(len(bounds)) if below[i] >= rank), len(bounds))
    if b == len(bounds):
        return bounds[-1]
    if b == 0 and bounds[0] <= 0:
        return bounds[0]
    start, end, count = 0.0, bounds[b], below[b]
    if b > 0:
        start = bounds[b - 1]
        count -= below[b - 1]
        rank -= below[b - 1]
    return start + (end - start) * (rank / count)


def native_quantile(q: float, points: Sequence[tuple[Point, int]]) -> float | None:
    """HistogramQuantile of what these points add (1) or take off (-1), after merging them at the lowest scale."""
    scale = min(point.scale for point, _ in points)
    sides: tuple[dict[int, float], dict[int, float]] = ({}, {})
    zero, threshold = 0.0, max(point.zero_threshold for point, _ in points)
    for point, sign in points:
        zero += sign * point.zero_count
        for side, (offset, counts) in zip(sides, (point.positive, point.negative), strict=True):
            for number, count in enumerate(counts):
                index = (offset + number) // 2 ** (point.scale - scale)
                side[index] = side.get(index, 0) + sign * count
    width = 2.0**-scale
    positive, negative = (
        {(2 ** (i * width), 2 ** ((i + 1) * width)): n for i, n in side.items() if n} for side in sides
    )
    if len({point.zero_threshold for point, _ in points}) > 1:
        zero, threshold = _wider(zero, threshold, positive, negative)
    positive, negative = ({bounds: n for bounds, n in side.items() if n > 0} for side in (positive, negative))
    return _reverse_quantile(q, positive, negative, zero, threshold)


def _wider(zero: float, threshold: float, positive: Buckets, negative: Buckets) -> tuple[float, float]:
    """zeroCountForLargerThreshold, which takes what is in the zero bucket out of the others."""
    while True:
        inside = {bounds for side in (positive, negative) for bounds in side if bounds[0] < threshold}
        larger = max([threshold, *(high for _, high in inside)])
        if larger == threshold:
            break
        threshold = larger
    return zero + sum(side.pop(bounds, 0) for side in (positive, negative) for bounds in inside), threshold


def _reverse_quantile(q: float, positive: Buckets, negative: Buckets, zero: float, threshold: float) -> float | None:
    low, high = -threshold, threshold
    if low < 0 < high and positive and not negative:
        low = 0.0
    if low < 0 < high and negative and not positive:
        high = 0.0
    buckets = [(max(start, threshold), end, count) for (start, end), count in sorted(positive.items(), reverse=True)]
    buckets += [(low, high, zero)] if zero > 0 else []
    buckets += [(-end, -max(start, threshold), count) for (start, end), count in sorted(negative.items())]
    total = sum(count for *_, count in buckets)
    if not total:
        return None
    rank = (1 - q) * total
    place = next(i for i, seen in enumerate(accumulate(count for *_, count in buckets)) if seen >= rank)
    lower, upper, count = buckets[place]
    fraction = (sum(n for *_, n in buckets[: place + 1]) - rank) / count
    if lower <= 0 <= upper:
        return lower + (upper - lower) * fraction
    log_lower, log_upper = math.log2(abs(lower)), math.log2(abs(upper))
    if lower > 0:
        return math.pow(2, log_lower + (log_upper - log_lower) * fraction)
    return -math.pow(2, log_upper + (log_lower - log_upper) * (1 - fraction))
