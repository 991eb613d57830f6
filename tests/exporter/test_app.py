"""The HTTP table, row by row: status, content type, and a body in the encoding of the request.

Source: opentelemetry-proto `docs/specification.md`, "OTLP/HTTP".
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from exporter.otlp.http import PATHS
from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.exporter.asking import JSON, PROTOBUF, Asker, asker, own_database, parsed, status_of
from tests.exporter.sending import NOW, gauge, log, logs, metrics, point, span, spans
from tests.running import Server

INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED = 3, 5, 12
MESSAGES: dict[str, Any] = {SPANS: TracesData, LOGS: LogsData, METRICS: MetricsData}
RESPONSES: dict[str, tuple[Any, str, str]] = {
    SPANS: (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    LOGS: (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    METRICS: (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
}


@pytest.fixture(scope="module")
def app(server_url: str, template: str) -> Iterator[Asker]:
    with own_database(server_url, template) as url, asker(url) as asking:
        yield asking


def as_json(signal: str, body: bytes) -> bytes:
    return message_to_json(MESSAGES[signal].FromString(body))


MEDIA_TYPES = [
    (PROTOBUF, PROTOBUF),
    ("Application/X-Protobuf", PROTOBUF),
    ("application/x-protobuf; proto=x", PROTOBUF),
    (JSON, JSON),
    ("APPLICATION/JSON;charset=UTF-8", JSON),
    (" application/json ; charset=utf-8", JSON),
]


@pytest.mark.parametrize(("sent", "answered"), MEDIA_TYPES)
def test_full_success_is_an_empty_answer(app: Asker, sent: str, answered: str) -> None:
    start = NOW + MEDIA_TYPES.index((sent, answered))
    for signal, body in (spans(span(1, 1, start)), logs(log("hi", start)), metrics(gauge("g", point(1, start)))):
        answer = app.post(PATHS[signal], as_json(signal, body) if answered == JSON else body, sent)
        assert (answer.status_code, answer.content) == (200, b"{}" if answered == JSON else b""), answer.content
        assert answer.headers["content-type"] == answered


EMPTY_JSON = [
    b"{}",
    b'{"%s":[]}',
    b'{"%s":[{}]}',
    b'{"%s":[{"resource":{},"%s":[]}]}',
    b'{"%s":[{"%s":[{"scope":{}}]}]}',
]
JSON_NAMES = {
    SPANS: (b"resourceSpans", b"scopeSpans"),
    LOGS: (b"resourceLogs", b"scopeLogs"),
    METRICS: (b"resourceMetrics", b"scopeMetrics"),
}


@pytest.mark.parametrize("signal", PATHS)
def test_empty_requests_and_envelopes(app: Asker, signal: str) -> None:
    for body in (b"", b"\n\x00", b"\n\x02\n\x00", b"\n\x02\x12\x00"):
        answer = app.post(PATHS[signal], body)
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", PROTOBUF)
    for text in EMPTY_JSON:
        body = text % JSON_NAMES[signal][: text.count(b"%s")]
        answer = app.post(PATHS[signal], body, JSON)
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"{}", JSON)


def refused(signal: str) -> tuple[str, bytes]:
    """One good record and one without identity (two points of a metric without name), as protobuf."""
    if signal == SPANS:
        return spans(span(5, 1), span(0, 2))
    if signal == METRICS:
        return metrics(gauge("good", point(1)), gauge("", point(1), point(2, NOW + 1)))
    raise AssertionError("a log needs no identity")


@pytest.mark.parametrize(("signal", "count"), [(SPANS, 1), (METRICS, 2)])
def test_partial_success_counts_what_was_refused(app: Asker, signal: str, count: int) -> None:
    _, body = refused(signal)
    response, field, name = RESPONSES[signal]
    for _ in range(2):  # the same answer to the same body once more
        found = parsed(response, app.post(PATHS[signal], body))
        assert getattr(found.partial_success, field) == count
        assert 0 < len(found.partial_success.error_message) < 4000
        answer = app.post(PATHS[signal], as_json(signal, body), JSON)
        assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
        partial = answer.json()["partialSuccess"]
        assert partial == {name: str(count), "errorMessage": found.partial_success.error_message}


def test_partial_success_of_logs(app: Asker) -> None:
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d"},{"timeUnixNano":"soon"}]}]}]}' % NOW
    answer = app.post("/v1/logs", body, JSON)
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedLogRecords"] == "1"
    assert "timeUnixNano" in partial["errorMessage"]


def test_a_warning_refuses_nothing(app: Asker) -> None:
    body = b'{"resource_logs":[],"resourceLogs":[{"scopeLogs":[{"logRecords":[{"time_unix_nano":"7"}]}]}]}'
    answer = app.post("/v1/logs", body, JSON)
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert set(partial) == {"errorMessage"}  # protobuf's JSON leaves a zero out
    assert "time_unix_nano" in partial["errorMessage"]


@pytest.mark.parametrize("path", PATHS.values())
@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (PROTOBUF, b"no protobuf at all"),
        (PROTOBUF, b"\n\x7fcut"),
        (JSON, b""),
        (JSON, b"[]"),
        (JSON, b'{"resourceSpans":'),
        (JSON, b'{"resourceLogs":[],"resourceSpans":[],"resourceMetrics":[{"schemaUrl":"\xff"}]}'),
    ],
)
def test_undecodable_bodies(app: Asker, path: str, media_type: str, body: bytes) -> None:
    answer = app.post(path, body, media_type)
    assert answer.status_code == 400
    code, message = status_of(answer, media_type)
    assert code == INVALID_ARGUMENT
    assert message
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/grpc", "application/protobuf", "application/jsonx"]
)
def test_other_media_types(app: Asker, media_type: str) -> None:
    answer = app.post("/v1/traces", b"", media_type)
    assert answer.status_code == 415
    code, message = status_of(answer)
    assert code == INVALID_ARGUMENT
    assert JSON in message


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    "path", ["/v1/trace", "/v1/traces/", "/v1/profiles", "/v1", "/nowhere", "/v1development/profiles"]
)
def test_other_paths(app: Asker, path: str, media_type: str) -> None:
    answer = app.post(path, b"", media_type)
    assert answer.status_code == 404
    code, message = status_of(answer, media_type)
    assert code == NOT_FOUND
    assert "/v1/traces, /v1/logs, /v1/metrics" in message


@pytest.mark.parametrize("path", PATHS.values())
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_other_methods(app: Asker, path: str, method: str) -> None:
    answer = app.run(app.postel.client.request(method, path, headers={"content-type": JSON}))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == JSON
    assert method == "HEAD" or status_of(answer, JSON)[0] == UNIMPLEMENTED


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/api/traces", "/api/v2/logs"])
def test_what_is_asked_answers_get_and_head_only(app: Asker, path: str) -> None:
    for method in ("POST", "OPTIONS"):
        answer = app.run(app.postel.client.request(method, path))
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    answer = app.run(app.postel.client.head(path))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == app.get(path).headers["content-type"]


def test_answers_are_compressed_where_that_is_wanted_and_worth_it(app: Asker) -> None:
    _, body = spans(*(span(99, number + 1) for number in range(60)))
    assert app.post("/v1/traces", body).status_code == 200
    for accepted, coding in (("gzip", "gzip"), ("identity", None)):
        question = app.postel.client.get("/api/spans?since=3h&limit=60", headers={"accept-encoding": accepted})
        answer = app.run(question)
        assert (answer.headers.get("content-encoding"), answer.headers["vary"]) == (coding, "Accept-Encoding")
        assert len(answer.json()["spans"]) == 60
    small = app.run(app.postel.client.get("/api/services?limit=1", headers={"accept-encoding": "gzip"}))
    assert "content-encoding" not in small.headers


@pytest.mark.parametrize(
    "path",
    [
        "/services?since=3h",
        "/traces?since=3h",
        f"/traces/{77:032x}",
        f"/traces/{77:032x}/spans",
        "/spans?trace_id=",
        "/no",
    ],
)
def test_the_second_version_of_the_api_is_the_first(app: Asker, path: str) -> None:
    app.post("/v1/traces", spans(span(77, 1))[1])
    first, second = app.get(f"/api{path}"), app.get(f"/api/v2{path}")
    assert first.status_code == second.status_code
    assert first.headers["content-type"] == second.headers["content-type"]
    known, said = first.json(), second.json()
    for answer in (known, said):
        answer.pop("window", None)
        answer.get("error", {}).pop("message", None)
    assert known == said


def test_the_hints_work(server: Server) -> None:
    for signal, body in (spans(span(1, 1)), logs(log("x", severity_number=13)), metrics(gauge("g", point(1)))):
        assert server.post(PATHS[signal].rpartition("/")[2], body).status_code == 200
    answer = server.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    lines = answer.text.splitlines()
    assert len(lines) == 5
    for line in lines:
        assert line.startswith("curl '") and server.url in line
        asked = line.replace("curl ", "curl --silent --show-error --write-out '\\n%{http_code}' ", 1)
        done = subprocess.run(asked, shell=True, capture_output=True, text=True, timeout=30)
        content, _, status = done.stdout.rpartition("\n")
        assert (done.returncode, status, done.stderr) == (0, "200", ""), line
        assert len(content) > 2


def test_a_connection_that_its_client_has_closed_is_let_go(server: Server) -> None:
    opened = Path(f"/proc/{server.process.pid}/fd")
    before = len(list(opened.iterdir()))
    for _ in range(50):
        # A client, and so a connection, of its own each.
        assert server.get("/healthz").status_code == 200
    deadline = time.monotonic() + 20
    while (now := len(list(opened.iterdir()))) > before + 5:
        assert time.monotonic() < deadline, (before, now)
        time.sleep(0.1)
