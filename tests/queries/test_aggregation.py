"""Aggregations: cases worked by hand from the published rules, and random series against an independent oracle."""

import time
from collections.abc import Sequence
from random import Random
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from tests.queries import expected, random_metrics
from tests.queries.metering import (
    DELTA,
    EXPONENTIAL,
    GAUGE,
    HISTOGRAM,
    MINUTE,
    SUM,
    SUMMARY,
    Point,
    Series,
    counter,
    send,
)
from tests.queries.sending import HOUR, get
from tests.running import Server

BASE = time.time_ns() // HOUR * HOUR - 2 * HOUR
"""A time of which every step here is a part."""
NUMBERS = ("avg", "sum", "min", "max", "count")
AGGREGATIONS = {
    GAUGE: NUMBERS,
    SUM: (*NUMBERS, "rate", "increase"),
    HISTOGRAM: (*NUMBERS, "rate", "increase", *expected.QUANTILES),
    EXPONENTIAL: (*NUMBERS, "rate", "increase", *expected.QUANTILES),
    SUMMARY: ("avg", "sum", "count", "rate", "increase"),
}


def at(minutes: float) -> int:
    """So many minutes after BASE."""
    return BASE + int(minutes * MINUTE)


def asked(server: Server, name: str, aggregation: str, step: str = "1m", **parameters: Any) -> list[Any]:
    """The lines of an aggregation, of the hour after BASE unless told."""
    window = {"start_time": str(BASE), "end_time": str(at(60))}
    given = window | {"name": name, "aggregation": aggregation, "step": step} | parameters
    found: list[Any] = get(server, "/api/metrics/series", **given)["series"]
    return found


def values(server: Server, name: str, aggregation: str, step: str = "1m", **parameters: Any) -> dict[float, Any]:
    """The only line of an aggregation: value by the minute after BASE at which its step begins."""
    (line,) = asked(server, name, aggregation, step, **parameters)
    times = [point["time_unix_nano"] for point in line["data_points"]]
    assert times == sorted(times, reverse=True)
    return {(point["time_unix_nano"] - BASE) / MINUTE: point["value"] for point in line["data_points"]}


def cut(random: Random, series: Sequence[Series]) -> list[list[Series]]:
    """The points of series in several requests and in no order, as they arrive where some are late."""
    requests: list[list[Series]] = [[], [], []]
    for one in series:
        points = random.sample(one.points, len(one.points))
        for number, request in enumerate(requests):
            request.append(replace(one, points=points[number::3]))
    return requests


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_random_series(shared: Server, service: str, kind: str, seed: int) -> None:
    random = Random(f"{kind} {seed}")
    series = random_metrics.series(random, service, kind, BASE)
    for request in cut(random, series):
        send(shared, *request)
    start, end = at(0) + random.randrange(MINUTE), at(30) + random.randrange(MINUTE)
    for aggregation in AGGREGATIONS[kind]:
        minutes = random.choice((0.5, 1, 2, 7, 60))
        keys = random.choice(([], ["route"], ["service"], ["route", "service"]))
        step = int(minutes * MINUTE)
        window = {"start_time": str(start), "end_time": str(end)}
        lines = asked(shared, f"{service}.{kind}", aggregation, f"{step}", group_by=keys, **window)
        found = {
            tuple(line["attributes"][key] for key in keys): {
                p["time_unix_nano"]: p["value"] for p in line["data_points"]
            }
            for line in lines
        }
        wanted = expected.aggregated(series, aggregation, step, start, end, keys)
        told = (aggregation, step, keys)
        assert found.keys() == wanted.keys(), told
        for key, points in wanted.items():
            assert found[key] == pytest.approx(points, rel=1e-9, abs=1e-9), (*told, key)


def test_numbers_of_a_step(shared: Server, service: str) -> None:
    points = [(at(0), 4), (at(0.5), 1.5), (at(1) - 1, 6), (at(1), 10), (at(3), -2)]
    made = [Point(time=when, value=value) for when, value in points]
    send(shared, Series(name=service, service=service, kind=GAUGE, points=made))
    found = {kind: values(shared, service, kind) for kind in NUMBERS}
    assert found["sum"] == {0: 11.5, 1: 10, 3: -2}
    assert found["avg"] == {0: pytest.approx(11.5 / 3), 1: 10, 3: -2}
    assert found["count"] == {0: 3, 1: 1, 3: 1}
    assert found["min"] == {0: 1.5, 1: 10, 3: -2}
    assert found["max"] == {0: 6, 1: 10, 3: -2}
    assert values(shared, service, "sum", end_time=str(at(1))) == {0: 11.5}
    assert values(shared, service, "sum", "5m", start_time=str(at(0.5)), end_time=str(at(1) + 1)) == {0: 17.5}


def test_an_increase_adds_up_to_the_whole(shared: Server, service: str) -> None:
    send(shared, counter(service, service, [(at(number / 3), 10 * number) for number in range(-3, 60)]))
    by_minute = values(shared, service, "increase")
    assert by_minute[0] == 30 and sum(by_minute.values()) == 590 - -10
    assert values(shared, service, "increase", "1h") == {0: 600}
    assert set(values(shared, service, "rate").values()) == {0.5}
    # A window that begins inside a step counts from the point before, and loses nothing.
    inside = values(shared, service, "increase", start_time=str(at(0.5)))
    assert inside[0] == 10 and sum(inside.values()) == 590 - 10


@pytest.mark.parametrize(
    ("points", "increase"),
    [
        # 5 + (9 - 5) + 2 + (6 - 2), as Prometheus corrects for resets inside a range.
        ([(-1, 0), (0.1, 5), (0.3, 9), (0.5, 2), (0.7, 6)], {0: 15}),
        ([(-1, 7), (0.5, 7), (1.5, 3), (2.5, 3)], {0: 0, 1: 3, 2: 0}),
        ([(0, 8), (1, 8), (2, 1), (3, 9), (4, 8)], {1: 0, 2: 1, 3: 8, 4: 8}),
        # What climbs past all it had been before, too: 1 - 0, then 4 of its own, then 5.
        ([(0, 0), (0.2, 1), (0.4, 4), (0.6, 4), (0.8, 9)], {0: 9}),
        ([(0, 0), (0.2, 8), (0.4, 3), (0.6, 12)], {0: 20}),
    ],
)
def test_resets_by_value(
    shared: Server, service: str, points: list[tuple[float, float]], increase: dict[float, float]
) -> None:
    send(shared, counter(service, service, [(at(when), value) for when, value in points]))
    assert values(shared, service, "increase") == increase


def test_resets_by_start_time(shared: Server, service: str) -> None:
    points = [
        Point(time=at(0.5), value=10, start=at(-30)),
        Point(time=at(1.5), value=12, start=at(-30)),
        Point(time=at(2.5), value=15, start=at(1.5) + 1),
        Point(time=at(3.5), value=16, start=at(2.5)),
    ]
    send(shared, Series(name=service, service=service, points=points))
    assert values(shared, service, "increase") == {1: 2, 2: 15, 3: 1}


def test_a_first_point(shared: Server, service: str) -> None:
    def first(start: int, **fields: Any) -> dict[float, Any]:
        name = f"{service}.{start}.{len(fields)}"
        points = [Point(time=at(10.5), value=7, start=start), Point(time=at(11.5), value=9, start=start)]
        send(shared, Series(name=name, service=service, points=points, **fields))
        return values(shared, name, "increase")

    assert first(0) == first(at(4)) == first(at(5) - 1) == {11: 2}
    assert first(at(5)) == first(at(10.5) - 1) == {10: 7, 11: 2}
    # OpenTelemetry: nothing is known of what was before a point whose start is its own time.
    assert first(at(10.5)) == {11: 2}
    assert first(at(9), monotonic=False) == {10: 7, 11: 2}


def test_a_point_before_may_be_five_minutes_older_than_the_step(shared: Server, service: str) -> None:
    send(shared, counter(service, service, [(at(5), 1), (at(10.9), 4), (at(15.9), 6), (at(20.5), 9), (at(26.9), 20)]))
    assert values(shared, service, "increase") == {10: 3, 15: 2, 20: 3}
    assert values(shared, service, "increase", "30m") == {0: 19}
    send(shared, counter(service, f"{service}.late", [(at(5) - 1, 1), (at(10.9), 4)]))
    assert values(shared, f"{service}.late", "increase") == {}


def test_delta_sums_count_where_they_are(shared: Server, service: str) -> None:
    points = [Point(time=at(when), value=value, start=at(when - 10)) for when, value in ((0, 3), (0.5, 4), (20, -5))]
    send(shared, Series(name=service, service=service, temporality=DELTA, points=points))
    assert values(shared, service, "increase") == {0: 7, 20: -5}
    assert values(shared, service, "rate")[0] == pytest.approx(7 / 60)


def test_both_temporalities_in_one_line(shared: Server, service: str) -> None:
    send(shared, counter(service, service, [(at(0), 10), (at(1), 15)], labels={"by": "old"}))
    new = [Point(time=at(1), value=2)]
    send(shared, Series(name=service, service=service, temporality=DELTA, points=new, labels={"by": "new"}))
    assert values(shared, service, "increase") == {1: 7}
    (line,) = asked(shared, service, "increase")
    assert (line["aggregation_temporality"], line["is_monotonic"], line["unit"]) == (None, True, "ms")


def test_a_sum_that_may_fall_is_never_reset(shared: Server, service: str) -> None:
    points = [Point(time=at(when), value=value, start=at(when - 0.1)) for when, value in ((0, 5), (1, 2), (2, 4))]
    send(shared, Series(name=service, service=service, monotonic=False, points=points))
    assert values(shared, service, "increase") == {0: 5, 1: -3, 2: 2}


@pytest.mark.parametrize("aggregation", ["count", "sum", "increase"])
def test_missing_values_are_gaps(shared: Server, service: str, aggregation: str) -> None:
    points = [
        Point(time=at(0), value=1),
        Point(time=at(1), value=0, flags=1),
        Point(time=at(2), value=4, flags=2),
        Point(time=at(3)),
    ]
    send(shared, Series(name=service, service=service, points=points))
    assert (
        values(shared, service, aggregation)
        == {"count": {0: 1, 2: 1}, "sum": {0: 1, 2: 4}, "increase": {2: 3}}[aggregation]
    )


def test_another_description_goes_on_from_the_same_point(shared: Server, service: str) -> None:
    send(shared, counter(service, service, [(at(0), 5), (at(1), 7)], at(-1)))
    send(shared, counter(service, service, [(at(2), 8), (at(3), 12)], at(-1), description="Now told"))
    assert values(shared, service, "increase") == {0: 5, 1: 2, 2: 1, 3: 4}
    (line,) = asked(shared, service, "increase")
    assert line["description"] is None


def test_units_and_types_are_lines_of_their_own(shared: Server, service: str) -> None:
    send(shared, counter(service, service, [(at(0), 1000), (at(1), 3000)]))
    send(shared, counter(service, service, [(at(2), 3), (at(3), 4)], unit="s"))
    send(shared, Series(name=service, service=service, kind=GAUGE, points=[Point(time=at(0), value=9)]))
    lines = asked(shared, service, "sum")
    assert [(line["metric_type"], line["unit"]) for line in lines] == [("gauge", "ms"), ("sum", "ms"), ("sum", "s")]
    # It does not grow from 3000 ms to 3 s.
    answer = shared.get("/api/metrics/series", name=service, aggregation="increase", start_time=str(BASE))
    assert answer.status_code == 400 and "is a gauge" in answer.json()["error"]["message"]


def test_numbers_that_json_lacks(shared: Server, service: str) -> None:
    numbers = ((0, float("nan")), (0.5, 3.0), (1, float("nan")), (2, float("inf")), (3, 1e308), (3.5, 1e308))
    made = [Point(time=at(when), value=value) for when, value in numbers]
    send(shared, Series(name=service, service=service, kind=GAUGE, points=made))
    assert values(shared, service, "max") == {0: 3, 1: "NaN", 2: "Infinity", 3: 1e308}
    assert values(shared, service, "sum", end_time=str(at(3))) == {0: "NaN", 1: "NaN", 2: "Infinity"}
    window = {"start_time": str(at(3)), "end_time": str(at(4))}
    answer = shared.get("/api/metrics/series", name=service, aggregation="sum", **window)
    assert answer.status_code == 400 and "beyond" in answer.json()["error"]["message"]


def distribution(when: float, counts: list[int], bounds: list[float], **fields: Any) -> Point:
    """A point of a histogram with explicit bounds."""
    given = {"count": sum(counts), "sum": 10.0 * sum(counts)} | fields
    return Point(time=at(when), bucket_counts=counts, explicit_bounds=bounds, **given)


def test_histograms_are_counted_by_what_came_in(shared: Server, service: str) -> None:
    points = [
        distribution(0, [1, 1], [5.0], min=1.0, max=8.0),
        distribution(1, [3, 2], [5.0], min=1.0, max=9.0, sum=35.0),
        distribution(2, [3, 2], [5.0], sum=35.0),
        distribution(3, [1, 0], [5.0], min=4.0, max=4.0, sum=4.0),
    ]
    send(shared, Series(name=service, service=service, kind=HISTOGRAM, points=points))
    assert values(shared, service, "count") == values(shared, service, "increase") == {1: 3, 2: 0, 3: 1}
    assert values(shared, service, "sum") == {1: 15, 2: 0, 3: 4}
    assert values(shared, service, "avg") == {1: 5, 3: 4}
    assert values(shared, service, "rate")[1] == pytest.approx(3 / 60)
    assert values(shared, service, "min") == {0: 1, 1: 1, 3: 4}
    assert values(shared, service, "max") == {0: 8, 1: 9, 3: 4}


def test_percentiles_are_of_what_came_in(shared: Server, service: str) -> None:
    bounds = [10.0, 20.0, 30.0]
    points = [
        distribution(0, [100, 0, 0, 0], bounds),
        distribution(1, [100, 10, 0, 0], bounds),
        distribution(2, [100, 10, 0, 7], bounds),
        distribution(3, [4, 4, 0, 0], bounds),
        distribution(4, [4, 4, 0, 0], bounds),
    ]
    send(shared, Series(name=service, service=service, kind=HISTOGRAM, points=points))
    # Half of ten values between 10 and 20; above the highest bound that bound; after the reset rank 4 of 8.
    assert values(shared, service, "p50") == {1: 15, 2: 30, 3: 10}
    assert values(shared, service, "p90")[1] == 19


def test_other_bounds_have_nothing_to_count_from(shared: Server, service: str) -> None:
    send(shared, Series(name=service, service=service, kind=HISTOGRAM, points=[distribution(0, [9, 9], [1.0])]))
    changed = [distribution(1, [5, 8, 7], [1.0, 2.0]), distribution(2, [5, 18, 7], [1.0, 2.0])]
    send(shared, Series(name=service, service=service, kind=HISTOGRAM, points=changed, description="New"))
    assert values(shared, service, "p50") == {2: 1.5}
    assert values(shared, service, "count") == {1: 2, 2: 10}


def test_exponential_histograms_of_different_scales(shared: Server, service: str) -> None:
    fine = Point(time=at(0), count=4, scale=1, positive=(0, [1, 1, 1, 1]))
    coarse = Point(time=at(0), count=4, scale=0, positive=(1, [4]))
    for number, point in enumerate((fine, coarse)):
        one = Series(name=service, service=service, kind=EXPONENTIAL, temporality=DELTA, points=[point])
        one.labels = {"n": number}
        send(shared, one)
    # At scale 0: two values in (1, 2], six in (2, 4]; the fourth from above is at 1/3 of the latter's logarithm.
    assert values(shared, service, "p50") == {0: pytest.approx(2 ** (1 + 1 / 3))}


@pytest.mark.parametrize("wide", [1 << 40, (1 << 64) - 100])
def test_counts_of_any_size(shared: Server, service: str, wide: int) -> None:
    points = [distribution(0, [0, 0], [4.0]), distribution(1, [wide, 0], [4.0])]
    send(shared, Series(name=service, service=service, kind=HISTOGRAM, points=points))
    assert values(shared, service, "count") == {1: pytest.approx(wide)}
    assert values(shared, service, "p50") == {1: 2}


@pytest.mark.parametrize(
    ("kind", "aggregation", "hint"),
    [
        (GAUGE, "rate", "avg"),
        (GAUGE, "increase", "avg"),
        (GAUGE, "p99", "max"),
        (SUM, "p50", "rate"),
        (SUMMARY, "p95", "leave out"),
        (SUMMARY, "max", "leave out"),
    ],
)
def test_what_a_type_does_not_have(shared: Server, service: str, kind: str, aggregation: str, hint: str) -> None:
    send(shared, Series(name=service, service=service, kind=kind, points=[Point(time=at(0), value=1)]))
    window = {"start_time": str(BASE), "end_time": str(at(60))}
    answer = shared.get("/api/metrics/series", name=service, aggregation=aggregation, **window)
    error = answer.json()["error"]
    assert (answer.status_code, error["parameter"]) == (400, "aggregation")
    assert kind in error["message"] and hint in error["hint"]


def test_text_and_lines_of_json(shared: Server, service: str) -> None:
    send(shared, counter(service, service, [(at(0), 1), (at(1), 3)]))
    given = {"name": service, "aggregation": "rate", "start_time": str(BASE), "end_time": str(at(5))}
    answer = shared.get("/api/metrics/series", format="ndjson", **given)
    assert len(answer.text.splitlines()) == 1 and '"value":0.0333' in answer.text
    assert shared.get("/api/metrics/series", format="text", **given).status_code == 200
    protobuf = {"accept": "application/x-protobuf"}
    answer = httpx.get(f"{shared.url}/api/metrics/series", params=given, headers=protobuf, verify=False)
    assert answer.json()["aggregation"] == "rate"


def test_raw_points_have_no_step(shared: Server, service: str) -> None:
    send(shared, counter(service, service, [(at(0), 1)]))
    answer = get(shared, "/api/metrics/series", name=service, start_time=str(BASE))
    assert (answer["aggregation"], answer["step"]) == (None, None)
