"""Random series of every metric type: both temporalities, resets, gaps, missing values and starts, changing scales."""

import math
from collections.abc import Iterator, Sequence
from random import Random

from tests.queries.metering import (
    CUMULATIVE,
    DELTA,
    EXPONENTIAL,
    GAUGE,
    HISTOGRAM,
    MINUTE,
    SUM,
    SUMMARY,
    Point,
    Series,
)
from tests.queries.sending import SECOND

BOUNDS = ([0.0, 5.0, 10.0, 25.0], [-2.0, 0.5, 1.0, 4.0, 30.0], [1.0], [2.0, 3.0, 5.0, 8.0, 13.0])
ROUTES = ("/a", "/b", None)


def series(random: Random, service: str, kind: str, base: int) -> list[Series]:
    """Some series of one metric, which is named after its type, from ten minutes before `base` to forty after."""
    found = []
    for number in range(random.randint(3, 8)):
        route = random.choice(ROUTES)
        labels = {"n": number} if route is None else {"n": number, "route": route}
        temporality = random.choice((DELTA, CUMULATIVE)) if kind not in (GAUGE, SUMMARY) else 0
        one = Series(
            name=f"{service}.{kind}",
            service=f"{service}-{random.randint(0, 1)}",
            kind=kind,
            temporality=temporality,
            monotonic=kind == SUM and (random.random() < 0.7),
            labels=labels,
            points=[],
        )
        one.points = list(_points(random, one, base))
        found.append(one)
    return found


def _times(random: Random, base: int) -> Iterator[int]:
    interval = random.choice((7, 20, 60, 100)) * SECOND
    time = base - 10 * MINUTE + random.randrange(MINUTE)
    while time < base + 40 * MINUTE:
        yield time
        time += interval if random.random() < 0.8 else random.randrange(1, 2 * interval)
        if random.random() < 0.03:
            time += random.randrange(10) * MINUTE
        if random.random() < 0.1:
            time -= time % MINUTE - MINUTE


def _points(random: Random, one: Series, base: int) -> Iterator[Point]:
    knows_start = random.choice(("yes", "no", "as its time"))
    bounds = random.choice(BOUNDS)
    start = last = base - 10 * MINUTE - random.randrange(10 * MINUTE)
    value, seen = float(random.randrange(100)), list[float]()
    scale, threshold = random.randint(0, 4), random.choice((0.0, 0.0, 0.25, 1.0))
    for time in _times(random, base):
        if random.random() < 0.06:
            value, seen, start = 0.0, [], last + random.randrange(1, time - last + 1)
            if random.random() < 0.3:
                start = time
        if one.temporality == DELTA:
            value, seen, start = 0.0, [], last
        value += random.choice((0, 1, 2.5, 40)) * (1 if one.monotonic or random.random() < 0.6 else -1)
        seen = [*seen, *(random.choice((-1, 1, 1)) * math.exp(random.gauss(1, 2)) for _ in range(random.randint(0, 9)))]
        if random.random() < 0.05:
            scale, threshold = max(-2, scale - 1), random.choice((threshold, 2 * threshold + 0.1))
        point = distribution(one.kind, time, seen, bounds, scale, threshold)
        point.start = {"yes": start, "no": 0, "as its time": time}[knows_start]
        point.flags = int(random.random() < 0.03)
        if one.kind in (GAUGE, SUM):
            point.value = random.choice((None, int(value), value, value, value))
        last = time
        yield point


def distribution(
    kind: str, time: int, seen: Sequence[float], bounds: Sequence[float], scale: int, threshold: float
) -> Point:
    point = Point(time=time, count=len(seen), sum=math.fsum(seen), explicit_bounds=bounds)
    if kind == HISTOGRAM:
        places = [sum(value > bound for bound in bounds) for value in seen]
        point.bucket_counts = [places.count(place) for place in range(len(bounds) + 1)]
    if kind == EXPONENTIAL:
        point.scale, point.zero_threshold = scale, threshold
        point.zero_count = sum(abs(value) <= threshold for value in seen)
        point.positive = _side([value for value in seen if value > threshold], scale)
        point.negative = _side([-value for value in seen if value < -threshold], scale)
    if kind != SUMMARY and seen:
        point.min, point.max = min(seen), max(seen)
    return point


def _side(values: Sequence[float], scale: int) -> tuple[int, Sequence[int]]:
    places = [math.ceil(math.log2(value) * 2.0**scale) - 1 for value in values]
    if not places:
        return 0, ()
    return min(places), [places.count(place) for place in range(min(places), max(places) + 1)]
