"""A secret in what is dropped, refused, undecodable or asked for: in no table, log line, metric or other answer."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from exporter.otlp.http import PATHS
from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.promotion import OWNERS
from tests.e2e.otlp_strategy import REQUESTS
from tests.exporter.asking import JSON
from tests.exporter.sending import MALFORMED, NOW, attributes, field, gauge, log, point, span
from tests.faults.odd_records import grouped
from tests.running import Server, serving
from tests.sql.rows import ask

SECRET = "hunter2"
FORMS = (SECRET, SECRET.encode().hex(), b64encode(SECRET.encode()).decode()[:8])
"""As text, as bytea is shown, and in base64."""
HAS = {"password": SECRET, "kept": "yes"}
ATTRIBUTES = attributes(HAS)
QUICKLY = {"STATEMENT_TIMEOUT": "500ms", "REQUEST_DEADLINE": "1s"}


@pytest.fixture
def overrides(tmp_path: Path) -> str:
    """A file that drops `password` wherever it stands."""
    file = tmp_path / "overrides.yaml"
    file.write_text("drop:\n" + "".join(f"  {owner}: [password]\n" for owner in OWNERS))
    return str(file)


def everywhere(trace: int) -> Iterator[tuple[str, Any]]:
    """(signal, resource with scope and records) that carry the secret wherever attributes can stand."""
    place = {
        "resource": Resource(attributes=attributes(HAS | {"service.name": "shop"})),
        "scope": InstrumentationScope(name="lib", attributes=ATTRIBUTES),
    }
    full = span(trace, 1, has=HAS)
    full.events.add(name="e", attributes=ATTRIBUTES)
    full.links.add(attributes=ATTRIBUTES)
    exemplar = Exemplar(as_int=1, filtered_attributes=ATTRIBUTES)
    histogram = Metric(name="h")
    histogram.histogram.data_points.add(time_unix_nano=NOW + trace, attributes=ATTRIBUTES, exemplars=[exemplar])
    number = gauge("g", point(1, NOW + trace, HAS, exemplars=[exemplar]), metadata=ATTRIBUTES)
    yield SPANS, grouped(SPANS, full, **place)
    yield LOGS, grouped(LOGS, log("l", has=HAS), **place)
    yield METRICS, grouped(METRICS, number, histogram, **place)


def malformed(trace: int) -> Iterator[tuple[str, Any]]:
    """(signal, OTLP/JSON) of the same, each record refused as one of its fields is not of its type."""
    wrong = {SPANS: "startTimeUnixNano", LOGS: "flags", METRICS: "unit"}
    for signal, group in everywhere(trace):
        content = json.loads(message_to_json(group))
        (scopes,) = (value for value in content.values() if isinstance(value, list))
        (records,) = (value for value in scopes[0].values() if isinstance(value, list))
        for place, record in enumerate(records):
            # An object, so that what is said of it would quote the secret.
            record[wrong[signal]] = [{"key": "password", "value": {"stringValue": SECRET}}, {"password": SECRET}][place]
        yield signal, content


def tables_with(url: str, *texts: str) -> list[str]:
    """The tables that hold one of these texts anywhere."""
    tables = "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relname ~ '^(otel|attr)'"
    search = "SELECT '{0}' AS name WHERE EXISTS (SELECT FROM {0} AS t WHERE t::text ~ '" + "|".join(texts) + "')"
    each = (search.format(row["oid"]) for row in ask(url, tables))
    return [row["name"] for row in ask(url, " UNION ALL ".join(each))]


def test_a_secret_leaves_no_trace(database_url: str, overrides: str, capfd: pytest.CaptureFixture[str]) -> None:
    for constraint in ("otel_spans_fact ADD CHECK (span_id <> 617)", "otel_logs_fact ADD CHECK (body <> 'odd')"):
        ask(database_url, "SELECT", given=f"ALTER TABLE {constraint}")
    with serving(database_url, {"ATTRIBUTE_OVERRIDES": overrides} | QUICKLY) as server:
        _send_dropped(server)
        _send_refused(server)
        _send_undecodable(server)
        assert tables_with(database_url, "kept"), "the search finds what is there"
        assert tables_with(database_url, *FORMS) == []
        _ask_in_vain(server)
        others = [server.get(path).text for path in ("/metrics", "/readyz", "/api/services", "/api/logs")]
    said = capfd.readouterr()
    assert '"message":"ready"' in said.err
    for text in (*others, said.err, said.out):
        assert not [form for form in FORMS if form in text]
        assert "SELECT" not in text


def _post(server: Server, signal: str, group: Any) -> list[httpx.Response]:
    """Answers to a group in both encodings."""
    body = field(1, group.SerializeToString())
    request = REQUESTS[signal].FromString(body)
    path = PATHS[signal].removeprefix("/v1/")
    return [server.post(path, body), server.post(path, message_to_json(request), JSON)]


def _send_dropped(server: Server) -> None:
    for signal, group in everywhere(1):
        first, second = _post(server, signal, group)
        assert (first.content, second.content) == (b"", b"{}")


def _send_refused(server: Server) -> None:
    """Not of their type, in conflict with what is stored, or refused by PostgreSQL."""
    names = {SPANS: "resourceSpans", LOGS: "resourceLogs", METRICS: "resourceMetrics"}
    answers = []
    for signal, content in malformed(2):
        path = PATHS[signal].removeprefix("/v1/")
        answers.append(server.post(path, json.dumps({names[signal]: [content]}).encode(), JSON))
    conflict = grouped(SPANS, span(1, 1, name="other", has=HAS))
    unstorable = [
        (SPANS, grouped(SPANS, span(5, 617, has=HAS))),
        (LOGS, grouped(LOGS, log("odd", has=HAS))),
        (SPANS, conflict),
    ]
    for signal, group in unstorable:
        answers += _post(server, signal, group)
    assert {answer.status_code for answer in answers} == {200}
    reasons = ask(server.database_url, "SELECT DISTINCT reason FROM otel_rejected_records ORDER BY 1")
    assert [row["reason"] for row in reasons] == ["conflict", "malformed", "unstorable"]


def _send_undecodable(server: Server) -> None:
    secret = SECRET.encode()
    for path in ("traces", "logs", "metrics"):
        for body in (MALFORMED + secret, secret + b"\xff"):
            assert server.post(path, body).status_code == 400
        for body in (secret, b'{"resourceSpans":"%b","resourceLogs":"%b","resourceMetrics":"%b"}' % ((secret,) * 3)):
            assert server.post(path, body, JSON).status_code == 400
        assert server.post(path, secret, content_encoding="gzip").status_code == 400
        assert server.post(path, b"", f"text/{SECRET}").status_code == 415


def _ask_in_vain(server: Server) -> None:
    """Queries that fail: for their words, and for the database."""
    for path in (f"/api/traces/{SECRET}", f"/api/{SECRET}", f"/v1/{SECRET}"):
        assert server.get(path).status_code in (400, 404)
    assert server.get("/api/spans", since=SECRET).status_code == 400
    ask(server.database_url, "SELECT", given="ALTER TABLE otel_span_series_dim RENAME TO gone")
    answer = server.get("/api/spans", name=SECRET, since="1d")
    assert (answer.status_code, SECRET in answer.text) == (503, False)
    group = grouped(SPANS, span(3, 1, name="unknown", has=HAS))
    assert {answer.status_code for answer in _post(server, SPANS, group)} == {503}
