"""Series: exactly what the curves of each type look like, and what is said of them."""

import pytest
from msgspec.structs import replace

from queries import answers
from queries.text import draw
from queries.text_cells import Style
from tests.queries.shapes import MS, T0, TRACE_ID, line, lines_of, make, numbers

COUNTER = {
    "metric_name": "requests",
    "metric_type": "sum",
    "aggregation_temporality": "cumulative",
    "is_monotonic": True,
}
POD = [{"service.instance.id": f"0b0c-{n}", "host.name": "a"} for n in range(2)]
SERIES = lines_of(
    answers.PointList,
    [
        line(numbers(10, 12, 19, 3, 8), attributes={"http.method": "GET", "zone": "a"}, unit="{request}", **COUNTER),
        line(numbers(5, 5, 6, 6, 7), attributes={"http.method": "POST", "zone": "a"}, unit="{request}", **COUNTER),
        line(numbers(1.5, "NaN", 2.5, "Infinity", None), metric_name="load", resource=POD[0]),
        line(numbers(0.25, 0.25, 0.25), metric_name="load", resource=POD[1]),
    ],
    total=18,
)
DRAWN = {
    80: """\
requests  counter, {request}
increase from point to point, 2026-09-21 14:13:30 to 14:14:00 UTC  shop  zone=a
…method MIN MAX LAST INCREASE
GET       2   7    5 ▁▁▁▁▁▁▁▁▁▁▁▁▁▁███████████████▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅
POST      0   1    1 ▁▁▁▁▁▁▁▁▁▁▁▁▁▁███████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁███████████████

load  gauge
value, 2026-09-21 14:13:20 to 14:14:00 UTC  shop
…instance.id  MIN  MAX LAST VALUE
0b0c-0        1.5    ∞    - ▁▁▁▁▁▁▁▁▁▁          █████████████████████
0b0c-1       0.25 0.25 0.25 ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄

18 data points in 4 series from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    100: """\
requests  counter, {request}
increase from point to point, 2026-09-21 14:13:30 to 14:14:00 UTC  shop  zone=a
…method  MIN  MAX  LAST  INCREASE
GET        2    7     5  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁███████████████████▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅
POST       0    1     1  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁███████████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁███████████████████

load  gauge
value, 2026-09-21 14:13:20 to 14:14:00 UTC  shop
…instance.id   MIN   MAX  LAST  VALUE
0b0c-0         1.5     ∞     -  ▁▁▁▁▁▁▁▁▁▁▁▁▁              ███████████████████████████
0b0c-1        0.25  0.25  0.25  ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄

18 data points in 4 series from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
    120: """\
requests  counter, {request}
increase from point to point, 2026-09-21 14:13:30 to 14:14:00 UTC  shop  zone=a
…method  MIN  MAX  LAST  INCREASE
GET        2    7     5  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████████████████████▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅
POST       0    1     1  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████████████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████████████████████

load  gauge
value, 2026-09-21 14:13:20 to 14:14:00 UTC  shop
…instance.id   MIN   MAX  LAST  VALUE
0b0c-0         1.5     ∞     -  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁                  ███████████████████████████████████
0b0c-1        0.25  0.25  0.25  ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄

18 data points in 4 series from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
""",
}


HISTOGRAM = """\
took  histogram, ms, How long it took
mean from point to point, 2026-09-21 14:13:30 to 14:13:40 UTC  shop
  MIN    MAX   LAST     P50     P95  MEAN
100ms  100ms  100ms  ≤1.00s  >1.00s  ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄

3 data points in 1 series from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
"""
ALONE = """\
requests  counter
value, 2026-09-21 14:13:20 UTC  shop
MIN MAX LAST VALUE
  7   7    7 ▄

1 data point in 1 series from 2026-09-21 13:13:20 to 14:13:20 UTC (1h)
"""


@pytest.mark.parametrize("width", DRAWN)
def test_counters_and_gauges(width: int) -> None:
    assert draw(SERIES, Style(width, "never")) == DRAWN[width]


def histogram(place: int, count: int, total: float | None, *counts: int) -> answers.HistogramPoint:
    """A point with the bounds 10, 100 and 1000, so many ten seconds after T0."""
    bounds: list[answers.Number] = [10.0, 100.0, 1000.0, None]
    buckets = [answers.Bucket(bound, n) for bound, n in zip(bounds, counts, strict=False)]
    moment = T0 + place * 10_000 * MS
    return make(answers.HistogramPoint, time_unix_nano=moment, count=count, sum=total, buckets=buckets)


def test_histograms_are_the_mean_of_what_came_in() -> None:
    points = [histogram(0, 10, 50.0, 10, 0), histogram(1, 12, 250.0, 11, 1, 0, 0), histogram(2, 14, 450.0, 11, 1, 1, 1)]
    about = {"metric_name": "took", "metric_type": "histogram", "aggregation_temporality": "cumulative", "unit": "ms"}
    about["description"] = "How long it took"
    drawn = draw(lines_of(answers.PointList, [line(points[::-1], **about)], total=3), Style(100, "never"))
    assert drawn == HISTOGRAM


def test_a_point_alone_is_its_value() -> None:
    drawn = draw(lines_of(answers.PointList, [line(numbers(7), **COUNTER)]), Style(80, "never"))
    assert drawn == ALONE


def test_a_counter_with_one_point_among_others_has_no_increase() -> None:
    found = [line(numbers(1, 2), **COUNTER, attributes={"k": 1}), line(numbers(7), **COUNTER, attributes={"k": 2})]
    rows = draw(lines_of(answers.PointList, found), Style(80, "never")).splitlines()
    assert [row.split()[:4] for row in rows[3:5]] == [["1", "1", "1", "1"], ["2", "-", "-", "-"]]


def test_counts_where_there_is_no_sum() -> None:
    points = [histogram(n, 10 * n, None) for n in (1, 3, 2)]
    drawn = draw(lines_of(answers.PointList, [line(points, metric_type="histogram", unit="ms")]), Style(80, "never"))
    assert "  10  30   20 " not in drawn and " 10  30   30 " in drawn and "COUNT" in drawn


def test_quantiles_of_a_summary() -> None:
    quantiles = [answers.Quantile(0.5, 1.25), answers.Quantile(0.95, 9.0)]
    point = make(answers.SummaryPoint, time_unix_nano=T0, count=4, sum=8.0, quantiles=quantiles)
    drawn = draw(lines_of(answers.PointList, [line([point], metric_type="summary", unit="s")]), Style(100, "never"))
    assert drawn.splitlines()[3].split()[:5] == ["2.00s", "2.00s", "2.00s", "1.25s", "9.00s"]


def test_a_series_without_points() -> None:
    drawn = draw(lines_of(answers.PointList, [line([])], total=0), Style(80, "never"))
    assert drawn.splitlines()[-1].startswith("0 data points in 1 series")


def test_traces_that_exemplars_point_at() -> None:
    ids = [TRACE_ID, "a" * 32, "b" * 32]
    points = [
        replace(point, exemplars=[make(answers.Exemplar, trace_id=found), make(answers.Exemplar)])
        for point, found in zip(numbers(1, 2, 3, 4), (None, *ids), strict=False)
    ]
    drawn = draw(lines_of(answers.PointList, [line(points, metric_name="a/ü")]), Style(200, "never"))
    where = "/api/metrics/exemplars?name=a%2F%C3%BC&format=text"
    assert f"Exemplars of traces {ids[0]}, {ids[1]} and 1 more: {where}\n" in drawn, "the newest"
    drawn = draw(lines_of(answers.PointList, [line(points[2:3])]), Style(200, "never"))
    assert f"Exemplars of trace {ids[1]}: " in drawn
