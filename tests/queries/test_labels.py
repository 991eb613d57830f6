"""Labels of metrics: keys and values, by both paths and for names of any kind."""

import asyncio
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import pytest

from tests.queries.metering import counter, send
from tests.queries.sending import ago, get
from tests.running import Server


def store(server: Server, service: str, name: str, *labels: dict[str, Any]) -> None:
    """Store a series of a counter for each of these attributes."""
    send(server, *(counter(service, name, [(ago(1), 1)], labels=one) for one in labels))


def test_keys_and_values(shared: Server, service: str) -> None:
    store(shared, service, service, {"method": "GET", "b": 1}, {"method": "POST", "Z": 2}, {"method": "GET", "b": 3})
    keys = get(shared, f"/api/metrics/{service}/labels")
    assert (keys["metric_name"], keys["labels"], keys["total"]) == (service, ["Z", "b", "method"], 3)
    assert (keys["attribute"], keys["values"], keys["has_more"]) == (None, None, False)
    found = get(shared, f"/api/metrics/{service}/labels", attribute="method")
    assert (found["metric_name"], found["attribute"], found["values"]) == (service, "method", ["GET", "POST"])
    assert found["labels"] is None
    assert get(shared, "/api/metrics/labels", name=service, attribute="method") == found
    assert get(shared, "/api/metrics/labels", name=service) == keys
    assert get(shared, f"/api/metrics/{service}/labels", attribute="no such")["values"] == []


def test_values_keep_their_type(shared: Server, service: str) -> None:
    every = ["1", 1, True, 1.0, 10, 9, -0.5, None, ["a"], b"\0", "nul\0", "é", "z"]
    store(shared, service, service, *({"k": value} for value in every))
    found = get(shared, f"/api/metrics/{service}/labels", attribute="k")["values"]
    assert sorted(map(repr, found[:5])) == sorted(map(repr, [-0.5, 1, 1.0, 9, 10])) and found[3:5] == [9, 10]
    expected = ["1", ["a"], "nul\0", True, "z", {"bytesValue": "AA=="}, "é", None]
    assert [repr(value) for value in found[5:]] == [repr(value) for value in expected]


@pytest.mark.parametrize("suffix", ["/a/b", ".a.b", "/labels", " blank", "/ü%2F", "//double", "/labels/labels", "?x=1"])
def test_names_of_any_kind(shared: Server, service: str, suffix: str) -> None:
    name = service + suffix
    store(shared, service, name, {"k": 1})
    for path in (quote(name), quote(name, safe="")):
        answer = httpx.get(f"{shared.url}/api/metrics/{path}/labels", verify=False).json()
        assert (answer["metric_name"], answer["labels"]) == (name, ["k"])
    assert get(shared, "/api/metrics/labels", name=name)["labels"] == ["k"]


def test_pages(shared: Server, service: str) -> None:
    store(shared, service, service, *({"n": number} for number in range(5)))
    path, parameters = f"/api/metrics/{service}/labels", {"attribute": "n", "limit": "2"}
    first = get(shared, path, **parameters)
    assert (first["values"], first["total"], first["has_more"]) == ([0, 1], 5, True)
    second = get(shared, path, **parameters, cursor=first["next_cursor"])
    last = get(shared, path, **parameters, cursor=second["next_cursor"])
    assert (second["values"], last["values"], last["next_cursor"]) == ([2, 3], [4], None)
    past = get(shared, path, **parameters, offset="9")
    assert (past["values"], past["total_relation"]) == ([], "gte")


def test_filters(shared: Server, service: str) -> None:
    store(shared, f"{service}-a", service, {"k": "a"})
    store(shared, f"{service}-b", service, {"k": "b"})
    found = get(shared, f"/api/metrics/{service}/labels", attribute="k", service=f"{service}-b")
    assert found["values"] == ["b"]
    assert get(shared, f"/api/metrics/{service}/labels", service="nobody's")["labels"] == []


async def seen_two_days_ago(database_url: str, name: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE otel_metric_series_dim AS s SET last_seen = now() - interval '2 days' FROM otel_metrics_dim AS m"
        " WHERE m.metric_id = s.metric_id AND m.name = $1",
        name,
    )
    await connection.close()


def test_a_window_leaves_out_what_was_not_seen_since(shared: Server, service: str) -> None:
    store(shared, service, service, {"k": "old"})
    asyncio.run(seen_two_days_ago(shared.database_url, service))
    store(shared, service, service, {"k": "new"})
    path = f"/api/metrics/{service}/labels"
    assert get(shared, path, attribute="k")["values"] == ["new", "old"]
    assert get(shared, path, attribute="k", since="1d")["values"] == ["new"]


def test_what_is_not_there(shared: Server, service: str) -> None:
    store(shared, service, f"{service}.requests", {"k": 1})
    answer = shared.get(f"/api/metrics/{service}.reqests/labels")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["parameter"]) == (404, "not_found", "name")
    assert f"{service}.requests" in error["hint"]
    for path in (
        "/api/metrics/labels",
        f"/api/metrics/labels?name=a&name={service}",
        f"/api/metrics/{service}/labels?name=x",
    ):
        answer = httpx.get(shared.url + path, verify=False)
        assert (answer.status_code, answer.json()["error"]["parameter"]) == (400, "name")
