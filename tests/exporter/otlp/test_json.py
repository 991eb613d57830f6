"""The JSON codec row by row of the ingest contract, against the protobuf codec, and against anything at all."""

import json
import math
import random
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.errors import UndecodableBody
from exporter.otlp import json_wire as wire
from exporter.otlp import records as r
from exporter.otlp.json import JsonCodec
from exporter.otlp.json_fields import read
from exporter.otlp.protobuf import ProtobufCodec

CORPUS = Path(__file__).resolve().parents[3].parent / "shared" / "corpus"
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
U64_MAX = 2**64 - 1
SPAN = {"traceId": TRACE_ID, "spanId": SPAN_ID, "name": "GET /cart", "kind": 2}
REQUESTS: dict[str, Any] = {
    r.SPANS: ExportTraceServiceRequest,
    r.LOGS: ExportLogsServiceRequest,
    r.METRICS: ExportMetricsServiceRequest,
}
NAMES = {r.SPANS: wire.SPANS, r.LOGS: wire.LOGS, r.METRICS: wire.METRICS}


def body(signal: str, *records: Any) -> bytes:
    """A request with these records in one scope; bytes among them stand as they are."""
    raw = [msgspec.Raw(x) if isinstance(x, bytes) else msgspec.Raw(json.dumps(x).encode()) for x in records]
    resources, scopes, leaves = NAMES[signal]
    return msgspec.json.encode({resources: [{scopes: [{leaves: raw}]}]})


def decode(codec: r.Codec, signal: str, data: bytes) -> list[r.ScopeRecords[Any]]:
    return list(getattr(codec, signal)(data))


def records(signal: str, *sent: Any) -> tuple[list[Any], r.Findings]:
    codec = JsonCodec()
    scopes = decode(codec, signal, body(signal, *sent))
    return [record for scope in scopes for record in scope.records], codec.findings


def only(signal: str, sent: Any) -> Any:
    (record,), findings = records(signal, sent)
    assert not findings.refusals
    return record


def values(codec: r.Codec, signal: str, data: bytes) -> list[Any]:
    """Everything of a body, the opaque parts decoded."""
    return [
        (
            codec.resource(scope.resource),
            scope.resource_schema_url,
            codec.scope(scope.scope),
            scope.scope_schema_url,
            [builtins(codec, record) for record in scope.records],
        )
        for scope in decode(codec, signal, data)
    ]


def builtins(codec: r.Codec, record: Any) -> Any:
    parts: dict[str, Callable[[Any], Any]] = {
        "attributes": codec.attribute,
        "metadata": codec.attribute,
        "events": codec.event,
        "links": codec.link,
        "exemplars": codec.exemplar,
        "data_points": lambda point: builtins(codec, point),
    }
    out: dict[str, Any] = {}
    for field in record.__struct_fields__:
        value = getattr(record, field)
        if field in parts:
            value = [parts[field](item) for item in value]
        elif field == "status":
            value = codec.status(value)
        elif field == "body":
            value = codec.any_value(value)
        elif field in ("explicit_bounds", "bucket_counts", "quantiles", "values"):
            value = list(value)
        elif isinstance(value, r.Buckets):
            value = (value.offset, list(value.bucket_counts))
        out[field] = value
    return repr(out)


# ---- both encodings


def fill(message: Any, rng: random.Random, depth: int = 0) -> None:
    """Set every field of a message, one member of each oneof, to odd but legal values."""
    chosen = {one.name: rng.choice(one.fields).name for one in message.DESCRIPTOR.oneofs}
    for field in message.DESCRIPTOR.fields:
        one = field.containing_oneof
        if field.name.endswith("strindex") or (one and chosen[one.name] != field.name):
            continue
        if depth > 12 and field.message_type is not None:
            continue
        for _ in range(rng.choice((1, 2)) if field.is_repeated else 1):
            if field.message_type is not None:
                child = getattr(message, field.name)
                child = child.add() if field.is_repeated else child
                child.SetInParent()
                fill(child, rng, depth + 1)
            elif field.is_repeated:
                getattr(message, field.name).append(scalar(field, rng))
            else:
                setattr(message, field.name, scalar(field, rng))


def scalar(field: Any, rng: random.Random) -> Any:
    if field.name in ("trace_id", "span_id", "parent_span_id"):
        return rng.randbytes(16 if field.name == "trace_id" else 8)
    if field.enum_type is not None:
        return rng.choice([v.number for v in field.enum_type.values])
    by_type: dict[int, Any] = {
        field.TYPE_STRING: rng.choice(["", "x", 'quote" \\ é € 🙂 \n', "\x00", "_a:"]),
        field.TYPE_BYTES: rng.randbytes(rng.randrange(5)),
        field.TYPE_BOOL: rng.random() < 0.5,
        field.TYPE_DOUBLE: rng.choice([0.0, -0.0, 0.1, -1e300, math.inf, -math.inf, math.nan, 5e-324, 3.0]),
        field.TYPE_UINT32: rng.choice([0, 2**32 - 1]),
        field.TYPE_FIXED32: rng.choice([0, 257, 2**32 - 1]),
        field.TYPE_SINT32: rng.choice([0, -(2**31), 2**31 - 1]),
        field.TYPE_INT64: rng.choice([0, -(2**63), 2**63 - 1]),
        field.TYPE_SFIXED64: rng.choice([0, -(2**63), 2**63 - 1]),
        field.TYPE_FIXED64: rng.choice([0, 1, U64_MAX]),
        field.TYPE_UINT64: rng.choice([0, U64_MAX]),
    }
    return by_type[field.type]


def as_otlp_json(message: Any) -> bytes:
    def fix(node: Any) -> Any:
        if isinstance(node, list):
            return [fix(item) for item in node]
        if not isinstance(node, dict):
            return node
        ids = ("traceId", "spanId", "parentSpanId")
        return {k: b64decode(v).hex() if k in ids else fix(v) for k, v in node.items()}

    return json.dumps(fix(MessageToDict(message, use_integers_for_enums=True))).encode()


@pytest.mark.parametrize("signal", REQUESTS)
def test_both_codecs_read_the_same_from_the_same_request(signal: str) -> None:
    for seed in range(60):
        message = REQUESTS[signal]()
        fill(message, random.Random(seed))
        sent = as_otlp_json(message)
        codec, other = JsonCodec(), ProtobufCodec()
        ours = values(codec, signal, sent)
        assert repr(ours) == repr(values(other, signal, message.SerializeToString()))
        assert not codec.findings.refusals
        assert codec.findings.sanitised == other.findings.sanitised


@pytest.mark.parametrize("signal", REQUESTS)
def test_records_read_one_by_one_are_the_same(signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(30):
        message = REQUESTS[signal]()
        fill(message, random.Random(seed))
        sent = as_otlp_json(message)
        quick = repr(values(JsonCodec(), signal, sent))
        with monkeypatch.context() as patch:
            patch.setattr("exporter.otlp.json._decode_typed", lambda *_: None)
            patch.setattr("exporter.otlp.json.read_quickly", read)
            assert repr(values(JsonCodec(), signal, sent)) == quick


def messages(descriptor: Any, seen: dict[str, Any]) -> dict[str, Any]:
    if descriptor.full_name not in seen:
        seen[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None:
                messages(field.message_type, seen)
    return seen


def test_every_json_name_is_the_descriptors_own() -> None:
    found: dict[str, Any] = {}
    for request in REQUESTS.values():
        messages(request.DESCRIPTOR, found)
    by_name = {descriptor.name: descriptor for descriptor in found.values()}
    by_name["Scope"] = by_name["InstrumentationScope"]
    structs = [x for x in vars(wire).values() if isinstance(x, type) and issubclass(x, msgspec.Struct)]
    for struct in structs:
        if struct in (msgspec.Struct, wire.Data):
            continue
        fields = by_name[struct.__name__].fields
        expected = {f.camelcase_name for f in fields if not f.name.endswith("strindex")}
        assert {f.encode_name for f in msgspec.structs.fields(struct)} == expected
    assert {f.encode_name for f in msgspec.structs.fields(wire.Data)} == {
        f.camelcase_name for f in by_name["Sum"].fields
    }
    for signal, names in NAMES.items():
        descriptor = REQUESTS[signal].DESCRIPTOR
        for name in names:
            (field,) = [f for f in descriptor.fields if f.camelcase_name == name]
            descriptor = field.message_type


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


# ---- metrics


def test_points_are_refused_one_by_one_and_a_metric_with_all_of_its_points() -> None:
    points = [{"asInt": "1"}, {"asInt": "1.5"}, None, {"asDouble": 2, "timeUnixNano": "x"}, {"flags": 1}]
    found, findings = records(
        r.METRICS,
        {"name": "good", "gauge": {"dataPoints": points}},
        {"name": 5, "sum": {"dataPoints": [{}, {}, {}]}},
        {"name": "bool", "sum": {"isMonotonic": "true", "dataPoints": [{}, {}]}},
        {"name": "list", "histogram": []},
        5,
    )
    assert [(m.name, [p.value for p in m.data_points]) for m in found] == [("good", [1, None])]
    assert [(x.count, x.message.partition(": ")[0]) for x in findings.refusals] == [
        (1, "metrics[0](good).gauge.dataPoints[1].asInt"),
        (1, "metrics[0](good).gauge.dataPoints[3].timeUnixNano"),
        (3, "metrics[1].name"),
        (2, "metrics[2].isMonotonic"),
        (1, "metrics[3].histogram"),
        (1, "metrics[4]"),
    ]
    assert json.loads(findings.refusals[0].record) == points[1]


def test_a_metric_without_data_has_no_type_and_no_points() -> None:
    metric = only(r.METRICS, {"name": "m", "gauge": None})
    assert (metric.type, metric.data_points) == (0, [])


def test_absent_parts_of_histograms_stay_absent() -> None:
    (point,) = only(r.METRICS, {"name": "m", "histogram": {"dataPoints": [{"count": "1"}]}}).data_points
    assert (point.count, point.sum, point.min, point.max) == (1, None, None, None)
    sent = {"name": "m", "exponentialHistogram": {"dataPoints": [{"positive": {}, "sum": 0}]}}
    (point,) = only(r.METRICS, sent).data_points
    assert (point.sum, point.min, point.positive, point.negative) == (0.0, None, r.Buckets(0, ()), None)


@pytest.mark.parametrize("field", ["bucketCounts", "explicitBounds"])
def test_lists_of_numbers_are_checked_item_by_item(field: str) -> None:
    for item in (2**64, "x"):
        point = {field: [1, item]} if field == "bucketCounts" else {field: [1, "x"]}
        _, findings = records(r.METRICS, {"name": "m", "histogram": {"dataPoints": [point]}})
        assert findings.refusals[0].message.startswith(f"metrics[0](m).histogram.dataPoints[0].{field}[1]")


# ---- values


def nested(depth: int) -> bytes:
    return b'{"arrayValue":{"values":[' * depth + b'{"intValue":"1"}' + b"]}}" * depth


def test_any_value_is_pythons_own() -> None:
    codec = JsonCodec()
    sent = b"""{"kvlistValue":{"values":[
        {"key":"b","value":{"boolValue":false}}, {"key":"s","value":{"stringValue":""}},
        {"key":"x","value":{"bytesValue":"-_8"}}, {"key":"n"}, {"key":"e","value":{}},
        {"key":"a","value":{"arrayValue":{"values":[null,{"doubleValue":1}]}}}, {"key":"l","value":{"arrayValue":{}}},
        {"key":"b","value":{"intValue":"-9223372036854775808"}}]}}"""
    expected = {"b": -(2**63), "s": "", "x": b"\xfb\xff", "n": None, "e": None, "a": [None, 1.0], "l": []}
    assert codec.any_value(sent) == expected
    assert codec.findings.sanitised == {"duplicate_key": 1}


@pytest.mark.parametrize("sent", ["+/8=", "-_8=", "+/8", "-_8"])
def test_bytes_are_base64_of_either_alphabet_with_or_without_padding(sent: str) -> None:
    assert JsonCodec().any_value(b'{"bytesValue":"%s"}' % sent.encode()) == b"\xfb\xff"


def test_values_nested_deeper_than_32_become_their_json() -> None:
    for depth, rest in ((32, 1), (33, "[1]"), (40, "[" * 8 + "1" + "]" * 8)):
        codec = JsonCodec()
        value = codec.any_value(nested(depth))
        for _ in range(32):
            assert isinstance(value, list)
            (value,) = value
        assert value == rest
        assert codec.findings.sanitised == ({"too_deep": 1} if depth > 32 else {})
    deepest = JsonCodec()
    (log,) = decode(deepest, r.LOGS, body(r.LOGS, b'{"body":%s}' % nested(250)))[0].records
    deepest.any_value(log.body)


def test_lone_surrogates_become_replacement_characters() -> None:
    sent = rb'{"severityText":"a\ud800b \udc00 \ud83d\ude00 \\ud800 \uDBFF\n","body":{"stringValue":"\ud83d"}}'
    codec = JsonCodec()
    ((log,),) = [scope.records for scope in codec.logs(body(r.LOGS, sent))]
    assert log.severity_text == "a\ufffdb \ufffd 😀 \\ud800 \ufffd\n"
    assert codec.any_value(log.body) == "\ufffd"
    assert codec.findings.sanitised == {"lone_surrogate": 4}


@settings(deadline=None)
@given(st.lists(st.sampled_from(["\\", "\\ud83d", "\\ude00", "\\uDBFF", "u", "d83d", "n", "\\u0041"]), max_size=8))
def test_only_lone_surrogates_are_replaced(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        parsed = json.loads(f'"{text}"')
    except ValueError:
        return
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in parsed)
    assert only(r.LOGS, b'{"severityText":"%s"}' % text.encode()).severity_text == expected


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode(JsonCodec(), r.LOGS, b"\xef\xbb\xbf{}") == []


# ---- warnings


def test_ignored_keys_are_named_once() -> None:
    sent = body(r.LOGS, {"severity_text": "x"}, {"severity_text": "y", "trace_id": "z", "my_own": 1})
    codec = JsonCodec()
    (scope,) = decode(codec, r.LOGS, sent)
    assert [log.severity_text for log in scope.records] == ["", ""]
    assert [warning.split('"')[1] for warning in codec.findings.warnings] == ["severity_text", "trace_id"]
    assert '"severityText"' in codec.findings.warnings[0]


def test_instrumentation_libraries_are_named_too() -> None:
    codec = JsonCodec()
    sent = b'{"resourceSpans":[{"instrumentationLibrarySpans":[{"instrumentationLibrary":{}}]}]}'
    assert decode(codec, r.SPANS, sent) == []
    assert len(codec.findings.warnings) == 2


def test_attributes_with_such_names_are_no_keys() -> None:
    log = {
        "attributes": [{"key": "trace_id", "value": {"stringValue": "span_id"}}],
        "body": {"stringValue": '{"trace_id": 1, "instrumentationLibrary":2}'},
    }
    assert records(r.LOGS, log)[1].warnings == []


def test_warnings_are_bounded() -> None:
    log = dict.fromkeys(("time_unix_nano", "trace_id", "span_id", "severity_text", "event_name"), 1)
    log |= dict.fromkeys(("severity_number", "schema_url", "string_value", "int_value", "data_points"), 1)
    warnings = records(r.LOGS, log)[1].warnings
    assert len(warnings) == 9
    assert warnings[-1] == "and 2 more ignored keys"


# ---- anything at all

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from([TRACE_ID, SPAN_ID, "1e3", "NaN", "SPAN_KIND_SERVER", "null", "AAAA"]),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            sorted({f.encode_name for x in (wire.Span, wire.LogRecord, wire.Metric, wire.Data, wire.AnyValue,
                    wire.HistogramDataPoint, wire.ExponentialHistogramDataPoint, wire.SummaryDataPoint,
                    wire.NumberDataPoint, wire.Resource, wire.KeyValue, wire.ValueAtQuantile)
                    for f in msgspec.structs.fields(x)})
            + [name for names in NAMES.values() for name in names]
            + ["values", "trace_id", "x"]
        ),
        children,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
OPAQUE = ("attribute_key", "attribute", "any_value", "resource", "scope", "status", "event", "link", "exemplar")


def try_everything(signal: str, data: bytes) -> None:
    codec = JsonCodec()
    with suppress(UndecodableBody):
        for scope in getattr(codec, signal)(data):
            for record in scope.records:
                with suppress(UndecodableBody):
                    builtins(codec, record)


@settings(deadline=None)
@given(json_values)
def test_any_json_raises_its_own_error_only(value: Any) -> None:
    raw = json.dumps(value).encode()
    for signal in REQUESTS:
        try_everything(signal, raw)
        try_everything(signal, body(signal, raw, value if isinstance(value, dict) else {}))
    for method in OPAQUE:
        with suppress(UndecodableBody):
            getattr(JsonCodec(), method)(raw)


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_raise_its_own_error_only(data: bytes) -> None:
    for signal in REQUESTS:
        try_everything(signal, data)
        try_everything(signal, b'{"%s":[{%s}]}' % (NAMES[signal][0].encode(), data))
    for method in OPAQUE:
        with suppress(UndecodableBody):
            getattr(JsonCodec(), method)(data)


def whole_bodies() -> dict[str, bytes]:
    bodies = {}
    for signal, request in REQUESTS.items():
        message = request()
        fill(message, random.Random(5))
        bodies[signal] = as_otlp_json(message)
    return bodies


WHOLE = whole_bodies()
PIECES = [b"", b"null", b"{}", b"[", b'"', b"\\ud800", b"\xff", b"-0", b"1e5", b"1.5", b"true", b'"x"', b",", b"5"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_mutated_bodies_raise_its_own_error_only(signal: str, data: st.DataObject) -> None:
    sent = WHOLE[signal]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(sent)))
        end = at + data.draw(st.integers(0, 12))
        sent = sent[:at] + data.draw(st.sampled_from(PIECES)) + sent[end:]
    try_everything(signal, sent)


def replaced(node: Any) -> Iterator[Any]:
    """A JSON document once per node, with something else in that node's place."""
    yield from (None, 5, -1, 1.5, "word", True, [], {}, [5], {"x": 1})
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in list(items):
        for other in replaced(child):
            if isinstance(node, dict):
                yield {**node, key: other}
            else:
                yield [*node[:key], other, *node[key + 1 :]]


@pytest.mark.parametrize("signal", REQUESTS)
def test_a_wrong_node_anywhere_raises_its_own_error_only(signal: str) -> None:
    rng = random.Random(3)
    variants = list(replaced(json.loads(WHOLE[signal])))
    for variant in rng.sample(variants, min(len(variants), 600)):
        try_everything(signal, json.dumps(variant).encode())


# ---- what others send


def test_public_payloads_are_read_as_their_manifest_says() -> None:
    if not (CORPUS / "MANIFEST.json").exists():
        pytest.skip("no folder shared/corpus beside the checkout")
    for entry in json.loads((CORPUS / "MANIFEST.json").read_bytes())["files"]:
        if entry["encoding"] == "json" and entry["expectation"] != "unclear":
            signal = "spans" if entry["signal"] == "traces" else entry["signal"]
            outcome, count = replay(signal, (CORPUS / entry["file"]).read_bytes())
            assert (entry["file"], outcome, count) == (entry["file"], entry["expectation"], entry["records"])


def has_identity(span: r.Span) -> bool:
    return all(len(found) == size and any(found) for found, size in ((span.trace_id, 16), (span.span_id, 8)))


def replay(signal: str, sent: bytes) -> tuple[str, int | None]:
    """Outcome and number of records (refused ones, too), with the row builder's part in it: see `Codec`."""
    codec = JsonCodec()
    stored = refused = 0
    try:
        for scope in decode(codec, signal, sent):
            codec.resource(scope.resource)
            codec.scope(scope.scope)
            for record in scope.records:
                for item in record.data_points if signal == r.METRICS else [record]:
                    identified = signal != r.SPANS or has_identity(item)
                    try:
                        builtins(codec, item)
                        stored, refused = stored + identified, refused + (not identified)
                    except UndecodableBody:
                        refused += 1
    except UndecodableBody:
        return "400", None
    refused += sum(refusal.count for refusal in codec.findings.refusals)
    return f"partial:{refused}" if refused else "stored", stored + refused
