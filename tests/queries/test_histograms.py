"""Percentiles of histograms: worked by hand from Prometheus' rules, and merged ones against an oracle."""

import math
import sys
from random import Random

import pytest

from queries.histograms import Explicit, Exponential, Side, explicit_quantile, merged
from tests.queries import expected, random_metrics
from tests.queries.metering import EXPONENTIAL, Point

NONE = Side(0, ())


@pytest.mark.parametrize(
    ("q", "bounds", "counts", "value"),
    [
        # The lowest bucket begins at 0: rank 5 of 10 in (0, 4].
        (0.5, (4.0, 8.0), [10, 0, 0], 2.0),
        (0.9, (4.0, 8.0), [10, 0, 0], 3.6),
        (0.5, (4.0, 8.0), [4, 4, 0], 4.0),
        (0.75, (4.0, 8.0), [4, 4, 0], 6.0),
        # What lies above the highest bound is said to be there.
        (0.99, (4.0, 8.0), [4, 4, 2], 8.0),
        (0.5, (4.0, 8.0), [0, 0, 1], 8.0),
        # A lowest bucket that has no lower bound is its upper one.
        (0.5, (-3.0, 8.0), [5, 1, 0], -3.0),
        (0.5, (0.0, 8.0), [5, 1, 0], 0.0),
        (0.9, (0.0, 10.0), [5, 5, 0], 8.0),
        (0.5, (1.0, 2.0, 3.0), [0, 0, 2, 0], 2.5),
        (0.5, (), [5], None),
        (0.5, (1.0,), [0, 0], None),
    ],
)
def test_explicit(q: float, bounds: tuple[float, ...], counts: list[float], value: float | None) -> None:
    assert explicit_quantile(q, bounds, counts) == (None if value is None else pytest.approx(value))


def explicit(*points: tuple[int, tuple[float, ...], list[int]]) -> Explicit:
    """What such points add up to."""
    made = Explicit()
    for point in points:
        made.count(*point)
    return made


def test_buckets_are_added_and_taken_off() -> None:
    bounds = (1.0, 2.0)
    assert explicit((1, bounds, [9, 5, 0]), (-1, bounds, [9, 1, 0])).quantile(0.5) == 1.5
    # Nothing is left, or less than nothing.
    assert explicit((1, bounds, [1, 1, 1]), (-1, bounds, [1, 1, 1])).quantile(0.5) is None
    assert explicit((1, bounds, [0, 2, 0]), (-1, bounds, [7, 0, 0])).quantile(0.5) == 1.5
    assert explicit().quantile(0.5) is None


def test_points_that_do_not_say_where_their_values_lie() -> None:
    assert explicit((1, (1.0, 2.0), []), (1, (1.0, 2.0), [1, 2])).quantile(0.5) is None
    assert explicit((1, (), [7])).quantile(0.5) is None
    # Bounds of which only some bound anything: -Inf, a lower one after a higher one, NaN, +Inf.
    odd = (-math.inf, 2.0, 1.0, math.nan, 4.0, math.inf)
    assert explicit((1, odd, [1, 1, 1, 1, 4, 0, 0])).quantile(0.5) == pytest.approx(2 + 2 * 2 / 6)


def test_other_bounds_are_spread_evenly() -> None:
    assert merged([((10.0,), [10, 0]), ((5.0, 20.0), [1, 15, 2])]) == ((5.0, 10.0, 20.0), [6, 10, 10, 2])
    # What has no bound on one side has none in the whole.
    assert merged([((0.0, 4.0), [3, 4, 5]), ((-2.0, 2.0), [7, 4, 1])]) == ((-2.0, 0.0, 2.0, 4.0), [10, 2, 4, 2, 6])
    # Zero is where the lowest bucket begins, also where others reach below it.
    assert merged([((4.0,), [4, 0]), ((-4.0, 4.0), [0, 8, 0])]) == ((-4.0, 0.0, 4.0), [0, 4, 8, 0])
    assert merged([((), [3]), ((1.0,), [1, 0])]) == ((1.0,), [1, 3])
    assert merged([]) == ((), [0])


def exponential(*points: tuple[int, float, int, Side, Side], sign: int = 1) -> Exponential:
    """What points of (scale, zero threshold, zero count, positive, negative) add up to."""
    made = Exponential()
    for point in points:
        made.count(sign, *point)
    return made


@pytest.mark.parametrize(
    ("q", "point", "value"),
    [
        # Scale 0: (1, 2] and (2, 4]. In a bucket the logarithm is linear.
        (0.5, (0, 0.0, 0, Side(0, [4]), NONE), 2**0.5),
        (0.75, (0, 0.0, 0, Side(0, [1, 1]), NONE), 2**1.5),
        (0.5, (0, 0.0, 0, Side(0, [1, 1]), NONE), 2),
        # As Prometheus counts from the highest value down, the middle of a gap is its upper end.
        (0.5, (0, 0.0, 0, Side(0, [5, 0, 0, 5]), NONE), 8),
        (0.5, (1, 0.0, 0, Side(-3, [8]), NONE), 2**-1.25),
        (0.5, (-1, 0.0, 0, Side(0, [8]), NONE), 2),
        # Negative values: the lowest are the largest in size.
        (0.5, (0, 0.0, 0, NONE, Side(0, [4])), -(2**0.5)),
        (0.75, (0, 0.0, 0, NONE, Side(0, [1, 1])), -(2**0.5)),
        (0.9, (0, 0.0, 0, Side(0, [1]), Side(0, [9])), 1),
        (0.8, (0, 0.0, 0, Side(0, [1]), Side(0, [9])), -(2 ** (1 / 9))),
        # The zero bucket: linear, and without negative values where all others are positive.
        (0.5, (0, 0.0, 7, Side(0, [1]), NONE), 0),
        (0.5, (0, 0.5, 8, Side(0, [2]), NONE), 0.3125),
        (0.5, (0, 0.5, 8, NONE, Side(0, [2])), -0.3125),
        (0.5, (0, 0.5, 4, NONE, NONE), 0),
        (0.75, (0, 0.5, 4, NONE, NONE), 0.25),
        # A bucket that overlaps the zero bucket begins where that ends: (1.5, 2].
        (0.5, (0, 1.5, 0, Side(0, [2]), NONE), (1.5 * 2) ** 0.5),
        (0.5, (0, 0.0, 0, NONE, NONE), None),
        (0.99, (-20, 0.0, 0, Side(0, [1]), NONE), 2 ** (1024 * 0.99)),
        (0.5, (0, 0.0, 0, Side(5000, [1]), NONE), sys.float_info.max),
        (0.5, (0, 0.0, 0, Side(-5000, [1]), NONE), 0),
        (0.5, (20, 0.0, 0, Side(0, [1]), NONE), pytest.approx(1, rel=1e-6)),
    ],
)
def test_exponential(q: float, point: tuple[int, float, int, Side, Side], value: float | None) -> None:
    assert exponential(point).quantile(q) == (None if value is None else pytest.approx(value))


def test_the_lowest_scale_holds_all() -> None:
    # (1, 1.41], (1.41, 2] of scale 1 are (1, 2] of scale 0; index -1 is (0.5, 1].
    mixed = exponential((1, 0.0, 0, Side(-1, [2, 1, 1]), NONE), (0, 0.0, 0, Side(0, [2]), NONE))
    same = exponential((0, 0.0, 0, Side(-1, [2, 4]), NONE))
    assert [mixed.quantile(q) for q in (0.5, 0.9)] == [same.quantile(q) for q in (0.5, 0.9)]


def test_the_widest_zero_bucket_holds_all() -> None:
    # 1.5 cuts (1, 2] in two: the zero bucket reaches to 2, and holds the 3 values of it.
    wider = exponential((0, 0.0, 1, Side(0, [3, 4]), NONE), (0, 1.5, 2, Side(1, [2]), NONE))
    same = exponential((0, 2.0, 6, Side(1, [6]), NONE))
    assert [wider.quantile(q) for q in (0.5, 0.9)] == [same.quantile(q) for q in (0.5, 0.9)]
    # One that wides between two points: its values are no new ones.
    grown = exponential((0, 1.5, 5, Side(1, [4]), NONE))
    grown.count(-1, 0, 0.0, 1, Side(0, [3, 1]), NONE)
    assert grown.quantile(0.5) == exponential((0, 2.0, 1, Side(1, [3]), NONE)).quantile(0.5)


@pytest.mark.parametrize("seed", range(150))
def test_any_mixture(seed: int) -> None:
    random = Random(seed)
    points: list[tuple[Point, int]] = []
    made = Exponential()
    for _ in range(random.randint(1, 5)):
        seen = [random.choice((-1, 1, 1)) * math.exp(random.gauss(1, 2)) for _ in range(random.randint(0, 9))]
        scale, threshold = random.randint(-2, 4), random.choice((0.0, 0.0, 0.25, 0.3, 1.0))
        point = random_metrics.distribution(EXPONENTIAL, 0, seen, [], scale, threshold)
        sides = Side(*point.positive), Side(*point.negative)
        made.count(1, scale, threshold, point.zero_count, *sides)
        points.append((point, 1))
    for q in (0.5, 0.9, 0.95, 0.99):
        wanted = expected.native_quantile(q, points)
        assert made.quantile(q) == (None if wanted is None else pytest.approx(wanted, rel=1e-9, abs=1e-12))
