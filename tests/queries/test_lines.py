"""Lines of an aggregation: how series are grouped, which steps they have, how they are paged."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import asyncpg
import httpx
import pytest
from msgspec.structs import replace

from exporter.otlp import records as r
from exporter.settings import load
from queries import aggregation, lines, metrics, points
from queries.database import ReadDatabase
from queries.errors import QueryError
from queries.lines import Line
from queries.pages import Request
from queries.params import PointSearch, Window
from tests.queries.explaining import Explaining
from tests.queries.metering import GAUGE, MINUTE, Point, Series, counter, send
from tests.queries.sending import HOUR, SECOND, ago, get
from tests.queries.test_safety import CORPUS
from tests.running import Server

BASE = time.time_ns() // HOUR * HOUR - 2 * HOUR
DAY = 24 * HOUR


def gauge(service: str, value: float = 1, **fields: Any) -> Series:
    """A gauge with one point a minute after BASE."""
    made = [Point(time=BASE + MINUTE, value=value)]
    return Series(**{"name": service, "service": service, "kind": GAUGE, "points": made} | fields)


def asked(server: Server, *names: str, **parameters: Any) -> Any:
    """The sum of the hour after BASE."""
    given: dict[str, Any] = {"name": names, "aggregation": "sum", "start_time": str(BASE), "end_time": str(BASE + HOUR)}
    return get(server, "/api/metrics/series", **(given | parameters))


def test_an_answer(shared: Server, service: str) -> None:
    send(shared, gauge(service, 2.5, labels={"a": 1, "b": "x"}, description="What"))
    answer = asked(shared, service, group_by="b", step="30s")
    assert answer == {
        "metric_name": service,
        "metric_type": "gauge",
        "unit": "ms",
        "description": "What",
        "aggregation_temporality": None,
        "is_monotonic": None,
        "aggregation": "sum",
        "step": 30 * SECOND,
        "series": [
            {
                "metric_name": service,
                "metric_type": "gauge",
                "unit": "ms",
                "description": "What",
                "aggregation_temporality": None,
                "is_monotonic": None,
                "service_name": None,
                "resource": None,
                "scope": None,
                "attributes": {"b": "x"},
                "data_points": [{"time_unix_nano": BASE + MINUTE, "value": 2.5}],
            }
        ],
        "window": {"start_time": BASE, "end_time": BASE + HOUR},
        "total": 1,
        "total_relation": "eq",
        "has_more": False,
        "next_cursor": None,
    }


def test_groups(shared: Server, service: str) -> None:
    for number, (place, labels, resource) in enumerate(
        [
            ("a", {"service": "own", "resource.pod": "no"}, {"pod": "p1"}),
            ("a", {"route": "/"}, {"pod": "p2"}),
            ("b", {"route": "/"}, {}),
        ]
    ):
        one = gauge(service, 10**number, labels=labels, resource=resource)
        send(shared, replace(one, service=f"{service}-{place}"))

    def groups(*keys: str) -> dict[tuple[Any, ...], float]:
        found = asked(shared, service, group_by=keys)["series"]
        assert all(set(line["attributes"]) == set(keys) for line in found)
        return {tuple(line["attributes"].values()): line["data_points"][0]["value"] for line in found}

    assert groups() == {(): 111}
    assert groups("service") == {(f"{service}-a",): 11, (f"{service}-b",): 100}
    assert groups("resource.pod") == {("p1",): 1, ("p2",): 10, (None,): 100}
    assert groups("route") == {("/",): 110, (None,): 1}
    assert groups("route", "service") == {
        ("/", f"{service}-a"): 10,
        ("/", f"{service}-b"): 100,
        (None, f"{service}-a"): 1,
    }
    # A point's own attributes of such names are to be had, too.
    assert groups("attr.service") == {("own",): 1, (None,): 110}
    assert groups("attr.resource.pod") == {("no",): 1, (None,): 110}
    assert groups("no such key") == {(None,): 111}
    assert len(asked(shared, service, group_by="service", service=f"{service}-b")["series"]) == 1


@pytest.mark.parametrize("text", CORPUS)
def test_what_is_grouped_by_is_only_a_value(shared: Server, service: str, text: str) -> None:
    send(shared, gauge(service, labels={text: text}, resource={text: text}))
    for key in (text, f"attr.{text}", f"resource.{text}"):
        (line,) = asked(shared, service, group_by=key, **{f"attr.{text}": text})["series"]
        assert line["attributes"] == {key: text}


def test_values_of_different_types_are_different(shared: Server, service: str) -> None:
    every = ["1", 1, True, 1.0, 10, 9, -0.5, None, ["a"], b"\0", "nul\0", float("inf")]
    for value in every:
        send(shared, gauge(service, labels={"k\0": value}))
    found = [line["attributes"]["k\0"] for line in asked(shared, service, group_by="k\0")["series"]]
    shown = [-0.5, 1, 1.0, 9, 10, "1", "Infinity", "nul\0", ["a"], True, {"bytesValue": "AA=="}, None]
    assert [(type(value), value) for value in found] == [(type(value), value) for value in shown]


def test_several_metrics(shared: Server, service: str) -> None:
    send(shared, gauge(f"{service}/b"), counter(service, f"{service}/a", [(BASE, 5)], unit=""))
    answer = asked(shared, f"{service}/b", f"{service}/a")
    assert [line["metric_name"] for line in answer["series"]] == [f"{service}/a", f"{service}/b"]
    assert (answer["metric_name"], answer["unit"], answer["metric_type"]) == (None, None, None)
    nothing = asked(shared, "no.such/metric")
    assert (nothing["series"], nothing["total"]) == ([], 0)


def test_series_that_have_no_points_in_the_window_make_no_line(shared: Server, service: str) -> None:
    send(shared, gauge(service, labels={"pod": "now"}))
    send(shared, counter(service, service, [(BASE - 1, 1), (BASE + HOUR, 1)], labels={"pod": "then"}))
    assert [line["attributes"] for line in asked(shared, service, group_by="pod")["series"]] == [{"pod": "now"}]


def test_pages_are_of_lines(shared: Server, service: str) -> None:
    send(shared, *(gauge(service, number, labels={"n": number}) for number in range(7)))
    found: list[int] = []
    given = {"name": service, "aggregation": "avg", "group_by": "n", "limit": "3", "since": "4h"}
    sizes = []
    while True:
        answer = shared.get("/api/metrics/series", **given)
        page = answer.json()
        assert (page["total"], page["total_relation"]) == (7, "eq")
        found += [line["attributes"]["n"] for line in page["series"]]
        sizes.append((page["step"], str(page["window"])))
        assert page["has_more"] == ("next" in answer.links)
        if not page["has_more"]:
            break
        given["cursor"] = page["next_cursor"]
    assert found == list(range(7)) and len(set(sizes)) == 1
    whole = asked(shared, service, group_by="n")["series"]
    assert asked(shared, service, group_by="n", limit="2", offset="4")["series"] == whole[4:6]
    assert asked(shared, service, group_by="n", offset="9")["series"] == []


def test_a_page_holds_so_many_points(shared: Server, service: str) -> None:
    send(shared, *(gauge(service, number, labels={"n": number}) for number in range(20)))
    answer = asked(shared, service, group_by="n", step="3s")
    assert len(answer["series"]) == 20_000 // 1200 and answer["has_more"]


@pytest.mark.parametrize(
    ("given", "step"),
    [
        ({"since": 15 * MINUTE}, "1m"),
        ({"since": HOUR}, "1m"),
        ({"since": HOUR + 1}, "2m"),
        ({"since": 6 * HOUR}, "10m"),
        ({"since": DAY}, "30m"),
        ({"since": 30 * DAY}, "12h"),
        ({"start_time": 0, "end_time": (1 << 63) - 1}, "365d"),
        ({"since": HOUR, "step": 7 * SECOND}, "7s"),
    ],
)
def test_steps(given: dict[str, Any], step: str) -> None:
    plan = lines.plan(PointSearch(name=["x"], aggregation="avg", **given))
    assert lines._written(plan.step) == step
    # A window that is given by its length begins with a whole step.
    assert plan.begin == plan.request.window.start


def test_a_window_that_is_given_by_its_times_is_that_window() -> None:
    plan = lines.plan(PointSearch(name=["x"], aggregation="avg", start_time=90 * SECOND, end_time=190 * SECOND))
    assert (plan.request.window, plan.begin, plan.step) == ((90 * SECOND, 190 * SECOND), MINUTE, MINUTE)


@pytest.mark.parametrize(
    ("given", "parameter", "hint"),
    [
        ("aggregation=avg", "name", "/api/metrics"),
        ("aggregation=median&name=x", "aggregation", "p50"),
        ("aggregation=avg&name=x&step=0", "step", "30s"),
        ("aggregation=avg&name=x&step=30", "step", "nanoseconds"),
        ("aggregation=avg&name=x&step=1s&since=1d", "step", "step=1m"),
        ("aggregation=avg&name=x&step=soon", "step", "15m"),
        ("aggregation=avg&name=x&format=otlp", "format", "leave out"),
        ("name=x&group_by=a", "group_by", "aggregation=avg"),
        ("name=x&step=30s", "step", "aggregation=avg"),
        ("aggregation=avg&name=x&cursor=abc", "cursor", "next_cursor"),
        ("aggregation=avg&name=x&agregation=sum", "agregation", "aggregation"),
    ],
)
def test_errors(shared: Server, given: str, parameter: str, hint: str) -> None:
    answer = httpx.get(f"{shared.url}/api/metrics/series?{given}", verify=False)
    error = answer.json()["error"]
    assert (answer.status_code, error["parameter"]) == (400, parameter)
    assert hint in error["message"] + error["hint"]


def test_a_cursor_of_raw_points_is_another_one(shared: Server, service: str) -> None:
    send(shared, counter(service, service, [(ago(n), n) for n in (3, 2, 1)]))
    cursor = get(shared, "/api/metrics/series", name=service, limit="1")["next_cursor"]
    answer = shared.get("/api/metrics/series", name=service, aggregation="sum", cursor=cursor)
    assert answer.status_code == 400 and "points" in answer.json()["error"]["message"]


def test_no_plan_looks_outside_the_window(database_url: str) -> None:
    days = [number * DAY for number in range(10_000, 10_006)]
    request = Request(Window(days[2] + HOUR, days[3] + DAY), None, 0, 10, False)
    plan = lines.Plan(request, HOUR)
    kinds = (r.GAUGE, r.SUM, r.HISTOGRAM, r.EXPONENTIAL_HISTOGRAM, r.SUMMARY)

    def line(kind: int, temporality: int) -> Line:
        metric = r.Metric("x", "", "", (), kind, temporality, True, ())
        return Line({}, [lines.Series(number, b"", metric, ()) for number in range(3)])

    async def work() -> list[str]:
        database = ReadDatabase(database_url, load(environ={}))
        connection = await asyncpg.connect(database_url)
        await connection.fetch("SELECT otel_create_partitions('metrics', $1, $2)", days, DAY)
        await connection.close()
        async with database.reading() as reader:
            explaining: Any = Explaining(reader)
            every = sorted({table.name for table in points.TABLES.values()})
            await lines.find(explaining, metrics.Selection(every, [1, 2]), ["a"], request.window)
            for kind in kinds:
                for name in ("avg", "min", "increase", "p99"):
                    found = [line(kind, 1), line(kind, 2)]
                    with suppress(QueryError):
                        aggregation.check(name, found)
                        await aggregation.values(explaining, found, name, plan)
        await database.close()
        plans: list[str] = explaining.plans
        return plans

    plans = "\n".join(asyncio.run(work()))
    assert "_p19970521t00" in plans and "_p19970522t00" in plans
    assert not [day for day in ("19970519", "19970520", "19970523", "19970524") if f"_p{day}t00" in plans]
