"""Refused records of any shape, as quarantine may keep them."""

from typing import Any

import msgspec
import pytest
from google.protobuf.message import Message
from opentelemetry.proto.metrics.v1.metrics_pb2 import Histogram, HistogramDataPoint, Metric, Sum
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.redaction import Hasher, Keys, Redaction
from exporter.redaction_bodies import BodyRules, compile_rule
from exporter.redaction_refused import Refused
from tests.exporter.sending import gauge, point, span

HASHER = Hasher(b"k" * 32)
ONLY_DROPPED = Refused(Redaction(Keys(frozenset({"password"})), Keys(), HASHER), None)
HASHED = Refused(Redaction(Keys(frozenset({"password"})), Keys(frozenset({"user.id", "password"})), HASHER), None)
RULES = BodyRules((compile_rule(r"s3\w*"),), Keys(frozenset({"pin"})))
BODIES = Refused(Redaction(Keys(), Keys(), HASHER), RULES)


def test_what_is_dropped_is_gone_from_any_shape() -> None:
    def redact(record: bytes) -> bytes:
        return ONLY_DROPPED.redact(SPANS, record)

    assert redact(b"") == b""
    assert redact(b'[{"key":"pass\\u0077ord"},{"key":"x"},[{"password":1}]]') == b'[{"key":"x"},[{}]]'
    odd = b'{"a":{"key":"password","value":1},"b":[{"key":["password"]},{"key":{"password":1}}]}'
    assert redact(odd) == b'{"b":[{"key":["password"]},{"key":{}}]}', "a key may be anything"
    assert redact(b'{"key":"password","value":1}') == b""
    for broken in (b"{", b"\xff", b"[" * 100_000):
        assert redact(broken) == b""


OWN = Keys(frozenset({"name", "status", "events", "sum", "count", "dataPoints", "key", "value", "message"}))


@pytest.mark.parametrize(
    ("signal", "record"),
    [
        (
            SPANS,
            span(
                1,
                1,
                has={"a": {"b": ["c"]}},
                status=Status(code=Status.STATUS_CODE_ERROR),
                events=[Span.Event(name="e")],
            ),
        ),
        (METRICS, gauge("g", point(1, has={"a": 1}))),
        (METRICS, Metric(name="h", histogram=Histogram(data_points=[HistogramDataPoint(count=1, sum=2)]))),
        (METRICS, Metric(name="s", sum=Sum(data_points=[point(1)]))),
    ],
)
def test_a_key_that_is_called_like_a_field_takes_no_field(signal: str, record: Message) -> None:
    """Else a span would be replayed without its status, and a metric without its points."""
    sent = msgspec.json.decode(message_to_json(record))
    refused = Refused(Redaction(OWN, Keys(), HASHER), None)
    assert msgspec.json.decode(refused.redact(signal, msgspec.json.encode(sent))) == sent
    planted = {"attributes": {"status": "s3"}, "status": {"sum": "s3"}, "x": {"name": "s3"}}
    kept: dict[str, Any] = {"attributes": {}, "x": {}} | ({"status": {}} if signal == SPANS else {})
    assert msgspec.json.decode(refused.redact(signal, msgspec.json.encode(planted))) == kept


@pytest.mark.parametrize(
    "attribute",
    [
        {"Key": "password", "Value": {"Type": "STRING", "Value": "s3"}},
        {"key": "a", "Key": "password", "Value": "s3"},
        {"key": "password", "Key": "a", "value": "s3"},
        {"name": "password", "value": "s3"},
        {"Name": "user.id", "Value": "s3"},
        {"Key": "user.id", "value": {"stringValue": "s3"}},
        ["password", "s3"],
    ],
)
def test_attributes_as_others_write_them_are_gone(attribute: Any) -> None:
    """Go's SDK prints them with capitals; OTLP takes that for nothing, and quarantine has the record as it came."""
    record = msgspec.json.encode({"name": "password", "attributes": [attribute, {"key": "a"}]})
    assert HASHED.redact(SPANS, record) == b'{"name":"password","attributes":[{"key":"a"}]}'


def test_what_is_no_field_of_a_log_record_may_be_its_body() -> None:
    record = {"severityText": "s3", "Body": {"stringValue": "a s3"}, "message": ["s3"], "pin": 1, "flags": "x"}
    kept = {"severityText": "s3", "Body": {"stringValue": "a ***"}, "message": ["***"], "flags": "x"}
    assert msgspec.json.decode(BODIES.redact(LOGS, msgspec.json.encode(record))) == kept
    assert msgspec.json.decode(BODIES.redact(SPANS, msgspec.json.encode(record))) == record


def test_members_as_others_write_them_are_gone_from_bodies_that_are_none() -> None:
    body = {"body": [{"Key": "pin", "Value": 1}, {"name": "pin", "value": 1}, {"name": "pin"}]}
    assert BODIES.redact(LOGS, msgspec.json.encode(body)) == b'{"body":[{"name":"pin"}]}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"stringValue": "42"}, "42"),
        ({"intValue": "42"}, "42"),
        ({"intValue": 42}, "42"),
        ({"arrayValue": {"values": [{"boolValue": True}]}}, "[true]"),
        (None, "null"),
    ],
)
def test_a_value_that_is_one_is_hashed(value: Any, text: str) -> None:
    kept = {"key": "user.id", "value": {"stringValue": HASHER.hash(text)}}
    record = {"x": [{"key": "user.id", "value": value, "more": "42"}, {"key": "a", "value": 1}]}
    found = msgspec.json.decode(HASHED.redact(SPANS, msgspec.json.encode(record)))
    assert found == {"x": [kept, {"key": "a", "value": 1}]}
    assert msgspec.json.decode(HASHED.redact(SPANS, msgspec.json.encode(found))) == found, "once"


@pytest.mark.parametrize("value", ["42", 42, [42], {"stringValue": 42}, {"intValue": "x"}])
def test_what_is_no_value_is_removed(value: Any) -> None:
    record = {"x": [{"key": "user.id", "value": value}], "y": {"user.id": value, "a": 1}}
    assert msgspec.json.decode(HASHED.redact(SPANS, msgspec.json.encode(record))) == {"x": [], "y": {"a": 1}}


def test_drop_wins_over_hash() -> None:
    assert HASHED.redact(SPANS, b'[{"key":"password","value":{"stringValue":"x"}}]') == b"[]"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"stringValue": "a s3cret"}, {"stringValue": "a ***"}),
        ({"stringValue": "a s3cret", "more": "s3cret"}, {"stringValue": "a ***"}),
        ({"intValue": "42"}, {"intValue": "42"}),
        (
            {"kvlistValue": {"values": [{"key": "pin", "value": {"intValue": "1"}}, {"key": "s3"}]}},
            {"kvlistValue": {"values": [{"key": "s3", "value": {}}]}},
        ),
        ("a s3cret", "a ***"),
        (["s3cret", {"pin": 1, "s3": "s3cret"}, 5], ["***", {"s3": "***"}, 5]),
        ({"a": [{"key": "pin", "value": 1}, {"key": "s3", "value": "s3"}]}, {}),
        ({"stringValue": ["s3cret"]}, {"stringValue": ["***"]}),
        ({"stringValue": [{"key": "s3", "value": "s3"}]}, {"stringValue": [{"key": "s3", "value": "***"}]}),
        ({"stringValue": {"key": "pin", "value": 1}}, {}),
        ({"stringValue": [{"key": "s3cret"}]}, {"stringValue": [{"key": "***"}]}),
    ],
)
def test_bodies_of_logs(body: Any, kept: Any) -> None:
    record = {"flags": "s3cret", "body": body}
    assert msgspec.json.decode(BODIES.redact(LOGS, msgspec.json.encode(record))) == {"flags": "s3cret", "body": kept}
    assert msgspec.json.decode(BODIES.redact(SPANS, msgspec.json.encode(record))) == record, "no log"


@pytest.mark.parametrize(
    ("record", "kept"), [(b'"a s3cret"', b'"a ***"'), (b'[["s3"]]', b'[["***"]]'), (b"{}", b"{}"), (b"", b"")]
)
def test_a_log_record_that_is_none_is_all_body(record: bytes, kept: bytes) -> None:
    assert BODIES.redact(LOGS, record) == kept
