"""The OpenTelemetry SDKs of other languages, unchanged, send all signals: API and views answer them field by field."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from typing import Any

import pytest
from google.protobuf.message import Message
from msgspec import Struct

from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.e2e import answers
from tests.e2e.answers import answered, assert_answered, rows
from tests.e2e.otlp_records import assert_same, from_json, records, walk
from tests.e2e.otlp_strategy import REQUESTS
from tests.e2e.senders.browser import page
from tests.e2e.senders.programs import LANGUAGES, program, shop
from tests.exporter.asking import own_database
from tests.running import Server, serving

SIGNALS = {SPANS: "traces", LOGS: "logs", METRICS: "metrics"}
USER_AGENTS = {
    "javascript": {"OTel-OTLP-Exporter-JavaScript": 3},
    # Spans; logs and metrics, which call themselves "OTel Go OTLP over HTTP/protobuf ...".
    "go": {"OTel_OTLP_Exporter_Go": 1, "OTel_Go_OTLP_over_HTTP": 2},
    "java": {"OTel-OTLP-Exporter-Java": 3},
    "chromium": {"Mozilla": 3},
}
LARGEST = {"javascript": 2**53 + 2, "go": 2**63 - 1, "java": 2**63 - 1, "chromium": 2**53 + 2}
"""The largest attribute that each SDK can send without losing a digit."""
IN_SPANS = {"parent_span_id_hex": "parent_span_id", "kind_name": "kind", "status_name": "status"}


class Sent(Struct):
    """Where a sender sent to, and what it says that it sent."""

    language: str
    server: Server
    requests: dict[str, Message]


@pytest.fixture(scope="module", params=[*LANGUAGES, "chromium"])
def sent(request: pytest.FixtureRequest, server_url: str, template: str) -> Iterator[Sent]:
    sending = from_a_page if request.param == "chromium" else from_a_program(request.param)
    with own_database(server_url, template) as url, sending(url) as (server, told):
        yield Sent(request.param, server, {signal: merged(signal, told[path]) for signal, path in SIGNALS.items()})


def from_a_program(language: str) -> Callable[[str], AbstractContextManager[tuple[Server, Any]]]:
    """A way of sending: to a server on a database, with what the program says that it sent."""
    program(language)

    @contextmanager
    def sending(database_url: str) -> Iterator[tuple[Server, Any]]:
        with serving(database_url) as server:
            yield server, shop(language, server.url)

    return sending


@contextmanager
def from_a_page(database_url: str) -> Iterator[tuple[Server, Any]]:
    """The same from a page of an origin that the server lets in."""
    with page() as opened, serving(database_url, {"CORS_ORIGINS": opened.origin()}) as server:
        told = opened.visit(server.url)
        assert told.pop("error") is None
        yield server, told


def merged(signal: str, told: list[Any]) -> Message:
    """Requests as one."""
    found = REQUESTS[signal]()
    for content in told:
        for envelope in chain.from_iterable(content.values()):
            # The JavaScript SDK says it here as well, where the protocol has no such field.
            envelope["resource"].pop("schemaUrl", None)
        found.MergeFrom(from_json(REQUESTS[signal](), content))
    return found


def test_all_requests_came_from_the_sdk_and_all_records_were_stored(sent: Sent) -> None:
    exposed = dict(
        line.rsplit(" ", 1) for line in sent.server.get("/metrics").text.splitlines() if not line.startswith("#")
    )
    agents = {name.split('"')[1]: float(n) for name, n in exposed.items() if name.startswith("postel_senders_total{")}
    assert agents == USER_AGENTS[sent.language]
    for signal, request in sent.requests.items():
        count = sum(1 for _ in walk(request))
        assert count >= 7
        assert float(exposed[f'postel_accepted_records_total{{signal="{signal}"}}']) == count
    assert not [name for name in exposed if name.startswith(("postel_rejected", "postel_sanitised_values_total"))]


def test_the_sender_sent_a_little_of_everything(sent: Sent) -> None:
    spans = [span for *_, span in walk(sent.requests[SPANS])]
    assert Counter((span.name, span.status.code) for span in spans) == {
        ("place order", 0): 3,
        ("place order", 2): 1,
        ("reserve", 1): 4,
    }
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        if span.name == "reserve":
            assert by_id[span.parent_span_id].trace_id == span.trace_id
            assert (span.links[0].span_id, span.events[0].name) == (span.parent_span_id, "reserved")
        else:
            numbers = answers.attributes(span.attributes)
            assert numbers["order.id"] == LARGEST[sent.language]
    bodies = {log.body.WhichOneof("value") for *_, log in walk(sent.requests[LOGS])}
    kinds = ("string", "int", "double", "bool", "bytes", "array", "kvlist")
    assert bodies >= {f"{kind}_value" for kind in kinds}
    assert {log.severity_number for *_, log in walk(sent.requests[LOGS])} >= {9, 13, 17}
    metrics = {metric.name: metric for *_, metric in walk(sent.requests[METRICS])}
    assert {name: metric.WhichOneof("data") for name, metric in metrics.items()} == {
        "orders": "sum",
        "orders.waiting": "sum",
        "order.value": "histogram",
        "order.size": "exponential_histogram",
        "cpu.temperature": "gauge",
        "memory.free": "gauge",
    }
    assert (metrics["orders"].sum.is_monotonic, metrics["orders.waiting"].sum.is_monotonic) == (True, False)


@pytest.mark.parametrize(
    ("signal", "path"), [(SPANS, "/api/spans"), (LOGS, "/api/logs"), (METRICS, "/api/metrics/series")]
)
def test_otlp_gives_back_what_was_sent(sent: Sent, signal: str, path: str) -> None:
    found = from_json(REQUESTS[signal](), answered(sent.server, path, format="otlp"))
    assert_same(records(sent.requests[signal]), records(found))


def test_spans(sent: Sent) -> None:
    expected = answers.spans(sent.requests[SPANS])
    assert_answered(expected, rows(sent.server, "v_otel_spans_enriched"))
    found = answered(sent.server, "/api/spans")["spans"]
    shown = [{name: span[name] for name in span if name in found[0] or name in IN_SPANS} for span in expected]
    assert_answered(shown, found, IN_SPANS)
    for trace_id in {span["trace_id"] for span in expected}:
        tree = sent.server.get(f"/api/traces/{trace_id}").json()
        assert [(span["name"], span["depth"]) for span in tree["spans"]] == [("place order", 0), ("reserve", 1)]


def test_logs(sent: Sent) -> None:
    expected = answers.logs(sent.requests[LOGS])
    assert_answered(expected, rows(sent.server, "v_otel_logs_enriched"))
    found = answered(sent.server, "/api/logs")["logs"]
    assert_answered([{name: log[name] for name in log if name in found[0]} for log in expected], found)
    for span in answers.spans(sent.requests[SPANS]):
        own = [log for log in expected if log["span_id"] == span["span_id"]]
        correlated = answered(sent.server, "/api/logs", trace_id=span["trace_id"], span_id=span["span_id"])["logs"]
        assert (
            len(correlated)
            == len(own)
            == {"reserve": 0, "place order": 1 + (span["status_name"] == "error")}[span["name"]]
        )


def test_metrics(sent: Sent) -> None:
    expected = list(answers.points(sent.requests[METRICS]))
    assert_answered(expected, rows(sent.server, "v_otel_metrics_enriched"))
    series = answered(sent.server, "/api/metrics/series")["series"]
    found = [{**line, **point} for line in series for point in line["data_points"]]
    for point in expected:
        point["value"] = point["value_double"] if point["value_int"] is None else point["value_int"]
    for kinds, told in (
        (("gauge", "sum"), ("value",)),
        (("histogram", "exponential_histogram"), ("count", "sum", "min", "max")),
    ):
        names = ("metric_name", "attributes", "resource_attributes", "time_unix_nano", *told)
        shown = [{name: point[name] for name in names} for point in expected if point["metric_type"] in kinds]
        assert_answered(shown, [point for point in found if told[0] in point], {"resource_attributes": "resource"})


def test_exemplars(sent: Sent) -> None:
    made = Counter(
        (metric.name, exemplar.time_unix_nano, exemplar.trace_id.hex(), exemplar.span_id.hex())
        for *_, metric in walk(sent.requests[METRICS])
        for exemplar in getattr(metric, metric.WhichOneof("data")).data_points[0].exemplars
    )
    names = ("metric_name", "exemplar_time_unix_nano", "trace_id", "span_id")
    found = Counter(tuple(row[name] for name in names) for row in rows(sent.server, "v_otel_exemplars"))
    assert found == made
    # The JavaScript SDK has no exemplars yet.
    assert bool(made) == (sent.language in ("go", "java"))


def test_a_page_of_another_origin_sends_nothing(database_url: str) -> None:
    with page() as opened, serving(database_url, {"CORS_ORIGINS": opened.origin()}) as server:
        told = opened.visit(server.url, "localhost")
        assert told["error"] is not None
        assert "postel_senders_total{" not in server.get("/metrics").text
