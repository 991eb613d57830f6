"""The forms of an answer: which one is chosen, and that each holds the same records."""

import json
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from queries import params
from queries.formats import Form, chosen
from tests.queries import otlp, samples
from tests.queries.sending import ago, get, send_logs, send_spans, span
from tests.running import Server

ALL = params.formats_of(params.SpanSearch)
NDJSON = {"accept": "application/x-ndjson"}
PROTOBUF = {"accept": "application/x-protobuf"}


@pytest.mark.parametrize(
    ("given", "accept", "expected"),
    [
        (None, "", Form("json")),
        (None, "*/*", Form("json")),
        (None, "text/html,application/xhtml+xml,*/*;q=0.8", Form("json")),
        (None, "text/plain", Form("text")),
        (None, "application/json;q=0.5, Application/X-NDJSON", Form("ndjson")),
        (None, "text/plain;q=0, application/json", Form("json")),
        (None, "application/x-protobuf", Form("otlp", True)),
        ("otlp", "application/x-protobuf", Form("otlp", True)),
        ("otlp", "application/json, application/x-protobuf;q=0.1", Form("otlp")),
        ("otlp", "*/*", Form("otlp")),
        ("text", "application/json", Form("text")),
        (None, "text/plain;q=broken", Form("json")),
    ],
)
def test_the_parameter_goes_before_the_header(given: str | None, accept: str, expected: Form) -> None:
    assert chosen(given, accept, ALL) == expected


def test_a_form_that_is_not_there_is_json() -> None:
    assert chosen(None, "application/x-protobuf", params.formats_of(params.TraceSearch)) == Form("json")


def test_ndjson_has_a_record_a_line_and_the_link(shared: Server, service: str) -> None:
    send_logs(shared, service, [ago(n) for n in range(120)])
    answer = shared.get("/api/logs", service=service, limit="110", format="ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    page = get(shared, "/api/logs", service=service, limit="110")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == page["logs"]
    following = httpx.get(f"{shared.url}{answer.links['next']['url']}", headers=NDJSON, verify=False)
    assert len(following.text.splitlines()) == 10 and "next" not in following.links


def test_otlp_as_protobuf_is_the_same_request(shared: Server, service: str) -> None:
    request: Any = samples.spans(service)
    assert shared.post("traces", request.SerializeToString()).status_code == 200
    asked = {"service": service, "format": "otlp", "since": "100d"}
    answer = httpx.get(f"{shared.url}/api/spans", params=asked, headers=PROTOBUF, verify=False)
    assert answer.headers["content-type"] == "application/x-protobuf"
    expected = otlp.parse("traces", get(shared, "/api/spans", **asked))
    assert ExportTraceServiceRequest.FromString(answer.content) == expected


def test_a_trace_as_protobuf(shared: Server, service: str) -> None:
    one = span(1, ago(1))
    send_spans(shared, service, [one])
    answer = httpx.get(f"{shared.url}/api/traces/{one.trace_id.hex()}", headers=PROTOBUF, verify=False)
    (resource,) = ExportTraceServiceRequest.FromString(answer.content).resource_spans
    assert resource.scope_spans[0].spans[0] == one
