"""The JSON codec row by row of the ingest contract: ids, numbers, what is absent, unknown or wrong."""

import json
import math
from base64 import b64encode
from typing import Any

import msgspec
import pytest

from exporter.errors import UndecodableBody
from exporter.otlp import json_wire as wire
from exporter.otlp import records as r
from exporter.otlp.json import JsonCodec
from tests.exporter.otlp.json_requests import (
    NAMES,
    REQUESTS,
    SPAN,
    TRACE_ID,
    U64_MAX,
    body,
    decode,
    only,
    records,
)

# ---- ids, enums, numbers


@pytest.mark.parametrize("sent", [TRACE_ID, TRACE_ID.upper(), b64encode(bytes.fromhex(TRACE_ID)).decode()])
def test_ids_are_hex_in_any_case_or_padded_base64(sent: str) -> None:
    (span,), findings = records(r.SPANS, {**SPAN, "traceId": sent})
    assert span.trace_id == bytes.fromhex(TRACE_ID)
    assert findings.sanitised == ({"base64_id": 1} if sent.endswith("=") else {})


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("", b""),
        (None, b""),
        ("00" * 8, bytes(8)),
        ("abcd", b"\xab\xcd"),
        ("not an id", b""),
        ("b7ad 6b7169203331", b""),
        ("b7ad6b716920333", b""),
        ("t61raWkgMzE", b""),
        ("t61raWkgMzEx", b""),
    ],
)
def test_odd_ids_are_passed_on_or_given_up_and_counted_once(sent: str | None, expected: bytes) -> None:
    counted = {"unreadable_id": 1} if sent and not expected else {}
    (log,), findings = records(r.LOGS, {"spanId": sent})
    assert (log.span_id, findings.sanitised) == (expected, counted)
    (span,), findings = records(r.SPANS, {**SPAN, "parentSpanId": sent})
    assert (span.parent_span_id, findings.sanitised) == (expected, counted)
    (span,), findings = records(r.SPANS, {**SPAN, "spanId": sent})
    assert (span.span_id, findings.sanitised) == (expected, {})
    for method in (JsonCodec.link, JsonCodec.exemplar):
        codec = JsonCodec()
        assert method(codec, json.dumps({"spanId": sent}).encode()).span_id == expected
        assert codec.findings.sanitised == counted


def test_enum_names_are_accepted_and_counted() -> None:
    (span,), findings = records(r.SPANS, {**SPAN, "kind": "SPAN_KIND_SERVER"})
    assert (span.kind, findings.sanitised) == (2, {"enum_name": 1})
    (log,), _ = records(r.LOGS, {"severityNumber": "SEVERITY_NUMBER_INFO"})
    assert log.severity_number == 9
    (metric,), _ = records(r.METRICS, {"name": "m", "sum": {"aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA"}})
    assert metric.aggregation_temporality == 1
    assert JsonCodec().status(b'{"code":"STATUS_CODE_ERROR"}').code == 2
    with pytest.raises(UndecodableBody, match="code: no such enum name"):
        JsonCodec().status(b'{"code":"BAD"}')


def test_enums_are_open() -> None:
    assert only(r.SPANS, {**SPAN, "kind": 77}).kind == 77
    assert only(r.LOGS, {"severityNumber": -(2**31)}).severity_number == -(2**31)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"7", 7),
        (b'"7"', 7),
        (b"7.0", 7),
        (b"1e3", 1000),
        (b'"1e3"', 1000),
        (b"12.50e1", 125),
        (b"0e99999", 0),
        (b"1e-99999", 0),
        (b"-0", 0),
        (b"null", 0),
        (b'"007"', 7),
        (b'"\\u0037"', 7),
        (b"18446744073709551615", U64_MAX),
        (b'"18446744073709551615"', U64_MAX),
        (b"18446744073709551615.0", U64_MAX),
        (b"1.8446744073709551615e19", U64_MAX),
        (b"1544712660300000001.0", 1544712660300000001),
    ],
)
def test_64_bit_integers_are_numbers_or_strings(sent: bytes, expected: int) -> None:
    raw = b'{"timeUnixNano":%s}' % sent
    assert only(r.LOGS, raw).time_unix_nano == expected
    assert JsonCodec().event(raw).time_unix_nano == expected
    if expected < 2**63 and sent != b"null":
        assert JsonCodec().any_value(b'{"intValue":%s}' % sent) == expected


@pytest.mark.parametrize(
    "sent",
    [
        b'"yesterday"',
        b"7.5",
        b"1e-1",
        b"-1",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b'" 7"',
        b'"1_0"',
        b'"\xd9\xa1"',
        b'"null"',
        b"18446744073709551616",
        b'"18446744073709551616"',
        b"1e99999",
        b"1e999999999",
        b"1" * 5000,
        b'"' + b"1" * 5000 + b'"',
    ],
)
def test_other_integers_refuse_their_record_alone(sent: bytes) -> None:
    raw = b'{"timeUnixNano":%s}' % sent
    good = {"timeUnixNano": "5"}
    found, findings = records(r.LOGS, good, raw, good)
    assert [log.time_unix_nano for log in found] == [5, 5]
    (refusal,) = findings.refusals
    assert (refusal.reason, refusal.record, refusal.count) == ("malformed", raw, 1)
    assert refusal.message.startswith("logRecords[1].timeUnixNano: ")
    assert len(refusal.message) < 200
    with pytest.raises(UndecodableBody, match="timeUnixNano"):
        JsonCodec().event(raw)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"1", 1.0),
        (b'"1.5e3"', 1500.0),
        (b'"NaN"', math.nan),
        (b'"Infinity"', math.inf),
        (b'"-Infinity"', -math.inf),
        (b"-0", -0.0),
        (b"-0.0", -0.0),
        (b'"-0"', -0.0),
        (b"123456789012345678901234567890", 123456789012345678901234567890.0),
    ],
)
def test_doubles_are_numbers_or_strings(sent: bytes, expected: float) -> None:
    metric = only(r.METRICS, b'{"name":"m","gauge":{"dataPoints":[{"asDouble":%s}]}}' % sent)
    for value in (
        metric.data_points[0].value,
        JsonCodec().any_value(b'{"doubleValue":%s}' % sent),
        JsonCodec().exemplar(b'{"asDouble":%s}' % sent).value,
    ):
        assert isinstance(value, float)
        assert repr(value) == repr(expected)


# ---- what is absent, unknown, wrong


def test_null_is_absent_and_null_records_are_skipped() -> None:
    nulls: Any = dict.fromkeys(f.encode_name for f in msgspec.structs.fields(wire.Span))
    found, findings = records(r.SPANS, None, nulls, SPAN)
    assert found[0] == only(r.SPANS, {})
    assert [span.name for span in found] == ["", "GET /cart"]
    assert findings == r.Findings()
    sent = b'{"resourceSpans":[null,{"resource":null,"scopeSpans":[null,{"scope":null,"spans":null}]}]}'
    (scope,) = decode(JsonCodec(), r.SPANS, sent)
    assert scope == r.ScopeRecords(b"", "", b"", "", [])
    codec = JsonCodec()
    assert (codec.resource(b""), codec.scope(b""), codec.status(b"")) == (r.Resource(), r.Scope(), r.Status())
    assert codec.any_value(b"") is codec.any_value(b"{}") is None


@pytest.mark.parametrize("signal", REQUESTS)
@pytest.mark.parametrize("sent", [b"{}", b' {"resource%s": []} ', b'{"resource%s":null}', b'{"new":[{}]}'])
def test_requests_without_records(signal: str, sent: bytes) -> None:
    suffix = NAMES[signal][0].removeprefix("resource").encode()
    assert decode(JsonCodec(), signal, sent.replace(b"%s", suffix)) == []


@pytest.mark.parametrize("signal", REQUESTS)
@pytest.mark.parametrize("other", REQUESTS)
def test_a_body_of_another_signal_is_told_where_to_go(signal: str, other: str) -> None:
    if signal != other:
        path = {r.SPANS: "/v1/traces", r.LOGS: "/v1/logs", r.METRICS: "/v1/metrics"}[other]
        with pytest.raises(UndecodableBody, match=path):
            decode(JsonCodec(), signal, body(other, {}))


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"[]",
        b"null",
        b"5",
        b'"x"',
        b"{",
        b'{"resourceSpans":[]}x',
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[5]}',
        b'{"resourceSpans":[{"scopeSpans":{}}]}',
        b'{"resourceSpans":[{"schemaUrl":5}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}',
        b'{"resourceSpans":"null"}',
        b'{"x":"\xff"}',
        b'{"x":NaN}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b"[" * 100_000,
    ],
)
def test_bodies_that_are_no_request(sent: bytes) -> None:
    with pytest.raises(UndecodableBody):
        decode(JsonCodec(), r.SPANS, sent)


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("attributes", {"a": 1}),
        ("attributes", "null"),
        ("startTimeUnixNano", "a while ago"),
        ("endTimeUnixNano", 2**64),
        ("name", 5),
        ("traceId", 5),
        ("kind", "SPAN_KIND_STRANGE"),
        ("kind", 2**31),
        ("kind", 1.5),
        ("flags", -1),
        ("flags", 2**32),
        ("droppedLinksCount", True),
        ("events", 7),
    ],
)
def test_a_span_of_the_wrong_type_is_refused_alone(field: str, sent: Any) -> None:
    bad = {**SPAN, field: sent}
    found, findings = records(r.SPANS, SPAN, bad, SPAN)
    assert [span.name for span in found] == ["GET /cart", "GET /cart"]
    (refusal,) = findings.refusals
    assert json.loads(refusal.record) == bad
    assert refusal.message.startswith(f"spans[1].{field}: ")


def test_only_the_scope_with_the_bad_record_is_read_again() -> None:
    base64_id = b64encode(bytes(range(16))).decode()
    scope = {"spans": [{**SPAN, "traceId": base64_id}]}
    bad = {"spans": [{**SPAN, "traceId": base64_id, "kind": 1}, {**SPAN, "kind": "WORSE"}]}
    sent = {"resourceSpans": [{"scopeSpans": [scope]}, {"scopeSpans": [bad, scope]}]}
    codec = JsonCodec()
    scopes = decode(codec, r.SPANS, json.dumps(sent).encode())
    assert [len(s.records) for s in scopes] == [1, 1, 1]
    assert codec.findings.sanitised == {"base64_id": 3}
    assert [x.message for x in codec.findings.refusals] == ["spans[1].kind: no such enum name: WORSE"]


@pytest.mark.parametrize(
    ("method", "sent"),
    [
        ("attribute", b"null"),
        ("attribute", b'"k"'),
        ("attribute", b'{"key":5}'),
        ("attribute", b'{"key":"k","value":"v"}'),
        ("attribute", b'{"key":"k","value":{"boolValue":"true"}}'),
        ("attribute", b'{"key":"k","value":{"intValue":1.5}}'),
        ("attribute", b'{"key":"k","value":{"intValue":9223372036854775808}}'),
        ("attribute", b'{"key":"k","value":{"doubleValue":"high"}}'),
        ("attribute", b'{"key":"k","value":{"doubleValue":1e999}}'),
        ("attribute", b'{"key":"k","value":{"bytesValue":"?"}}'),
        ("attribute", b'{"key":"k","value":{"bytesValue":"QUJDR"}}'),
        ("attribute", b'{"key":"k","value":{"arrayValue":[]}}'),
        ("attribute", b'{"key":"k","value":{"arrayValue":{"values":[5]}}}'),
        ("attribute", b'{"key":"k","value":{"kvlistValue":{"values":{"a":1}}}}'),
        ("attribute_key", b"5"),
        ("any_value", b"[]"),
        ("any_value", b'"text"'),
        ("resource", b"[]"),
        ("resource", b'{"attributes":[null]}'),
        ("resource", b'{"attributes":{}}'),
        ("resource", b'{"entityRefs":[{"idKeys":[1]}]}'),
        ("scope", b'{"attributes":[{"key":"k","value":"v"}]}'),
        ("scope", b'{"name":5}'),
        ("status", b"5"),
        ("event", b'{"timeUnixNano":"noon"}'),
        ("event", b'{"timeUnixNano":18446744073709551616}'),
        ("link", b"5"),
        ("link", b'{"traceId":5}'),
        ("exemplar", b'{"asInt":"x"}'),
        ("exemplar", b'{"filteredAttributes":[7]}'),
        ("exemplar", b'"\xff"'),
        ("any_value", b"[" * 100_000),
        ("status", b"{" * 100_000),
    ],
)
def test_opaque_parts_of_the_wrong_type(method: str, sent: bytes) -> None:
    with pytest.raises(UndecodableBody):
        getattr(JsonCodec(), method)(sent)
