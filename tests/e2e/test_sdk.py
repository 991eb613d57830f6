"""The OpenTelemetry Python SDK sends an instrumented service's telemetry, over HTTP straight to Postel and over gRPC
to a Collector that sends on: API and views answer it field by field."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import format_span_id, format_trace_id

from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.e2e.answers import answered, rows
from tests.e2e.collector import collecting, require_collector, wait_until_stored
from tests.e2e.instrumented import RESOURCE, SERVICE, Sent, over_grpc, over_http, run_shop
from tests.exporter.asking import own_database
from tests.queries.otlp import parse, records
from tests.running import Server, serving

STATUSES = {"UNSET": "unset", "OK": "ok", "ERROR": "error"}


@pytest.fixture(scope="module", params=["straight", "through the Collector"])
def way(request: pytest.FixtureRequest) -> str:
    """How the telemetry gets to Postel."""
    if request.param != "straight":
        require_collector()
    return str(request.param)


@pytest.fixture(scope="module")
def server(way: str, server_url: str, template: str) -> Iterator[Server]:
    with own_database(server_url, template) as url, serving(url) as running:
        yield running


@pytest.fixture(scope="module")
def sent(way: str, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    if way == "straight":
        return run_shop(over_http(server.url))
    with collecting(server.url, tmp_path_factory.mktemp("collector"), "gateway.yaml") as collector:
        found = run_shop(over_grpc(collector.grpc))
        wait_until_stored(server, {SPANS: len(found.spans), LOGS: len(found.logs), METRICS: len(points(found.metrics))})
    return found


def points(data: list[MetricsData]) -> list[tuple[Any, Any, Any]]:
    """(scope, metric, point) of everything."""
    return [
        (scope.scope, metric, point)
        for found in data
        for resource in found.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def plain(attributes: Any) -> dict[str, Any]:
    """Attributes as JSON has them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in (attributes or {}).items()}


def test_everything_was_sent_and_counted(server: Server, sent: Sent) -> None:
    exposed = server.get("/metrics").text.splitlines()
    for signal, count in (("spans", len(sent.spans)), ("logs", len(sent.logs)), ("metrics", len(points(sent.metrics)))):
        assert count > 4
        assert f'postel_accepted_records_total{{signal="{signal}"}} {float(count)}' in exposed
    assert not [line for line in exposed if line.startswith(("postel_rejected", "postel_sanitised_values_total"))]
    kinds = Counter(span.kind.name for span in sent.spans)
    assert (kinds["CLIENT"], kinds["SERVER"], kinds["PRODUCER"]) == (4, 4, 4)
    assert {type(metric.data).__name__ for _, metric, _ in points(sent.metrics)} == {"Sum", "Histogram", "Gauge"}
    assert any(point.exemplars for _, _, point in points(sent.metrics))


def test_otlp_gives_back_what_the_sdk_encoded(server: Server, sent: Sent) -> None:
    encoded: dict[str, tuple[str, list[Any]]] = {
        "traces": ("/api/spans", [encode_spans(sent.spans)]),
        "logs": ("/api/logs", [encode_logs(sent.logs)]),
        "metrics": ("/api/metrics/series", [encode_metrics(data) for data in sent.metrics]),
    }
    for span in (s for r in encoded["traces"][1][0].resource_spans for sc in r.scope_spans for s in sc.spans):
        if not span.status.ListFields():
            span.ClearField("status")  # the SDK sends an empty one, which says as much as none
    for signal, (path, requests) in encoded.items():
        found = records(parse(signal, answered(server, path, format="otlp")))
        expected = Counter(chain.from_iterable(records(request).elements() for request in requests))
        assert found == expected, signal


def assert_placed(found: dict[str, Any], scope: Any) -> None:
    """The resource and scope of a view's row."""
    assert (found["service_name"], found["service_namespace"]) == (SERVICE, "shop")
    assert found["resource_attributes"] == plain(RESOURCE.attributes)
    assert found["resource_schema_url"] == RESOURCE.schema_url
    assert (found["scope_name"], found["scope_version"] or "") == (scope.name, scope.version or "")
    assert found["scope_attributes"] == plain(scope.attributes)
    assert (found["scope_schema_url"] or "") == (scope.schema_url or "")


def test_spans(server: Server, sent: Sent) -> None:
    by_id = {span["span_id"]: span for span in answered(server, "/api/spans")["spans"]}
    in_view = {row["span_id"]: row for row in rows(server, "v_otel_spans_enriched")}
    assert len(sent.spans) == len(by_id) == len(in_view)
    for span in sent.spans:
        assert span.context is not None
        found, row = by_id[format_span_id(span.context.span_id)], in_view[format_span_id(span.context.span_id)]
        expected = {
            "trace_id": format_trace_id(span.context.trace_id),
            "name": span.name,
            "start_time_unix_nano": span.start_time,
            "end_time_unix_nano": span.end_time,
            "duration_nanos": (span.end_time or 0) - (span.start_time or 0),
            "attributes": plain(span.attributes),
            "status_message": span.status.description,
        }
        parent = format_span_id(span.parent.span_id) if span.parent else None
        for answer, ours in ((found, "parent_span_id"), (row, "parent_span_id_hex")):
            assert {name: answer[name] for name in expected} == expected
            assert answer[ours] == parent
            assert_same_parts(answer, span)
        kind, status = span.kind.name.lower(), STATUSES[span.status.status_code.name]
        assert (found["kind"], found["status"]) == (row["kind_name"], row["status_name"]) == (kind, status)
        assert (found["scope_name"], found["service_name"]) == (row["scope_name"], SERVICE)
        assert_placed(row, span.instrumentation_scope)


def assert_same_parts(answer: dict[str, Any], span: ReadableSpan) -> None:
    """Events and links, in their order."""
    for found, event in zip(answer["events"], span.events, strict=True):
        assert (found["name"], found["time_unix_nano"]) == (event.name, event.timestamp)
        assert found["attributes"] == plain(event.attributes)
    for found, link in zip(answer["links"], span.links, strict=True):
        assert found["trace_id"] == format_trace_id(link.context.trace_id)
        assert found["span_id"] == format_span_id(link.context.span_id)
        assert found["attributes"] == plain(link.attributes)


def test_the_failed_order_is_one_trace_over_two_processes(server: Server, sent: Sent) -> None:
    (failed,) = [span for span in sent.spans if span.name == "place order" and not span.status.is_ok]
    assert failed.context is not None
    trace_id = format_trace_id(failed.context.trace_id)
    (exception,) = failed.events
    assert "größer" in str((exception.attributes or {})["exception.message"])
    spans = answered(server, "/api/traces", status="error")["traces"]
    assert trace_id in [trace["trace_id"] for trace in spans]
    tree = server.get(f"/api/traces/{trace_id}").json()
    assert [(span["kind"], span["depth"]) for span in tree["spans"]][:3] == [
        ("client", 0),
        ("server", 1),
        ("internal", 2),
    ]
    traces = {row["trace_id"]: row for row in rows(server, "v_otel_traces")}
    ours = [span for span in sent.spans if span.context and span.context.trace_id == failed.context.trace_id]
    assert traces[trace_id]["span_count"] == len(ours) == tree["span_count"]
    assert traces[trace_id]["error_count"] == sum(span.status.status_code.name == "ERROR" for span in ours)
    assert (traces[trace_id]["root_span_name"], traces[trace_id]["root_span_kind"]) == ("GET", "client")


def test_logs(server: Server, sent: Sent) -> None:
    answers = answered(server, "/api/logs")["logs"]
    in_view = rows(server, "v_otel_logs_enriched")
    assert len(answers) == len(in_view) == len(sent.logs) == 6
    assert {record.log_record.severity_text for record in sent.logs} == {"INFO", "ERROR", "WARN"}
    by_time = {(found["time_unix_nano"], "view"): found for found in in_view}
    by_time |= {(found["time_unix_nano"], "json"): found for found in answers}
    span_ids = {format_span_id(span.context.span_id) for span in sent.spans if span.context}
    for sent_log in sent.logs:
        log = sent_log.log_record
        expected = {
            "observed_time_unix_nano": log.observed_timestamp,
            "severity_number": log.severity_number.value if log.severity_number else 0,
            "severity_text": log.severity_text,
            "body": log.body,
            "attributes": plain(log.attributes),
            "trace_id": format_trace_id(log.trace_id) if log.trace_id else None,
            "span_id": format_span_id(log.span_id) if log.span_id else None,
            "service_name": SERVICE,
        }
        for form in ("json", "view"):
            found = by_time[log.timestamp or 0, form]
            assert {name: found[name] for name in expected} == expected
        assert_placed(by_time[log.timestamp or 0, "view"], sent_log.instrumentation_scope)
        if log.span_id:
            assert format_span_id(log.span_id) in span_ids
            correlated = answered(server, "/api/logs", trace_id=format_trace_id(log.trace_id or 0))["logs"]
            assert by_time[log.timestamp or 0, "json"] in correlated


def test_metrics(server: Server, sent: Sent) -> None:
    in_view = rows(server, "v_otel_metrics_enriched")
    lines = answered(server, "/api/metrics/series")["series"]
    expected = points(sent.metrics)
    assert len(in_view) == len(expected) == len(list(chain.from_iterable(line["data_points"] for line in lines)))
    for scope, metric, point in expected:
        key = (metric.name, point.time_unix_nano)
        attributes = plain(point.attributes)
        (row,) = [
            r for r in in_view if (r["metric_name"], r["time_unix_nano"]) == key and r["attributes"] == attributes
        ]
        (line,) = [e for e in lines if e["metric_name"] == metric.name and e["attributes"] == attributes]
        (found,) = line["data_points"]
        assert_placed(row, scope)
        assert line["resource"] == plain(RESOURCE.attributes)
        assert (row["unit"] or "", row["description"] or "") == (metric.unit or "", metric.description or "")
        assert found["time_unix_nano"] == point.time_unix_nano
        assert row["start_time_unix_nano"] == point.start_time_unix_nano
        kind = type(metric.data).__name__.lower()
        assert row["metric_type"] == kind
        if kind == "histogram":
            counts = [bucket["count"] for bucket in found["buckets"]]
            bounds = [bucket["upper_bound"] for bucket in found["buckets"]]
            assert (counts, bounds) == (list(point.bucket_counts), [*point.explicit_bounds, None])
            for answer in (found, row):
                told = tuple(answer[name] for name in ("count", "sum", "min", "max"))
                assert told == (point.count, point.sum, point.min, point.max)
        else:
            assert found["value"] == row["value"] == point.value
        if kind == "sum":
            assert row["is_monotonic"] == metric.data.is_monotonic
        if kind != "gauge":
            assert row["aggregation_temporality_id"] == metric.data.aggregation_temporality.value


def test_exemplars(server: Server, sent: Sent) -> None:
    made = [(metric.name, exemplar) for _, metric, point in points(sent.metrics) for exemplar in point.exemplars]
    expected = Counter(
        (name, e.value, e.time_unix_nano, format_span_id(e.span_id or 0), format_trace_id(e.trace_id or 0))
        for name, e in made
    )
    names = ("metric_name", "value", "exemplar_time_unix_nano", "span_id", "trace_id")
    found = Counter(tuple(row[name] for name in names) for row in rows(server, "v_otel_exemplars"))
    assert found == expected
    known = {format_trace_id(span.context.trace_id) for span in sent.spans if span.context}
    assert {trace_id for *_, trace_id in found} <= known
