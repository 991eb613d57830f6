"""Attributes: which there are and their values, wherever these lie."""

import asyncio
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

from exporter.settings import load
from queries.asking import Host
from queries.attributes import MOST_RECORDS, ROWS
from queries.database import ReadDatabase
from queries.filtered import Filtered
from queries.routes import routes
from queries.tails import Tails
from tests.queries.samples import ODD, attributes, spans
from tests.queries.sending import ago, get, send_logs, send_points, send_spans, span, unasked
from tests.queries.test_paging import walk
from tests.running import Server

LONG = "x" * 5000
"""So long a value lies on the record."""


def keys(server: Server, **parameters: Any) -> dict[str, Any]:
    found = [
        item for page in walk(server, "/api/attributes", limit="1000", **parameters) for item in page["attributes"]
    ]
    # What an attribute costs, and how often it was filtered on, is test_advice's.
    for item in found:
        del item["bytes"], item["filtered"], item["filter_seconds"]
    return {item.pop("key"): item for item in found}


def values(server: Server, key: str, **parameters: Any) -> Any:
    return get(server, f"/api/attributes/{quote(key, safe='/')}/values", **parameters)


def send_one(server: Server, service: str, given: dict[str, Any], number: int = 1) -> None:
    send_spans(server, service, [span(number, ago(number), attributes=given)])


def execute(database_url: str, statement: str, *arguments: object) -> None:
    async def session() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(statement, *arguments)
        await connection.close()

    asyncio.run(session())


def test_keys_with_their_types(shared: Server, service: str) -> None:
    for number, value in enumerate([200, "OK", 1.5], 1):
        send_one(shared, service, {service: value, "http.response.status_code": value}, number)
    found = keys(shared, signal="spans")
    assert found[service] == {
        "signal": "spans",
        "types": ["double", "int", "string"],
        "promoted": False,
        "high_cardinality": False,
        "distinct_values": 3,
        "rows": 3,
        "left_series_at": None,
    }
    assert found["http.response.status_code"]["promoted"]
    send_one(shared, service, {"http.request.method": 1})
    assert not keys(shared, signal="spans")["http.request.method"]["promoted"]


def test_every_type_and_name(shared: Server, service: str) -> None:
    shared.post("traces", spans(service).SerializeToString())
    found = keys(shared, signal="spans")
    assert {key: found[key]["types"] for key in ODD} == {
        "text": ["string"],
        "nul": ["string"],
        "int": ["int"],
        "large": ["int"],
        "double": ["double"],
        "huge": ["double"],
        "2^63": ["double"],
        "tiny": ["double"],
        "nan": ["double"],
        "inf": ["double"],
        "-0": ["double"],
        "yes": ["bool"],
        "bytes": ["bytes"],
        "list": ["array"],
        "lookalike": ["kvlist"],
        "": ["string"],
        "null": ["empty"],
    }
    for key, expected in {"nul": "a\0b\x1ac", "nan": "NaN", "bytes": {"bytesValue": "AP8="}, "null": None}.items():
        assert values(shared, key, signal="spans")["values"] == [{"value": expected, "count": 1}]


def test_every_signal(shared: Server, service: str) -> None:
    send_logs(shared, service, [ago(1)], attributes=attributes({f"{service}.log": True}))
    send_points(shared, service, service, [ago(1)], **{f"{service}.point": 1})
    send_spans(shared, service, [span(1, ago(1))], **{f"{service}.resource": "r"})
    shared.post("traces", spans(service).SerializeToString())
    everything = keys(shared)
    expected = {"log": "logs", "point": "metrics", "resource": "resource"}
    assert {name: everything[f"{service}.{name}"]["signal"] for name in expected} == expected
    assert everything["short"] == {
        "signal": "scope",
        "types": ["bool"],
        "promoted": False,
        "high_cardinality": False,
        "distinct_values": 1,
        "rows": 1,
        "left_series_at": None,
    }
    assert keys(shared, signal="resource")["service.name"]["promoted"]
    assert {item["signal"] for item in keys(shared, signal=["logs", "scope"]).values()} == {"logs", "scope"}
    for name, signal in expected.items():
        assert values(shared, f"{service}.{name}")["signal"] == signal
        others = [other for other in ("spans", "logs", "metrics", "resource", "scope") if other != signal]
        assert [values(shared, f"{service}.{name}", signal=other)["values"] for other in others] == [[]] * 4


def test_values_by_frequency(shared: Server, service: str) -> None:
    key = f"{service}/of.many parts"
    for number, value in enumerate(["GET", "PUT", "PUT", 7, "GET", "PUT"], 1):
        send_one(shared, service, {key: value, "other": number}, number)
    answer = values(shared, key)
    assert answer["values"] == [
        {"value": "PUT", "count": 3},
        {"value": "GET", "count": 2},
        {"value": 7, "count": 1},
    ]
    del answer["values"], answer["window"]
    assert answer == {
        "key": key,
        "signal": "spans",
        "counted": "series",
        "sampled": False,
        "total": 3,
        "total_relation": "eq",
        "has_more": False,
        "next_cursor": None,
    }
    path = f"/api/attributes/{quote(key)}/values"
    assert [[item["value"] for item in page["values"]] for page in walk(shared, path, limit="2")] == [
        ["PUT", "GET"],
        [7],
    ]


def test_what_lies_on_records(shared: Server, service: str) -> None:
    key = f"{service}.long"
    for number in (1, 2, 3):
        send_one(shared, service, {key: LONG}, number)
    assert keys(shared, signal="spans")[key]["types"] == ["string"]
    assert not keys(shared, signal="metrics").get(key)
    kept = keys(shared, signal="spans")[key]
    assert (kept["distinct_values"], kept["rows"], kept["left_series_at"]) == (0, 0, None)
    answer = values(shared, key)
    assert answer["values"] == [{"value": LONG, "count": 3}]
    assert (answer["signal"], answer["counted"], answer["sampled"]) == ("spans", "records", True)
    for signal, sampled in {"spans": True, "logs": True, "resource": False}.items():
        assert get(shared, "/api/attributes", signal=signal)["sampled"] is sampled


def test_a_key_that_left_the_series(shared: Server, service: str) -> None:
    key = f"{service}.id"
    send_spans(shared, service, [span(n + 1, ago(1), attributes={key: f"old-{n}"}) for n in range(200)])
    send_spans(shared, service, [span(n + 1, ago(0), attributes={key: f"new-{n % 50}"}) for n in range(100)])
    found = keys(shared, signal="spans")[key]
    assert found["high_cardinality"] and found["left_series_at"].startswith("20") and found["distinct_values"] >= 200
    drawn = shared.get("/api/attributes", signal="spans", format="text", width="200", limit="1000").text
    assert f"{found['distinct_values']:,}+" in next(line for line in drawn.splitlines() if line.startswith(key)).split()
    of_service = keys(shared, signal="spans", service=service)[key]
    assert (of_service["distinct_values"], of_service["rows"]) == (found["distinct_values"], None)
    answer = values(shared, key, limit="1000")
    assert answer["sampled"]
    counts = {item["value"]: item["count"] for item in answer["values"]}
    assert {value: count for value, count in counts.items() if value.startswith("new")} == {
        f"new-{n}": 2 for n in range(50)
    }
    assert sum(counts.values()) <= MOST_RECORDS


def test_values_of_a_service(shared: Server, service: str) -> None:
    send_one(shared, service, {service: "mine"}, 1)
    send_one(shared, service, {service: "mine"}, 2)
    send_one(shared, f"{service}-other", {service: "not mine"})
    send_points(shared, service, service, [ago(1)], **{service: "point"})
    send_points(shared, f"{service}-other", service, [ago(1)], **{service: "not my point"})
    of_spans = values(shared, service, service=service)
    assert (of_spans["values"], of_spans["counted"]) == ([{"value": "mine", "count": 2}], "records")
    of_points = values(shared, service, service=service, signal="metrics")
    assert (of_points["values"], of_points["sampled"]) == ([{"value": "point", "count": 1}], False)
    assert values(shared, "service.name", service=service)["values"] == [{"value": service, "count": 1}]
    found = keys(shared, service=service)
    assert {key: item["signal"] for key, item in found.items()} == {service: "metrics", "service.name": "resource"}
    assert service in keys(shared, service=service, signal="spans")
    assert service not in keys(shared, service=f"{service}-nobody", signal="spans")


def test_the_window_is_of_what_was_seen(shared: Server, service: str) -> None:
    send_one(shared, service, {service: "seen"})
    old = "UPDATE otel_span_series_dim SET last_seen = now() - INTERVAL '5 hours' WHERE attributes ? $1"
    execute(shared.database_url, old, service)
    assert service in keys(shared, signal="spans")
    assert service in keys(shared, signal="spans", since="5h")
    assert service not in keys(shared, signal="spans", since="3h")
    assert values(shared, service, signal="spans", since="3h", end_time="now-1m")["values"] == []


@pytest.mark.parametrize(
    ("path", "given", "parameter", "said"),
    [
        ("/api/attributes", {"signal": "traces"}, "signal", "spans, logs, metrics, resource, scope"),
        ("/api/attributes/a/values", {"signal": "all"}, "signal", "spans, logs, metrics, resource, scope"),
        ("/api/attributes", {"signal": "scope", "service": "shop"}, "service", "signal=resource"),
        ("/api/attributes/a/values", {"signal": "scope", "service": "shop"}, "service", "signal=resource"),
    ],
)
def test_errors(shared: Server, path: str, given: dict[str, str], parameter: str, said: str) -> None:
    answer = shared.get(path, **given)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["parameter"] == parameter
    assert said in error["message"] + error["hint"]


@pytest.mark.parametrize("key", ["no/such.key", "'; drop table otel_scopes_dim; --", "\0", "$1", "%", "__table__"])
def test_a_key_that_is_nowhere(shared: Server, key: str) -> None:
    answer = values(shared, key)
    assert (answer["key"], answer["signal"], answer["values"], answer["total"]) == (key, None, [], 0)


def asking(database_url: str, promoted: Any, *paths: str) -> list[Any]:
    """The answers to one path after the other."""

    async def session() -> list[Any]:
        database = ReadDatabase(database_url, load(environ={}))
        host = Host(promoted, unasked, Filtered())
        transport = httpx.ASGITransport(Starlette(routes=routes(Tails(database, 3600), host)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test", verify=False) as client:
            found = [(await client.get(path)).json() for path in paths]
        await database.close()
        return found

    return asyncio.run(session())


def test_every_key_of_many_rows(database_url: str) -> None:
    fill = """
        INSERT INTO otel_metric_series_dim
            (series_id, metric_id, resource_id, scope_id, series_hash, identity_hash, attributes)
        SELECT n, 1, 1, 1, sha256(n::text::bytea), '', jsonb_build_object('common', n % 3, 'key-' || n / 4, n)
        FROM generate_series(1, $1::int) AS n"""
    rows = 5 * ROWS
    execute(database_url, fill, rows)
    promoted = {"metrics": {"key-7": frozenset({"int"}), "key-8": frozenset({"string"})}}
    (answer,) = asking(database_url, lambda: promoted, "/attributes?signal=metrics&limit=1000")
    assert answer["total"] == rows // 4 + 2
    assert [item["key"] for item in answer["attributes"] if item["promoted"]] == ["key-7"]
    assert {tuple(item["types"]) for item in answer["attributes"]} == {("int",)}


def test_promotion_is_asked_for_each_time(database_url: str) -> None:
    fill = """
        INSERT INTO otel_resources_dim (dropped_attributes_count, resource_hash, schema_url, attributes)
        VALUES (0, '', '', '{"a": "b"}')"""
    execute(database_url, fill)
    promotions = iter([frozenset[str](), frozenset({"string"})])
    found = asking(database_url, lambda: {"resource": {"a": next(promotions)}}, *["/attributes?signal=resource"] * 2)
    assert [answer["attributes"][0]["promoted"] for answer in found] == [False, True]
