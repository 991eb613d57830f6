"""Curves: what of a series is drawn, and what a line of block characters shows of it."""

import math
from typing import Any

import pytest
from msgspec import Struct

from queries import answers
from queries.text_curves import COUNT, INCREASE, MEAN, VALUE, Bound, curve, sparkline, step
from tests.queries.shapes import T0, line, make, numbers

CUMULATIVE: dict[str, Any] = {"aggregation_temporality": "cumulative"}
DELTA: dict[str, Any] = {"aggregation_temporality": "delta"}


def exponential(count: int, zero: int, positive: list[int], **given: Any) -> answers.ExponentialPoint:
    """A point of scale 0: the positive buckets end at 2, 4, 8 ..."""
    sides = answers.Buckets(0, positive), given.pop("negative", None)
    buckets = answers.ExponentialBuckets(given.pop("scale", 0), zero, 0.0, *sides)
    return make(answers.ExponentialPoint, count=count, buckets=buckets, **({"sum": 1.0} | given))


def test_a_gauge_is_its_values() -> None:
    found = curve(line(numbers(1, "NaN", None, "-Infinity")))
    assert (found.what, [value for _, value in found.places]) == (VALUE, [1.0, None, None, -math.inf])


def test_a_counter_is_its_increase_and_a_reset_counts_from_zero() -> None:
    points = numbers(10, 12, None, 20, 5, "NaN", 6)
    found = curve(line(points, is_monotonic=True, **CUMULATIVE))
    assert (found.what, [value for _, value in found.places]) == (INCREASE, [2.0, None, None, 5.0, None, None])
    assert curve(line(points, is_monotonic=True, **DELTA)).numbers() == [10, 12, 20, 5, 6]
    assert curve(line(points, is_monotonic=False, **CUMULATIVE)).what == VALUE


def test_points_of_an_aggregation_are_taken_as_they_are() -> None:
    class Step(Struct):
        time_unix_nano: int
        value: answers.Number

    found = curve(line([Step(2, 1.5), Step(1, 3)], is_monotonic=True, **CUMULATIVE))
    assert found.places == [(1, 3.0), (2, 1.5)]


def test_a_distribution_is_the_mean_of_what_came_in() -> None:
    points = [
        exponential(c, 0, [], sum=s, time_unix_nano=t)
        for t, c, s in ((1, 2, 4.0), (2, 4, 10.0), (3, 4, 10.0), (4, 1, 9.0))
    ]
    assert curve(line(points, **CUMULATIVE)).places == [(2, 3.0), (3, None), (4, 9.0)]
    assert curve(line(points, **DELTA)).places == [(1, 2.0), (2, 2.5), (3, 2.5), (4, 9.0)]
    assert curve(line(points[:1], **CUMULATIVE)).places == [(1, 2.0)]


def test_a_distribution_without_a_sum_is_its_count() -> None:
    points = [exponential(5, 0, [], sum=None, time_unix_nano=1), exponential(7, 0, [], sum=None, time_unix_nano=2)]
    assert (curve(line(points, **CUMULATIVE)).what, curve(line(points, **CUMULATIVE)).places) == (COUNT, [(2, 2.0)])
    assert curve(line([*points[:1], exponential(1, 0, [], time_unix_nano=3)], **DELTA)).what == MEAN


def test_quantiles_are_of_what_came_in_last() -> None:
    points = [exponential(4, 0, [4, 0, 0], time_unix_nano=1), exponential(14, 0, [4, 5, 5], time_unix_nano=2)]
    found = curve(line(points, **CUMULATIVE))
    assert (found.p50, found.p95) == (Bound("≤", 4.0), Bound("≤", 8.0))
    reset = [points[1], exponential(4, 0, [4, 0, 0], time_unix_nano=3)]
    assert curve(line(reset, **CUMULATIVE)).p95 == Bound("≤", 2.0)
    assert curve(line([exponential(0, 0, [])], **DELTA)).p50 is None


def test_buckets_below_zero_of_any_scale() -> None:
    negative = exponential(9, 2, [1], negative=answers.Buckets(0, [1, 5]))
    assert (curve(line([negative], **DELTA)).p50, curve(line([negative], **DELTA)).p95) == (
        Bound("≤", -2.0),
        Bound("≤", 2.0),
    )
    assert curve(line([exponential(1, 0, [1], scale=-11)], **DELTA)).p50 == Bound(">", 0.0)
    assert curve(line([exponential(1, 0, [1], scale=20)], **DELTA)).p50 == Bound("≤", 2 ** (2**-20))
    assert curve(line([exponential(1, 0, [1], scale=2000)], **DELTA)).p50 == Bound("≤", 1.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], "        "),
        ([1], "▄       "),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([1, 2], "▁▁▁▁████"),
        ([5, 5, 5, 5], "▄▄▄▄▄▄▄▄"),
        ([1, None, 2, 3], "▁▁  ▅▅██"),
        ([1, math.inf, -math.inf, 2], "▁▁██▁▁██"),
        ([-1.7e308, 1.7e308], "▁▁▁▁████"),
        ([0, 5e-324], "▄▄▄▄▄▄▄▄"),
        ([*range(16)], "▁▂▃▄▅▆▇█"),
        ([0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "█▁▁▁▁▁▁▁"),
    ],
)
def test_sparklines(values: list[float | None], expected: str) -> None:
    places = [(T0 + n * 100, value) for n, value in enumerate(values)]
    assert sparkline(places, T0, T0 + 100 * max(1, len(values)), 8) == expected


def test_a_gap_in_time_is_a_gap_and_jitter_is_none() -> None:
    assert sparkline([(0, 1.0), (10, 2.0), (50, 3.0), (60, 4.0)], 0, 70, 14) == "▁▁▃▃      ▆▆██"
    assert sparkline([(0, 1.0), (14, 1.0), (20, 1.0), (32, 1.0)], 0, 40, 8) == "▄▄▄▄▄▄▄▄"


def test_the_usual_step() -> None:
    assert step([[(0, 1.0), (10, None), (20, 1.0), (500, 1.0)], [(7, 1.0)], []]) == 10
    assert step([[(0, 1.0)]]) == 0
