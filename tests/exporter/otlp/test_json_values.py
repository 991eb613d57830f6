"""The JSON codec on metrics, values and warnings."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.otlp import records as r
from exporter.otlp.json import JsonCodec
from tests.exporter.otlp.json_requests import (
    body,
    decode,
    only,
    records,
)

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
