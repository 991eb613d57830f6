"""Operations of a service and the graph of services, asked over HTTP right after the spans were sent."""

import json
import time
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.queries.sending import SECOND, ago, get, send_logs, send_spans, span
from tests.running import Server

MILLISECOND = 1_000_000


def lasting(number: int, milliseconds: int, **fields: Any) -> Span:
    """A span of half a minute ago that lasts so long."""
    start = ago(30)
    return span(number, start, end_time_unix_nano=start + milliseconds * MILLISECOND, **fields)


def test_operations(shared: Server, service: str) -> None:
    fast = [lasting(number, 1, name="GET /", error=number == 1) for number in range(1, 20)]
    send_spans(shared, service, [*fast, lasting(20, 100, name="GET /"), lasting(21, 5, name="GET /", kind=3)])
    answer = get(shared, f"/api/services/{service}/operations", since="30m")
    first, second = answer["operations"]
    assert (first["name"], first["kind"], first["calls"], first["errors"]) == ("GET /", "server", 20, 1)
    assert first["error_share"] == 0.05
    length = (answer["window"]["end_time"] - answer["window"]["start_time"]) / SECOND
    assert first["rate"] == pytest.approx(20 / length)
    assert 1800 <= length <= 1860
    assert first["p50_nanos"] == pytest.approx(MILLISECOND, rel=0.05)
    assert first["p95_nanos"] == pytest.approx(MILLISECOND, rel=0.05)
    assert first["p99_nanos"] == pytest.approx(100 * MILLISECOND, rel=0.05)
    assert (second["kind"], second["calls"], second["error_share"]) == ("client", 1, 0)
    assert (answer["complete"], answer["total"], answer["has_more"]) == (True, 2, False)


def test_names_with_slashes(shared: Server, service: str) -> None:
    name = f"{service}/of/operations/ö"
    send_spans(shared, name, [lasting(1, 1)])
    for path in (name, quote(name, safe="")):
        answer = httpx.get(f"{shared.url}/api/services/{path}/operations", verify=False)
        assert [found["calls"] for found in answer.json()["operations"]] == [1]


def test_filters_of_operations(shared: Server, service: str) -> None:
    send_spans(shared, service, [lasting(1, 1, name="a"), lasting(2, 1, name="b", kind=99)])
    send_spans(shared, service, [lasting(3, 1, name="a")], **{"service.namespace": "lab"})
    path = f"/api/services/{service}/operations"

    def found(**parameters: object) -> list[tuple[str, object, int]]:
        return [(o["name"], o["kind"], o["calls"]) for o in get(shared, path, **parameters)["operations"]]

    assert found() == [("a", "server", 2), ("b", 99, 1)]
    assert found(namespace="lab") == [("a", "server", 1)]
    assert found(name="b") == [("b", 99, 1)]
    assert found(kind=["server", "client"]) == [("a", "server", 2)]
    assert found(kind="client") == []
    assert found(end_time="now-1m") == []
    assert found(start_time="now-1m") == found()


def test_pages_of_operations(shared: Server, service: str) -> None:
    send_spans(shared, service, [lasting(number, 1, name=f"op{number}") for number in range(1, 6)])
    path = f"/api/services/{service}/operations"
    first = get(shared, path, limit="3")
    send_spans(shared, service, [lasting(9, 1, name="zz")])
    second = get(shared, path, limit="3", cursor=first["next_cursor"])
    assert [o["name"] for o in first["operations"] + second["operations"]] == [*(f"op{n}" for n in range(1, 6)), "zz"]
    assert first["window"] == second["window"]


def test_services_that_there_are_not(shared: Server, service: str) -> None:
    send_logs(shared, service, [ago(1)])
    assert get(shared, f"/api/services/{service}/operations")["operations"] == []
    for path, parameters in (
        (f"/api/services/{service}x/operations", {}),
        ("/api/services/graph", {"service": f"{service}x"}),
    ):
        answer = shared.get(path, **parameters)
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["code"], error["parameter"]) == ("not_found", "service")
        assert service in error["hint"]
    assert "/api/services" in shared.get("/api/services/%E2%82%AC/operations").json()["error"]["hint"]


def test_graph(shared: Server, service: str) -> None:
    trace, sent_trace = uuid4().bytes, uuid4().bytes
    web, cart, mail = f"{service}-web", f"{service}-cart", f"{service}-mail"
    client, producer = lasting(2, 9, trace=trace, parent=1, kind=3), lasting(5, 1, trace=sent_trace, kind=4)
    send_spans(shared, web, [lasting(1, 10, trace=trace), client])
    called = lasting(3, 8, trace=trace, parent=2, error=True)
    send_spans(shared, cart, [called, lasting(4, 2, trace=trace, parent=3, kind=2), producer])
    consumed = lasting(6, 3, kind=5)
    consumed.links.add(trace_id=sent_trace, span_id=producer.span_id)
    send_spans(shared, mail, [consumed], **{"service.namespace": "lab"})
    answer = get(shared, "/api/services/graph", service=[web, cart, mail])
    call, message = sorted(answer["edges"], key=lambda edge: edge["kind"])
    assert (call["client_service_name"], call["server_service_name"], call["kind"]) == (web, cart, "call")
    assert (call["calls"], call["errors"], call["error_share"]) == (1, 1, 1)
    assert call["p50_nanos"] == pytest.approx(8 * MILLISECOND, rel=0.05)
    assert (message["client_service_name"], message["server_service_name"]) == (cart, mail)
    assert (message["kind"], message["errors"], message["server_service_namespace"]) == ("message", 0, "lab")
    nodes = {(node["service_name"], node["service_namespace"]): node["span_count"] for node in answer["nodes"]}
    assert nodes == {(web, None): 2, (cart, None): 3, (mail, "lab"): 1}

    def clients(**parameters: str) -> list[str]:
        return [edge["client_service_name"] for edge in get(shared, "/api/services/graph", **parameters)["edges"]]

    assert clients(service=web) == [web]
    assert sorted(clients(service=cart)) == [cart, web]
    assert clients(service=mail, namespace="lab") == [cart]
    assert clients(service=web, namespace="lab") == []
    assert len(get(shared, "/api/services/graph", service=web)["nodes"]) == 2
    assert {web, cart, mail} < {node["service_name"] for node in get(shared, "/api/services/graph")["nodes"]}
    lines = shared.get("/api/services/graph", service=web, format="ndjson").text.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["call"]


def test_a_service_is_seen_when_it_sends(shared: Server, service: str) -> None:
    """Though the row of its resource is touched every now and then only."""
    send_spans(shared, service, [span(1, ago(30))])
    time.sleep(1.1)
    moment = ago(0)
    send_spans(shared, service, [span(2, moment)])
    (found,) = [s for s in get(shared, "/api/services", limit="1000")["services"] if s["service_name"] == service]
    assert datetime.fromisoformat(found["last_seen"]).timestamp() >= moment // SECOND


def test_services_without_a_namespace(shared: Server, service: str) -> None:
    send_spans(shared, service, [span(1, ago(2))])
    send_spans(shared, service, [span(2, ago(1))], **{"service.namespace": "ns"})
    (found,) = get(shared, "/api/spans", service=service, namespace="")["spans"]
    assert found["span_id"].endswith("1")
    assert len(get(shared, "/api/spans", service=service, namespace="ns")["spans"]) == 1


def test_adjusted_counts(shared: Server, service: str) -> None:
    trace = uuid4().bytes
    web, cart = f"{service}-web", f"{service}-cart"
    send_spans(shared, web, [lasting(1, 10, trace=trace, kind=3)])
    called = [
        lasting(2, 8, trace=trace, parent=1, trace_state="vendor=x, ot=th:c", error=True),
        lasting(3, 1, trace=trace, parent=1, trace_state="ot=th:?"),
        lasting(4, 1, trace=trace, parent=1),
    ]
    called[0].links.add(trace_id=trace, span_id=b"12345678", trace_state="ot=rv:00000000000001;th:8")
    send_spans(shared, cart, called)

    def asked(path: str, **parameters: str) -> tuple[Any, Any]:
        given = {"since": "30m"} | parameters
        answers = [get(shared, path, **given, adjusted=text) for text in ("false", "TRUE")]
        assert [answer["adjusted"] for answer in answers] == [False, True]
        assert get(shared, path, **given)["adjusted"] is False
        last = [
            shared.get(path, **given, adjusted=text, format="text").text.splitlines()[-1] for text in ("false", "true")
        ]
        assert [line.startswith("Adjusted for sampling:") for line in last] == [False, True]
        return answers[0], answers[1]

    for stored, adjusted in (
        [answer["operations"][0] for answer in asked(f"/api/services/{cart}/operations")],
        [answer["edges"][0] for answer in asked("/api/services/graph", service=cart)],
    ):
        assert (stored["calls"], stored["errors"]) == (3, 1)
        assert (adjusted["calls"], adjusted["errors"], adjusted["error_share"]) == (6, 4, pytest.approx(4 / 6))
        assert adjusted["rate"] == pytest.approx(2 * stored["rate"], rel=0.1)
        assert stored["p50_nanos"] == pytest.approx(MILLISECOND, rel=0.05)
        assert adjusted["p50_nanos"] == pytest.approx(8 * MILLISECOND, rel=0.05), "most calls were like the failed one"
    for answer, count in zip(asked("/api/services/graph", service=cart), (3, 6), strict=True):
        assert {node["service_name"]: node["span_count"] for node in answer["nodes"]} == {web: 1, cart: count}
    for answer, count in zip(asked("/api/services"), (3, 6), strict=True):
        assert {s["service_name"]: s["span_count"] for s in answer["services"]}[cart] == count
    found = get(shared, f"/api/traces/{trace.hex()}/spans")["spans"]
    assert {s["span_id"][-1]: (s["trace_state"], s["adjusted_count"]) for s in found} == {
        "1": (None, 1),
        "2": ("vendor=x, ot=th:c", 4),
        "3": ("ot=th:?", 1),
        "4": (None, 1),
    }
    (link,) = [link for span in found for link in span["links"]]
    assert link["trace_state"] == "ot=rv:00000000000001;th:8"


@pytest.mark.parametrize("path", ["/api/spans", "/api/traces", f"/api/traces/{'ab' * 16}/spans"])
def test_lists_of_records_cannot_be_adjusted(shared: Server, path: str) -> None:
    answer = shared.get(path, adjusted="true")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["parameter"] == "adjusted"
    assert "/operations?adjusted=true" in error["hint"]


def test_adjusted_is_true_or_false(shared: Server) -> None:
    error = shared.get("/api/services", adjusted="1").json()["error"]
    assert (error["parameter"], error["hint"]) == ("adjusted", "true or false")
