"""A secret in what is redacted, refused, undecodable or asked for: in no file of the database, log line or answer."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from exporter.embedded import EmbeddedPostgres
from exporter.otlp.http import PATHS
from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.promotion import OWNERS
from exporter.redaction import Hasher
from tests.e2e.otlp_strategy import REQUESTS
from tests.exporter.asking import JSON
from tests.exporter.sending import MALFORMED, NOW, any_value, attributes, field, gauge, log, point, span
from tests.exporter.test_embedded import reachable_folder
from tests.faults.odd_records import grouped
from tests.running import Server, serving
from tests.sql.rows import ask

SECRET, KEPT = "correct-horse-hunter2", "kept-for-good"


def escaped(text: str) -> str:
    """Every character written as JSON may escape it."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


def forms(text: str) -> Mapping[str, bytes]:
    """What a text looks like in whatever it may be written in; of base64 what does not depend on its neighbours."""
    data = text.encode()
    base64 = {f"base64 + {i}": b64encode(data[-i % 3 : (len(data) - -i % 3) // 3 * 3 + -i % 3]) for i in range(3)}
    utf_16 = {name: text.encode(name) for name in ("utf-16-le", "utf-16-be")}
    hex_digits = {"hex": data.hex().encode(), "HEX": data.hex().upper().encode()}
    return {"text": data, "JSON": escaped(text).encode(), **hex_digits, **base64, **utf_16}


FORMS = tuple(forms(SECRET)[name].decode() for name in ("text", "hex", "base64 + 0"))
"""As text, as bytea is shown, and in base64: what a table can show."""
HAS = {"password": SECRET, "kept": KEPT}
ATTRIBUTES = attributes(HAS)
NAMES = {SPANS: "resourceSpans", LOGS: "resourceLogs", METRICS: "resourceMetrics"}
QUICKLY = {"STATEMENT_TIMEOUT": "500ms", "REQUEST_DEADLINE": "1s"}


BODIES = "  log_body:\n  - password=\\S+\n  - key: password\n"
DROP = "drop:\n" + "".join(f"  {owner}: [password]\n" for owner in OWNERS) + BODIES
HASH = "drop:\n  hash: [password]\n" + BODIES
BODY = {"password": SECRET, "kept": [f"password={SECRET}", KEPT]}
TALKATIVE = {
    "log_min_messages": "debug1",
    "log_min_error_statement": "debug1",
    "log_error_verbosity": "verbose",
    "log_statement": "all",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
}
"""A server that tells its log all it can: what it is told is redacted before."""
# What is compressed cannot be searched.
QUICK = {"fsync": "off", "shared_buffers": "16MB", "wal_compression": "off"}


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    """A file that drops `password` wherever it stands."""
    file = tmp_path / "overrides.yaml"
    file.write_text(DROP)
    return file


def secret_in(text: bytes) -> list[str]:
    """The forms in which the secret stands somewhere."""
    return [name for name, form in forms(SECRET).items() if form in text]


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
    structured = log(f"password={SECRET} {KEPT}", has=HAS)
    structured.body.CopyFrom(any_value(BODY))
    yield LOGS, grouped(LOGS, log(f"password={SECRET} {KEPT}", has=HAS), structured, **place)
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


class Talk:
    """A server, and all that it answered."""

    def __init__(self, server: Server) -> None:
        self.server, self.answers = server, list[httpx.Response]()

    def post(self, signal_path: str, body: bytes, *how: str, **headers: str) -> httpx.Response:
        """What a body is answered."""
        self.answers.append(self.server.post(signal_path, body, *how, **headers))
        return self.answers[-1]

    def get(self, path: str, **parameters: str) -> httpx.Response:
        """What a path is answered."""
        self.answers.append(self.server.get(path, **parameters))
        return self.answers[-1]

    def said(self) -> list[bytes]:
        """Everything."""
        return [str(answer.headers).encode() + answer.content for answer in self.answers]


@pytest.mark.parametrize("lists", [DROP, HASH], ids=["drop", "hash"])
def test_a_secret_leaves_no_trace(
    database_url: str, overrides: Path, lists: str, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides.write_text(lists)
    with serving(database_url, {"ATTRIBUTE_OVERRIDES": str(overrides)} | QUICKLY) as server:
        talk = Talk(server)
        _send(talk)
        assert tables_with(database_url, KEPT), "the search finds what is there"
        assert tables_with(database_url, *FORMS) == []
        if lists is HASH:
            (row,) = ask(database_url, "SELECT digest_key FROM otel_secrets")
            found = tables_with(database_url, Hasher(row["digest_key"]).hash(SECRET))
            assert {"otel_resources_dim", "otel_scopes_dim", "otel_metrics_dim", "otel_rejected_records"} <= set(found)
        for path in ("/metrics", "/readyz", "/api/services", "/api/logs", "/api/attributes"):
            talk.get(path)
        _ask_in_vain(talk)
    said = capfd.readouterr()
    assert '"message":"ready"' in said.err
    for text in (*talk.said(), said.err.encode(), said.out.encode()):
        assert secret_in(text) == [], text
        assert b"SELECT" not in text


@pytest.mark.parametrize("lists", [DROP, HASH], ids=["drop", "hash"])
def test_no_file_of_the_database_has_it(overrides: Path, lists: str) -> None:
    """Tables, indexes, write-ahead log, and the log of a server that is told to say everything."""
    overrides.write_text(lists)
    with reachable_folder() as folder, asyncio.Runner() as runner:
        embedded = EmbeddedPostgres(folder / "data", QUICK | TALKATIVE)
        try:
            url = runner.run(embedded.start())
            with serving(url, {"ATTRIBUTE_OVERRIDES": str(overrides)} | QUICKLY) as server:
                _send(Talk(server))
            ask(url, "SELECT", given="CHECKPOINT")
        finally:
            runner.run(embedded.stop())
        files = {file: file.read_bytes() for file in (folder / "data").rglob("*") if file.is_file()}
    places = {file.relative_to(folder / "data").parts[:2] for file, data in files.items() if KEPT.encode() in data}
    assert {("pgdata", "base"), ("pgdata", "pg_wal"), ("postgres.log",)} <= places, "the search finds what is there"
    assert {str(file): found for file, data in files.items() if (found := secret_in(data))} == {}


def test_the_search_knows_every_form() -> None:
    for form in forms(SECRET):
        assert form in secret_in(b"x" + forms(SECRET)[form])
    for before in range(3):
        assert secret_in(b64encode(b"x" * before + SECRET.encode() + b"x"))
    assert secret_in(forms("correct-horse-hunter3")["text"]) == []


def _post(talk: Talk, signal: str, group: Any) -> list[httpx.Response]:
    """Answers to a group in both encodings."""
    body = field(1, group.SerializeToString())
    request = REQUESTS[signal].FromString(body)
    path = PATHS[signal].removeprefix("/v1/")
    return [talk.post(path, body), talk.post(path, message_to_json(request), JSON)]


def _send(talk: Talk) -> None:
    """Everything that carries the secret, in every way that it can end."""
    for constraint in ("otel_spans_fact ADD CHECK (span_id <> 617)", "otel_logs_fact ADD CHECK (body <> 'odd')"):
        ask(talk.server.database_url, "SELECT", given=f"ALTER TABLE {constraint}")
    _send_redacted(talk)
    _send_refused(talk)
    _send_unreadable_values(talk)
    _send_undecodable(talk)


def _send_redacted(talk: Talk) -> None:
    for signal, group in everywhere(1):
        first, second = _post(talk, signal, group)
        assert (first.content, second.content) == (b"", b"{}")
    for signal, group in everywhere(4):
        body = message_to_json(REQUESTS[signal].FromString(field(1, group.SerializeToString())))
        path = PATHS[signal].removeprefix("/v1/")
        assert talk.post(path, body.replace(SECRET.encode(), escaped(SECRET).encode()), JSON).content == b"{}"


def _send_refused(talk: Talk) -> None:
    """Not of their type, in conflict with what is stored, or refused by PostgreSQL."""
    answers = []
    for signal, content in malformed(2):
        path = PATHS[signal].removeprefix("/v1/")
        answers.append(talk.post(path, json.dumps({NAMES[signal]: [content]}).encode(), JSON))
    conflict = grouped(SPANS, span(1, 1, name="other", has=HAS))
    unstorable = [
        (SPANS, grouped(SPANS, span(5, 617, has=HAS))),
        (LOGS, grouped(LOGS, log("odd", has=HAS))),
        (SPANS, conflict),
    ]
    for signal, group in unstorable:
        answers += _post(talk, signal, group)
    body = {"logRecords": [f"password={SECRET}", {"flags": [], "body": f"password={SECRET} {KEPT}"}]}
    answers.append(talk.post("logs", json.dumps({"resourceLogs": [{"scopeLogs": [body]}]}).encode(), JSON))
    assert {answer.status_code for answer in answers} == {200}
    reasons = ask(talk.server.database_url, "SELECT DISTINCT reason FROM otel_rejected_records ORDER BY 1")
    assert [row["reason"] for row in reasons] == ["conflict", "malformed", "unstorable"]


def _send_unreadable_values(talk: Talk) -> None:
    """Values that are not of their type: an error would like to quote them."""
    value = json.dumps({"stringValue": SECRET}, separators=(",", ":")).encode()
    for signal, group in everywhere(6):
        body = message_to_json(REQUESTS[signal].FromString(field(1, group.SerializeToString())))
        assert value in body
        for kind in ("intValue", "doubleValue", "bytesValue", "boolValue", "arrayValue"):
            broken = json.dumps({kind: f"{SECRET}!"}).encode()
            for count in (-1, 1):
                answer = talk.post(PATHS[signal].removeprefix("/v1/"), body.replace(value, broken, count), JSON)
                assert answer.status_code in (200, 400)


def _send_undecodable(talk: Talk) -> None:
    secret = SECRET.encode()
    for path in ("traces", "logs", "metrics"):
        for body in (MALFORMED + secret, secret + b"\xff"):
            assert talk.post(path, body).status_code == 400
        for body in (secret, b'{"resourceSpans":"%b","resourceLogs":"%b","resourceMetrics":"%b"}' % ((secret,) * 3)):
            assert talk.post(path, body, JSON).status_code == 400
        assert talk.post(path, secret, content_encoding="gzip").status_code == 400
        # The answer, which nobody else sees, quotes the header.
        assert talk.server.post(path, b"", f"text/{SECRET}").status_code == 415


def _ask_in_vain(talk: Talk) -> None:
    """Queries that fail: for their words, which the answer may repeat to whoever asked, and for the database."""
    for path in (f"/api/traces/{SECRET}", f"/api/{SECRET}", f"/v1/{SECRET}"):
        assert talk.server.get(path).status_code in (400, 404)
    assert talk.server.get("/api/spans", since=SECRET).status_code == 400
    ask(talk.server.database_url, "SELECT", given="ALTER TABLE otel_span_series_dim RENAME TO gone")
    assert talk.get("/api/spans", name=SECRET, since="1d").status_code == 503
    group = grouped(SPANS, span(3, 1, name="unknown", has=HAS))
    assert {answer.status_code for answer in _post(talk, SPANS, group)} == {503}
