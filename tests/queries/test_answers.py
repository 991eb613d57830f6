"""What the endpoints answer: their fields and filters, and one shape of errors."""

import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.queries import samples
from tests.queries.sending import HOUR, SECOND, ago, get, send_logs, send_points, send_spans, span
from tests.running import Server


def test_a_trace_in_the_list(shared: Server, service: str) -> None:
    start, trace = ago(60), uuid4().bytes
    root = span(1, start, trace=trace, name="GET /", end_time_unix_nano=start + SECOND)
    child = span(2, start + 1, trace=trace, parent=1, error=True, name="query", kind=3)
    send_spans(shared, f"{service}-db", [child])
    send_spans(shared, service, [root], **{"service.namespace": "production"})
    (found,) = get(shared, "/api/traces", service=f"{service}-db")["traces"]
    assert found == {
        "trace_id": trace.hex(),
        "start_time_unix_nano": start,
        "end_time_unix_nano": start + SECOND,
        "duration_nanos": SECOND,
        "span_count": 2,
        "error_count": 1,
        "status": "error",
        "root_span_name": "GET /",
        "root_span_kind": "server",
        "root_span_id": "0000000000000001",
        "has_root": True,
        "service_name": service,
        "service_namespace": "production",
        "services": [service, f"{service}-db"],
    }


def test_filters_of_traces(shared: Server, service: str) -> None:
    now = ago(100)
    send_spans(shared, service, [span(1, now, end_time_unix_nano=now + 5_000_000), span(2, now, error=True)])

    def found(**parameters: str) -> set[str]:
        return {
            trace["root_span_id"][-1] for trace in get(shared, "/api/traces", service=service, **parameters)["traces"]
        }

    assert found() == {"1", "2"}
    assert found(status="error") == {"2"}
    assert found(status="ok") == {"1"}
    assert found(min_duration="2ms") == {"1"}
    assert found(max_duration="2ms") == {"2"}
    assert found(min_duration="2ms", max_duration="3ms") == set()
    assert found(namespace="none") == set()


def test_a_trace_of_many_hours_is_one(shared: Server, service: str) -> None:
    start, trace = ago(3 * 3600), uuid4().bytes
    spans = [span(number, start + number * HOUR, trace=trace, parent=None if number == 0 else 0) for number in range(3)]
    spans[0].span_id = b"rootroot"
    spans[2].status.code = 2  # type: ignore[assignment]
    send_spans(shared, service, spans)
    for parameters in ({}, {"status": "error"}, {"min_duration": "90m"}):
        (found,) = get(shared, "/api/traces", service=service, since="1d", **parameters)["traces"]
        assert (found["span_count"], found["error_count"], found["start_time_unix_nano"]) == (3, 1, start)
        assert found["duration_nanos"] == 2 * HOUR + 1_000_000
    assert get(shared, "/api/traces", service=service, since="1d", status="ok")["traces"] == []
    assert get(shared, "/api/traces", service=service, since="90m")["traces"] == []
    assert get(shared, f"/api/traces/{trace.hex()}")["span_count"] == 3


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_hours_that_come_by_themselves_and_without_a_root_are_one_trace(
    shared: Server, service: str, order: tuple[int, ...]
) -> None:
    start, trace = ago(4 * 3600), uuid4().bytes
    for hour in order:
        name = f"{service}-{hour}"
        send_spans(shared, name, [span(hour + 1, start + hour * HOUR, trace=trace, error=hour == 1)])
    for parameters, expected in (
        ({"status": "error"}, 3),
        ({"status": "ok"}, None),
        ({"min_duration": "2h"}, 3),
        ({"max_duration": "119m"}, None),
        ({"root_service": f"{service}-0"}, 3),
        ({"root_service": f"{service}-2"}, None),
        ({"service": f"{service}-2"}, 3),
    ):
        asked = {"service": f"{service}-1", "since": "1d"} | parameters
        found = get(shared, "/api/traces", **asked)["traces"]
        assert [trace["span_count"] for trace in found] == ([expected] if expected else []), parameters
        assert all(trace["start_time_unix_nano"] == start for trace in found)


def test_a_whole_trace_as_a_tree(shared: Server, service: str) -> None:
    now, trace = ago(30), uuid4().bytes
    send_spans(
        shared,
        service,
        [
            span(1, now, trace=trace),
            span(4, now + 3, trace=trace, parent=1),
            span(2, now + 1, trace=trace, parent=1),
            span(3, now + 2, trace=trace, parent=2),
            span(5, now + 4, trace=trace, parent=99),
            span(7, now + 6, trace=trace, parent=6),
            span(6, now + 5, trace=trace, parent=7),
            span(8, now + 7, trace=trace, parent=8),
        ],
    )
    answer = get(shared, f"/api/v2/traces/{trace.hex().upper()}")
    tree = [(int(found["span_id"], 16), found["depth"]) for found in answer["spans"]]
    assert tree[:5] == [(1, 0), (2, 1), (3, 2), (4, 1), (5, 0)]
    assert sorted(number for number, _ in tree[5:]) == [6, 7, 8]
    (resource,) = answer["resources"]
    assert resource["attributes"] == {"service.name": service}
    assert [scope["name"] for scope in answer["scopes"]] == ["lib"]
    assert answer["spans"][0]["resource_id"] == resource["resource_id"]


def test_spans_of_a_trace_by_convention_and_kind(shared: Server, service: str) -> None:
    now, trace = ago(30 * 86400 - 60), uuid4().bytes
    http = span(1, now, trace=trace, attributes={"http.request.method": "GET"})
    database = span(2, now, trace=trace, parent=1, kind=3, attributes={"db.system": "postgresql"})
    send_spans(shared, service, [database, http])
    path = f"/api/traces/{trace.hex()}/spans"
    assert [found["semantic_type"] for found in get(shared, path)["spans"]] == ["http", "db"]
    assert [found["kind"] for found in get(shared, path, semantic_type="db")["spans"]] == ["client"]
    assert [found["kind"] for found in get(shared, path, kind="server")["spans"]] == ["server"]
    assert get(shared, path, semantic_type="aws")["total"] == 0


def test_filters_of_spans(shared: Server, service: str) -> None:
    now, trace = ago(50), uuid4().bytes
    spans = [
        span(1, now, trace=trace, name=service),
        span(2, now, kind=3, name=service),
        span(3, now, error=True, name="other"),
        span(4, now, end_time_unix_nano=now + SECOND),
    ]
    send_spans(shared, service, spans)

    def found(**parameters: Any) -> set[int]:
        return {int(item["span_id"], 16) for item in get(shared, "/api/spans", **parameters)["spans"]}

    assert found(service=service) == {1, 2, 3, 4}
    assert found(service=[service, "nobody's"], kind="client") == {2}
    assert found(name=service) == {1, 2}
    assert found(name=[service, "other"], service=service) == {1, 2, 3}
    assert found(service=service, status="error") == {3}
    assert found(service=service, status="unset", min_duration="500ms") == {4}
    assert found(service=service, max_duration="500ms") == {1, 2, 3}
    assert found(trace_id=trace.hex()) == {1}
    assert found(service=service, span_id="0000000000000002") == {2}
    assert found(service=service, start_time=now + 1) == set()
    assert found(service=service, start_time=now, end_time=now + 1) == {1, 2, 3, 4}


def test_many_services_at_once(shared: Server, service: str) -> None:
    names = [f"{service}-{number}" for number in range(15)]
    for number, name in enumerate(names):
        send_spans(shared, name, [span(number + 1, ago(number))])
    found = get(shared, "/api/spans", service=names)["spans"]
    assert [item["service_name"] for item in found] == names


def test_a_span_with_everything(shared: Server, service: str) -> None:
    now, trace = time.time_ns(), uuid4().bytes
    request = samples.spans(service, now)
    for resource in request.resource_spans:
        for sent in resource.scope_spans[0].spans:
            sent.trace_id = trace
    shared.post("traces", request.SerializeToString())
    answer = get(shared, f"/api/traces/{trace.hex()}/spans")
    by_id = {item["span_id"]: item for item in answer["spans"]}
    full = by_id["ff" * 8]
    assert full["attributes"] == {
        "text": "größer",
        "nul": "a\0b\x1ac",
        "int": -(1 << 63),
        "large": (1 << 53) + 1,
        "double": 1.0,
        "huge": 1e300,
        "2^63": 9223372036854775808.0,
        "tiny": 5e-324,
        "nan": "NaN",
        "inf": "-Infinity",
        "-0": 0.0,
        "yes": True,
        "bytes": {"bytesValue": "AP8="},
        "list": [1, 1.0, "1", None, [{"bytesValue": ""}], {"a": {}}],
        "lookalike": {"intValue": "7"},
        "": "empty key",
        "null": None,
    }
    assert (full["flags"], full["dropped_links_count"], full["status_message"]) == (0xFFFFFFFF, 0xFFFFFFFF, "gone")
    assert full["events"][0]["time_unix_nano"] == (1 << 64) - 1
    assert [link["span_id"] for link in full["links"]] == ["3132333435363738", None]
    bare = by_id[b"12345678".hex()]
    assert (bare["parent_span_id"], bare["trace_state"], bare["sent_time_unix_nano"]) == (None, None, None)
    early = by_id[b"12345679".hex()]
    assert (early["kind"], early["sent_time_unix_nano"], early["duration_nanos"]) == (17, 0, 5)
    assert early["start_time_unix_nano"] >= now
    zero = by_id[b"12345670".hex()]
    assert (zero["sent_time_unix_nano"], zero["duration_nanos"]) == (samples.ZERO_TIME_OF_GO, 0)
    nobody = by_id[b"nobody's".hex()]
    assert (nobody["service_name"], nobody["duration_nanos"]) == ("unknown_service", 0)
    assert all(item.keys() == full.keys() for item in by_id.values())


def test_logs(shared: Server, service: str) -> None:
    now = ago(20)
    trace = uuid4().bytes
    send_logs(shared, service, [now], severity_number=17, severity_text="ERROR", trace_id=trace, span_id=b"12345678")
    send_logs(shared, service, [now - 1], severity_number=9, event_name="started")

    def found(**parameters: Any) -> list[int]:
        return [item["severity_number"] for item in get(shared, "/api/logs", **parameters)["logs"]]

    assert found(service=service) == [17, 9]
    assert found(service=service, severity="warn") == [17]
    assert found(service=service, severity="9") == [17, 9]
    assert found(service=service, event_name="started") == [9]
    assert found(trace_id=trace.hex()) == [17]
    assert found(service=service, span_id=b"12345678".hex()) == [17]
    log = get(shared, "/api/logs", trace_id=trace.hex())["logs"][0]
    assert (log["body"], log["trace_id"], log["span_id"]) == (f"at {now}", trace.hex(), b"12345678".hex())
    assert (log["event_name"], log["observed_time_unix_nano"], log["severity_text"]) == (None, None, "ERROR")


def test_bodies_of_every_kind(shared: Server, service: str) -> None:
    now = time.time_ns()
    shared.post("logs", samples.logs(service, now).SerializeToString())
    bodies = [log["body"] for log in get(shared, "/api/logs", service=service, end_time="now+1m", limit="1000")["logs"]]
    for expected in ("hello\0", "NaN", {"bytesValue": "AP8="}, {"intValue": "7"}, {"doubleValue": 1}, None, True, {}):
        assert expected in bodies
    no_time = [
        log
        for log in get(shared, "/api/logs", service=service, end_time="now+1m")["logs"]
        if log["sent_time_unix_nano"] == 0
    ]
    assert [log["time_unix_nano"] for log in no_time] == [now]


def test_series_of_a_metric(shared: Server, service: str) -> None:
    now = ago(10)
    send_points(shared, service, service, [now, now - 5], method="GET")
    send_points(shared, service, service, [now - 1], method="POST")
    answer = get(shared, "/api/metrics/series", name=service)
    assert (answer["metric_name"], answer["unit"], answer["metric_type"]) == (service, "ms", "gauge")
    get_line, post_line = answer["series"]
    assert (get_line["resource"], get_line["attributes"]) == ({"service.name": service}, {"method": "GET"})
    assert [point["value"] for point in get_line["data_points"]] == [0, 1]
    assert [point["time_unix_nano"] for point in post_line["data_points"]] == [now - 1]
    assert get(shared, "/api/metrics/series", name="no.such/metric")["series"] == []


def test_points_of_every_type(shared: Server, service: str) -> None:
    shared.post("metrics", samples.metrics(service, ago(5)).SerializeToString())
    lines = get(shared, "/api/metrics/series", service=service, limit="1000")["series"]
    by_name = {line["metric_name"]: line["data_points"][0] for line in lines if "bare" not in line["attributes"]}
    assert by_name["histogram"]["count"] == (1 << 64) - 1
    assert by_name["histogram"]["buckets"][2:] == [
        {"upper_bound": 1.5, "count": (1 << 64) - 1},
        {"upper_bound": "Infinity", "count": 4},
        {"upper_bound": None, "count": 5},
    ]
    assert by_name["histogram"]["exemplars"][0]["trace_id"] == samples.TRACE.hex()
    assert by_name["exponential"]["buckets"] == {
        "scale": -10,
        "zero_count": 1 << 63,
        "zero_threshold": 0.25,
        "positive": {"offset": -7, "bucket_counts": [0, (1 << 64) - 1]},
        "negative": {"offset": 0, "bucket_counts": []},
    }
    assert by_name["summary"]["quantiles"][0] == {"quantile": 0.0, "value": "NaN"}
    bare = {line["metric_name"]: line["data_points"][0] for line in lines if "bare" in line["attributes"]}
    assert bare["gauge"]["value"] is None
    assert (bare["histogram"]["sum"], bare["histogram"]["buckets"]) == (None, [])


def test_another_unit_or_bounds_is_the_same_line(shared: Server, service: str) -> None:
    now = ago(5)
    request = samples.metrics(service, now)
    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    for metric in list(metrics):
        if metric.name != "histogram":
            metrics.remove(metric)
    points = metrics[0].histogram.data_points
    del points[1:]
    again = points.add()
    again.CopyFrom(points[0])
    again.time_unix_nano -= 1
    del again.explicit_bounds[:], again.bucket_counts[:]
    shared.post("metrics", request.SerializeToString())
    (line,) = get(shared, "/api/metrics/series", service=service)["series"]
    assert len(line["data_points"]) == 2


def test_names_of_metrics(shared: Server, service: str) -> None:
    send_points(shared, service, f"{service}/a", [ago(5)], method="GET")
    send_points(shared, service, f"{service}/a", [ago(5)], method="POST")
    send_points(shared, service, f"{service}/b", [ago(5)])
    a, b = get(shared, "/api/metrics", service=service, since="1h")["metrics"]
    assert (a["name"], a["type"], a["unit"], a["description"]) == (f"{service}/a", "gauge", "ms", "How long")
    assert (a["series_count"], b["series_count"], a["is_monotonic"]) == (2, 1, None)
    assert get(shared, "/api/metrics", name=f"{service}/b")["metrics"] == [b]


def test_services(shared: Server, service: str) -> None:
    send_spans(shared, service, [span(1, ago(5)), span(2, ago(7200))], **{"service.namespace": service})
    send_logs(shared, service, [ago(5)])
    send_spans(shared, None, [span(3, ago(5))])
    found = get(shared, "/api/services", limit="1000")["services"]
    assert "unknown_service" in {item["service_name"] for item in found}
    ours = [item for item in found if item["service_name"] == service]
    assert [(item["service_namespace"], item["span_count"], item["log_count"]) for item in ours] == [
        (None, 0, 1),
        (service, 1, 0),
    ]
    (named,) = get(shared, "/api/services", namespace=service, since="3h")["services"]
    assert named["span_count"] == 2


@pytest.mark.parametrize(
    ("path", "status", "parameter"),
    [
        ("/api/traces?servce=x", 400, "servce"),
        ("/api/traces/xyz", 400, "trace_id"),
        (f"/api/traces/{'0' * 32}", 404, "trace_id"),
        (f"/api/traces/{'0' * 32}/spans", 404, "trace_id"),
        ("/api/spans?cursor=xyz", 400, "cursor"),
        ("/api/logs?limit=many", 400, "limit"),
        ("/api/metrics/series?start_time=2&end_time=1", 400, "start_time"),
        ("/api/services?format=otlp", 400, "format"),
        ("/api/tracs", 404, None),
        ("/api/v2/nothing/like/it", 404, None),
    ],
)
def test_errors(shared: Server, path: str, status: int, parameter: str | None) -> None:
    answer = httpx.get(shared.url + path, verify=False)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error.get("parameter") == parameter
    assert error["code"] and error["message"] and error["hint"]


@pytest.mark.parametrize("text", ["'; drop table otel_spans_fact; --", "\0", "%00", "$1", "__driver__", "\x1a"])
def test_values_are_only_values(shared: Server, text: str) -> None:
    for path in ("/api/spans", "/api/logs", "/api/metrics/series", "/api/metrics", "/api/traces"):
        assert get(shared, path, service=text)["total"] == 0
    assert get(shared, "/api/spans", name=text)["total"] == 0
