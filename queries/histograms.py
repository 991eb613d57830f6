"""Histograms added up over series and points, and their percentiles by the rules that Prometheus publishes.

Counts may be taken off again, as what a cumulative series counted before: what is left below zero counts as none.
Sources: https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile,
https://prometheus.io/docs/specs/native_histograms/#interpolation-within-a-bucket and
https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""

import math
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import add, sub
from typing import NamedTuple

Bounds = tuple[float, ...]

_LOWEST_SCALE = -11
"""From here down every double is in one of two buckets on each side of zero."""


class Explicit:
    """Histograms with explicit bounds, which may differ."""

    def __init__(self) -> None:
        self._counts: dict[Bounds, array[float]] = {}

    def count(self, sign: int, bounds: Bounds, counts: Sequence[int]) -> None:
        """Add a point's buckets (`sign` 1), or take them off (-1)."""
        known = self._counts.get(bounds) or array("d", bytes(8 * len(bounds) + 8))
        # A point without buckets, or with more or fewer than its bounds make, does not say where its values lie.
        if len(counts) == len(known):
            self._counts[bounds] = array("d", map(add if sign > 0 else sub, known, counts))

    def quantile(self, q: float) -> float | None:
        """The value below which the share `q` of the values lies; None where there are none, or no bounds."""
        found = [_settled(bounds, counts) for bounds, counts in self._counts.items()]
        bounds, counts = found[0] if len(found) == 1 else merged(found)
        return explicit_quantile(q, bounds, counts)


def _settled(bounds: Bounds, counts: Sequence[float]) -> tuple[Bounds, list[float]]:
    """Buckets of finite, rising bounds; one whose bound is none of these is part of the next."""
    kept: list[float] = []
    found: list[float] = []
    waiting = 0.0
    for bound, count in zip(bounds, counts, strict=False):
        waiting += max(0.0, count)
        if math.isfinite(bound) and (not kept or bound > kept[-1]):
            kept.append(bound)
            found.append(waiting)
            waiting = 0.0
    return tuple(kept), [*found, waiting + max(0.0, counts[-1])]


def merged(found: Sequence[tuple[Bounds, Sequence[float]]]) -> tuple[Bounds, list[float]]:
    """One histogram over all bounds: what is in a bucket is spread evenly over it, as percentiles assume too.

    What is below the lowest bound, if that is not positive, or above the highest one is so in the whole, too.
    """
    edges = sorted({bound for bounds, _ in found for bound in bounds})
    if edges and edges[0] < 0 and any(bounds and bounds[0] > 0 for bounds, _ in found):
        edges = sorted({0.0, *edges})
    counts = [0.0] * (len(edges) + 1)
    for bounds, own in found:
        counts[-1] += own[-1]
        if bounds and bounds[0] <= 0:
            counts[0] += own[0]
            lows, highs, inside = bounds[:-1], bounds[1:], own[1:-1]
        else:
            lows, highs, inside = (0.0, *bounds[:-1]), bounds, own[:-1]
        for low, high, count in zip(lows, highs, inside, strict=False):
            first = bisect_right(edges, low)
            cuts = [low, *edges[first : bisect_right(edges, high)]]
            for place, (lower, upper) in enumerate(pairwise(cuts), first):
                counts[place] += count * (upper - lower) / (high - low)
    return tuple(edges), counts


def explicit_quantile(q: float, bounds: Bounds, counts: Sequence[float]) -> float | None:
    """The quantile of buckets up to each of `bounds`, and of one more above: linear inside a bucket.

    The lowest bucket begins at 0 if its bound is positive; otherwise its bound is the answer, as the highest bound is
    for what lies above.
    """
    reached = list(accumulate(counts))
    if not bounds or reached[-1] <= 0:
        return None
    rank = q * reached[-1]
    place = next((place for place, count in enumerate(reached[:-1]) if count >= rank), len(bounds))
    if place == len(bounds):
        return bounds[-1]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    low, before = (bounds[place - 1], reached[place - 1]) if place else (0.0, 0.0)
    return low + (bounds[place] - low) * (rank - before) / counts[place]


class Side(NamedTuple):
    """The buckets of an exponential histogram on one side of zero, from the index `offset` on."""

    offset: int
    counts: Sequence[int]


class Exponential:
    """Exponential histograms whose scales and zero buckets may differ: the lowest scale and the widest zero bucket of
    all of them hold the whole."""

    def __init__(self) -> None:
        self._scale: int | None = None
        self._zero = 0
        self._thresholds: set[float] = set()
        self._positive = defaultdict[int, int](int)
        self._negative = defaultdict[int, int](int)

    def count(self, sign: int, scale: int, threshold: float, zero: int, positive: Side, negative: Side) -> None:
        """Add a point's buckets (`sign` 1), or take them off (-1)."""
        scale = max(scale, _LOWEST_SCALE)
        if self._scale is None or scale < self._scale:
            shift = 0 if self._scale is None else self._scale - scale
            self._positive, self._negative = _coarser(self._positive, shift), _coarser(self._negative, shift)
            self._scale = scale
        self._thresholds.add(threshold)
        self._zero += sign * zero
        shift = scale - self._scale
        for known, side in ((self._positive, positive), (self._negative, negative)):
            for index, count in enumerate(side.counts, side.offset):
                if count:
                    known[index >> shift] += sign * count

    def quantile(self, q: float) -> float | None:
        """The value below which the share `q`, 0.5 or more, of the values lies; None where there are none.

        Inside a bucket the logarithm is linear, in the zero bucket the value is. The rank is counted from the highest
        value down, as Prometheus does for such a `q`.
        """
        threshold, zero, above, below = self._settled()
        counts = [*map(self._positive.__getitem__, reversed(above)), zero, *map(self._negative.__getitem__, below)]
        reached = list(accumulate(counts))
        if reached[-1] <= 0:
            return None
        rank = (1 - q) * reached[-1]
        place = bisect_left(reached, rank)
        share = (reached[place] - rank) / counts[place]
        if place < len(above):
            index = above[-1 - place]
            return _between(max(threshold, self._bound(index)), self._bound(index + 1), share)
        if place > len(above):
            index = below[place - len(above) - 1]
            return -_between(max(threshold, self._bound(index)), self._bound(index + 1), 1 - share)
        # It holds no negative values where there are only positive ones besides, and the other way round.
        low, high = -threshold if below or not above else 0.0, threshold if above or not below else 0.0
        return low + (high - low) * share

    def _settled(self) -> tuple[float, int, list[int], list[int]]:
        """The threshold of the zero bucket, what is in it, and the indexes of the buckets outside that have values.

        Where thresholds differ, a zero bucket that would cut another bucket in two is as wide as that one. What was
        taken off buckets inside is taken off the zero bucket, where those values are now.
        """
        threshold, zero = max(self._thresholds, default=0.0), self._zero
        sides = self._positive, self._negative
        if len(self._thresholds) > 1:
            begun = (index for side in sides for index, n in side.items() if n and self._bound(index) < threshold)
            threshold = max([threshold, *(self._bound(index + 1) for index in begun)])
        outside: list[list[int]] = []
        for side in sides:
            indexes = sorted(index for index, n in side.items() if n)
            end = bisect_right(indexes, threshold, key=lambda index: self._bound(index + 1))
            zero += sum(side[index] for index in indexes[:end])
            outside.append([index for index in indexes[end:] if side[index] > 0])
        above, below = outside
        return threshold, max(0, zero), above, below

    def _bound(self, index: int) -> float:
        """The lower bound of the positive bucket of this index."""
        return _power(math.ldexp(index, -(self._scale or 0)))


def _coarser(counts: dict[int, int], shift: int) -> defaultdict[int, int]:
    found = defaultdict[int, int](int)
    for index, count in counts.items():
        found[index >> shift] += count
    return found


def _between(low: float, high: float, share: float) -> float:
    """The value that a share of a bucket's values is below, where their logarithms are spread evenly."""
    return _power(math.log2(low) + (math.log2(high) - math.log2(low)) * share) if low > 0 else high * share


def _power(exponent: float) -> float:
    return 2.0**exponent if exponent < sys.float_info.max_exp else sys.float_info.max
