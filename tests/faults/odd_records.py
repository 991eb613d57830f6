"""One odd record in the middle of 999 good ones: how such a body is made, sent, and what must be seen of it afterwards.

Every body has a number of its own, which stands in its ids and names: the bodies of a module share one database.
"""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import asyncpg
from google.protobuf.message import Message
from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from exporter.otlp.http import PATHS
from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.e2e.otlp_records import assert_same, from_json, records
from tests.e2e.otlp_strategy import REQUESTS
from tests.exporter.asking import JSON, PROTOBUF, Asker, asker, own_database
from tests.exporter.sending import NOW, SECOND, attributes, field, gauge, log, point

TOKEN = "case-0000"
"""Stands for the number of a body wherever it occurs, also in ids."""
TRACE_ID, SPAN_ID = f"{TOKEN}-traces".encode(), (1000).to_bytes(8, "big")
"""Of the odd record, unless its ids are what is odd."""
ODD = f"odd {TOKEN}"
"""The event name or metric name of the odd record."""
GOOD = 999
_MIDDLE = GOOD // 2
FAR_TIMES = {
    "of 0": 0,
    "in 2018": 1_544_712_660 * SECOND,
    "in 2040": 2_208_988_800 * SECOND,
    "that is Go's zero": 11651379494838206464,
    "of 2^64-1": 2**64 - 1,
}
"""Times outside of what is accepted."""

_GROUPS: dict[str, tuple[Any, str, str, str, str]] = {
    SPANS: (ResourceSpans, "resourceSpans", "scopeSpans", "spans", "rejectedSpans"),
    LOGS: (ResourceLogs, "resourceLogs", "scopeLogs", "logRecords", "rejectedLogRecords"),
    METRICS: (ResourceMetrics, "resourceMetrics", "scopeMetrics", "metrics", "rejectedDataPoints"),
}
RESOURCE = Resource(attributes=attributes({"service.name": f"shop {TOKEN}", "host.name": "a"}))
SCOPE = InstrumentationScope(name="lib", version="1")

_OF_TRACE = "= encode($1::text::bytea, 'hex')::uuid AND span_id < 1000 ORDER BY 1"
_STORED = {
    SPANS: f"SELECT span_id FROM otel_spans_fact WHERE trace_id {_OF_TRACE}",
    LOGS: f"SELECT span_id FROM otel_logs_fact WHERE trace_key {_OF_TRACE}",
    METRICS: "SELECT p.value_int FROM otel_metrics_data_points_number AS p "
    "JOIN otel_metric_series_dim USING (series_id) JOIN otel_metrics_dim AS m USING (metric_id) "
    "WHERE m.name = $1 ORDER BY 1",
}
"""The numbers of the good ones that are stored."""
_NAMED = {SPANS: f"{TOKEN}-traces", LOGS: f"{TOKEN}-traces", METRICS: f"good {TOKEN}"}
_READS = {
    SPANS: ("/api/spans", {"trace_id": TRACE_ID.hex(), "span_id": SPAN_ID.hex()}),
    LOGS: ("/api/logs", {"event_name": ODD}),
    METRICS: ("/api/metrics/series", {"name": ODD}),
}
_numbers = count(1)


class Case(Struct, frozen=True, kw_only=True):
    """An odd record, or a resource with one in it, and what its row of the table asks for.

    It is given as a message, which is sent in both encodings; as OTLP/JSON; or as encoded protobuf.
    """

    odd: str
    """What is odd, in words."""
    signal: str
    sent: Message | None = None
    json: Any = ...
    wire: bytes = b""
    stored: Message | None = None
    """What is read back; what was sent where that is a message and nothing is said here."""
    refused: str = ""
    """The reason, where it is refused; else it is stored."""
    says: str = ""
    """What the answer's error_message says."""
    kept: Any = None
    """What quarantine keeps, as OTLP/JSON; `sent` or `json` where nothing is said here."""
    records: int = 1
    """How many records it stands for: a metric for its points."""
    rejected: int | None = None
    """How many of them are refused, where it is not all or none."""
    known: int = 0
    """How many of them were stored before."""
    sanitised: dict[str, int] = {}
    whole: bool = False
    """Whether `json` or `wire` is a resource with scopes."""

    @property
    def refusals(self) -> int:
        """How many records are refused."""
        return self.rejected if self.rejected is not None else self.records if self.refused else 0

    @property
    def encodings(self) -> list[str]:
        """The media types in which it can be sent."""
        return [JSON] if self.json is not ... else [PROTOBUF] if self.wire else [PROTOBUF, JSON]


def each_way(cases: Iterable[Case]) -> list[tuple[Case, str]]:
    """The cases in each encoding that can express them."""
    return [(case, encoding) for case in cases for encoding in case.encodings]


def name_of(value: Case | str) -> str:
    """How a test is called by its case and encoding."""
    return value.odd if isinstance(value, Case) else value.rpartition("/")[2].removeprefix("x-")


def span(**fields: Any) -> Span:
    """An odd span, which has everything that a span needs."""
    given: dict[str, Any] = {"trace_id": TRACE_ID, "span_id": SPAN_ID, "name": "odd", "start_time_unix_nano": NOW}
    return Span(**given | {"end_time_unix_nano": NOW + SECOND} | fields)


def record(**fields: Any) -> LogRecord:
    """An odd log record, which has everything that one needs."""
    given: dict[str, Any] = {"time_unix_nano": NOW, "event_name": ODD, "trace_id": TRACE_ID, "span_id": SPAN_ID}
    return LogRecord(**given | fields)


def as_json(message: Message, **fields: Any) -> Any:
    """A message as OTLP/JSON, with some fields replaced."""
    return json.loads(message_to_json(message)) | fields


def grouped(signal: str, *inside: Message, resource: Message = RESOURCE, scope: Message = SCOPE) -> Any:
    """Records of one resource and scope, as its message."""
    group = _GROUPS[signal][0](resource=resource)
    scopes = {SPANS: "scope_spans", LOGS: "scope_logs", METRICS: "scope_metrics"}[signal]
    items = {SPANS: "spans", LOGS: "log_records", METRICS: "metrics"}[signal]
    getattr(group, scopes).add(**{"scope": scope, items: inside})
    return group


def _good(signal: str) -> list[Message]:
    numbers = range(1, GOOD + 1)
    if signal == SPANS:
        return [span(span_id=i.to_bytes(8, "big"), name="good", start_time_unix_nano=NOW + i) for i in numbers]
    if signal == LOGS:
        ids: list[dict[str, Any]] = [{"trace_id": TRACE_ID, "span_id": i.to_bytes(8, "big")} for i in numbers]
        return [log(f"good {i}", NOW, **of_record) for i, of_record in enumerate(ids)]
    return [gauge(f"good {TOKEN}", point(i, NOW + i)) for i in numbers]


GOOD_RECORDS = {signal: _good(signal) for signal in PATHS}
_HALVES = {
    signal: (
        [b"".join(field(2, m.SerializeToString()) for m in some) for some in (good[:_MIDDLE], good[_MIDDLE:])],
        [b",".join(map(message_to_json, some)) for some in (good[:_MIDDLE], good[_MIDDLE:])],
    )
    for signal, good in GOOD_RECORDS.items()
}


def body_of(case: Case, media_type: str) -> bytes:
    """The whole request."""
    whole = case.whole or isinstance(case.sent, tuple(group for group, *_ in _GROUPS.values()))
    (first, second), (first_json, second_json) = _HALVES[case.signal]
    if media_type == PROTOBUF:
        odd = case.wire or (case.sent.SerializeToString() if case.sent else b"")
        head = field(1, RESOURCE.SerializeToString())
        scope = field(1, SCOPE.SerializeToString())
        if whole:
            groups = [head + field(2, scope + first), odd, head + field(2, scope + second)]
        else:
            groups = [head + field(2, scope + first + field(2, odd) + second)]
        return b"".join(field(1, group) for group in groups)
    odd = message_to_json(case.sent) if case.sent is not None else json.dumps(case.json).encode()
    _, resources, scopes, items, _ = (name.encode() if isinstance(name, str) else b"" for name in _GROUPS[case.signal])
    head = b'{"resource":%b,"%b":[{"scope":%b,"%b":[' % (
        message_to_json(RESOURCE),
        scopes,
        message_to_json(SCOPE),
        items,
    )
    tail = b"]}]}"
    if whole:
        groups = [head + first_json + tail, odd, head + second_json + tail]
    else:
        groups = [head + b",".join((first_json, odd, second_json)) + tail]
    return b'{"%b":[%b]}' % (resources, b",".join(groups))


def request_of(case: Case) -> Any:
    """The odd record alone in a request, where it is a message that is stored; else None."""
    if case.sent is None or case.refused or case.known:
        return None
    is_group = isinstance(case.sent, _GROUPS[case.signal][0])
    group = case.sent if is_group else grouped(case.signal, case.sent)
    return REQUESTS[case.signal].FromString(field(1, group.SerializeToString()))


def numbered(content: bytes, number: int) -> bytes:
    """A body or message with its own number in it."""
    new = f"{TOKEN[:-4]}{number:04}".encode()
    id_in_base64 = b64encode(TRACE_ID), b64encode(TRACE_ID.replace(TOKEN.encode(), new))
    in_hex = TOKEN.encode().hex().encode(), new.hex().encode()
    return content.replace(TOKEN.encode(), new).replace(*in_hex).replace(*id_in_base64)


class Store(Struct):
    """An application that many bodies are sent to, and a connection to its database."""

    app: Asker
    database: asyncpg.Connection

    def counted(self, signal: str) -> "Counter[str]":
        """The counters of a signal's records, by their names and reasons."""
        telemetry = self.app.postel.sidecar.telemetry
        counters = (telemetry.received, telemetry.accepted, telemetry.deduplicated, telemetry.dropped)
        found: Counter[str] = Counter()
        for counter in (*counters, telemetry.rejected, telemetry.sanitised):
            for sample in next(iter(counter.collect())).samples:
                if sample.name.endswith("_total") and sample.labels["signal"] == signal:
                    name = sample.name.removeprefix("postel_").partition("_")[0]
                    found[f"{name} {sample.labels.get('reason', '')}".strip()] = int(sample.value)
        return found

    def ask(self, statement: str, *arguments: object) -> list[Any]:
        """The rows of a statement."""
        return list(self.app.run(self.database.fetch(statement, *arguments)))


@contextmanager
def new_store(server_url: str, template: str) -> Iterator[Store]:
    """A store in a database of its own, which must be sound in the end."""
    with own_database(server_url, template) as url, asker(url) as app:
        database = app.run(asyncpg.connect(url))
        yield Store(app, database)
        app.run(database.close())


def check(store: Store, case: Case, media_type: str) -> int:
    """Send the body, and look at everything that its row says; returns the body's number."""
    number, before = next(_numbers), store.counted(case.signal)
    answer = store.app.post(PATHS[case.signal], numbered(body_of(case, media_type), number), media_type)
    assert answer.status_code == 200, answer.text
    told, message = partial_success(case.signal, answer.content, media_type)
    assert told == case.refusals, message
    assert (case.refused in message and case.says in message) if case.refused or case.says else not message, message
    of_case = numbered(_NAMED[case.signal].encode(), number).decode()
    assert [row[0] for row in store.ask(_STORED[case.signal], of_case)] == list(range(1, GOOD + 1))
    assert_same(records(_expected(case, number)), records(read_back(store.app, case.signal, number)))
    accepted = GOOD + case.records - case.refusals - case.known
    assert store.counted(case.signal) - before == Counter(
        {"received": GOOD + case.records, "accepted": accepted}
        | ({"deduplicated": case.known} if case.known else {})
        | ({f"rejected {case.refused}": case.refusals} if case.refusals else {})
        | {f"sanitised {reason}": found for reason, found in case.sanitised.items()}
    )
    _check_quarantine(store, case, number)
    return number


def _expected(case: Case, number: int) -> Any:
    """What is read back, as a request."""
    message = REQUESTS[case.signal]()
    stored = case.stored if case.stored is not None else case.sent
    if stored is None or case.known or (case.stored is None and case.refused):
        return message
    group = stored if isinstance(stored, _GROUPS[case.signal][0]) else grouped(case.signal, stored)
    return REQUESTS[case.signal].FromString(numbered(field(1, group.SerializeToString()), number))


def read_back(app: Asker, signal: str, number: int) -> Any:
    """What the read API gives of the odd record, as a request."""
    path, asked = _READS[signal]
    own = {name: numbered(value.encode(), number).decode() for name, value in asked.items()}
    answer = app.get(path, start_time="0", end_time=str(2**63 - 1), format="otlp", limit="1000", **own)
    assert answer.status_code == 200, answer.text
    return from_json(REQUESTS[signal](), answer.json())


def _check_quarantine(store: Store, case: Case, number: int) -> None:
    """What is refused is kept with everything that is known of it, all else is not."""
    kept = store.ask(
        "SELECT signal, reason, count, context, record FROM otel_rejected_records WHERE context LIKE '%' || $1 || '%'",
        numbered(TOKEN.encode(), number).decode(),
    )
    if not case.refusals:
        assert kept == []
        return
    ((signal, reason, found, context, content),) = map(tuple, kept)
    assert (signal, reason, found) == (case.signal, case.refused, case.refusals)
    message = REQUESTS[signal]
    around = grouped(signal)
    assert from_json(message(), json.loads(context)) == message.FromString(
        numbered(field(1, around.SerializeToString()), number)
    )
    given = case.kept or (as_json(case.sent) if case.sent else None if case.wire else case.json)
    assert json.loads(content or "null") == json.loads(numbered(json.dumps(given).encode(), number))


def partial_success(signal: str, content: bytes, media_type: str) -> tuple[int, str]:
    """(records refused, error_message) of an answer."""
    if media_type == PROTOBUF:
        # On the wire the three responses are the same.
        partial = ExportTraceServiceResponse.FromString(content).partial_success
        return partial.rejected_spans, partial.error_message
    found = json.loads(content).get("partialSuccess", {})
    return int(found.get(_GROUPS[signal][4], 0)), found.get("errorMessage", "")
