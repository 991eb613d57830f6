"""One request of each signal in which every field has a value, and the odd values that are easily lost."""

import math
import time
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

ZERO_TIME_OF_GO = 11651379494838206464
TRACE = bytes.fromhex("5b8efff798038103d269b633813fc60c")


def value(found: Any) -> AnyValue:
    """The AnyValue of a Python value."""
    if isinstance(found, bool):
        return AnyValue(bool_value=found)
    if isinstance(found, int):
        return AnyValue(int_value=found)
    if isinstance(found, float):
        return AnyValue(double_value=found)
    if isinstance(found, str):
        return AnyValue(string_value=found)
    if isinstance(found, bytes):
        return AnyValue(bytes_value=found)
    if isinstance(found, list):
        return AnyValue(array_value=ArrayValue(values=map(value, found)))
    if isinstance(found, dict):
        return AnyValue(kvlist_value=KeyValueList(values=attributes(found)))
    return AnyValue()


def attributes(found: dict[str, Any]) -> list[KeyValue]:
    """Attributes of a dict."""
    return [KeyValue(key=key, value=value(item)) for key, item in found.items()]


ODD = {
    "text": "größer",
    "nul": "a\0b\x1ac",
    "int": -(1 << 63),
    "large": (1 << 53) + 1,
    "double": 1.0,
    "huge": 1e300,
    "2^63": 9223372036854775808.0,
    "tiny": 5e-324,
    "nan": math.nan,
    "inf": -math.inf,
    "-0": -0.0,
    "yes": True,
    "bytes": b"\0\xff",
    "list": [1, 1.0, "1", None, [b""], {"a": {}}],
    "lookalike": {"intValue": "7"},
    "": "empty key",
    "null": None,
}
"""Attributes of every kind, and what JSON or PostgreSQL cannot hold."""

RESOURCE = {
    "attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}],
    "droppedAttributesCount": 1,
    "entityRefs": [
        {"schemaUrl": "https://e", "type": "service", "idKeys": ["service.name"], "descriptionKeys": ["v"]},
        {"type": "host"},
    ],
}
SCOPE = {
    "name": "lib",
    "version": "1",
    "attributes": [{"key": "short", "value": {"boolValue": False}}],
    "droppedAttributesCount": 2,
}


def spans(service: str, now: int | None = None) -> ExportTraceServiceRequest:
    """Spans with everything, with nothing, and with odd times."""
    now = now or time.time_ns()
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add(schema_url="https://resource")
    json_format.ParseDict(RESOURCE, resource.resource)
    resource.resource.attributes[0].value.string_value = service
    scope = resource.scope_spans.add(schema_url="https://scope")
    json_format.ParseDict(SCOPE, scope.scope)
    full = Span(
        trace_id=TRACE,
        span_id=b"\xff" * 8,
        parent_span_id=b"parent!!",
        trace_state="a=b",
        flags=0xFFFFFFFF,
        name="GET /\0",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=now - 1_000_000,
        end_time_unix_nano=now,
        attributes=attributes(ODD),
        dropped_attributes_count=3,
        dropped_events_count=4,
        dropped_links_count=0xFFFFFFFF,
    )
    full.status.code, full.status.message = 2, "gone"  # type: ignore[assignment]
    full.events.add(name="one", time_unix_nano=(1 << 64) - 1, attributes=attributes(ODD), dropped_attributes_count=1)
    full.events.add()
    full.links.add(
        trace_id=TRACE,
        span_id=b"12345678",
        trace_state="c=d",
        attributes=attributes(ODD),
        flags=256,
        dropped_attributes_count=9,
    )
    full.links.add(trace_id=b"short")
    bare = Span(trace_id=TRACE, span_id=b"12345678", start_time_unix_nano=now - 2_000_000)
    early = Span(trace_id=TRACE, span_id=b"12345679", name="1970", end_time_unix_nano=5)
    early.kind = 17  # type: ignore[assignment]
    zero = Span(trace_id=TRACE, span_id=b"12345670", start_time_unix_nano=ZERO_TIME_OF_GO)
    scope.spans.extend([full, bare, early, zero])
    bare_scope = request.resource_spans.add().scope_spans.add()
    bare_scope.spans.add(trace_id=TRACE, span_id=b"nobody's", start_time_unix_nano=now, end_time_unix_nano=1)
    return request


def logs(service: str, now: int | None = None) -> ExportLogsServiceRequest:
    """Log records with everything, with nothing, and with a body of every kind."""
    now = now or time.time_ns()
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add(schema_url="https://resource")
    json_format.ParseDict(RESOURCE, resource.resource)
    resource.resource.attributes[0].value.string_value = service
    scope = resource.scope_logs.add(schema_url="https://scope")
    json_format.ParseDict(SCOPE, scope.scope)
    scope.log_records.add(
        time_unix_nano=now,
        observed_time_unix_nano=(1 << 64) - 1,
        severity_number=13,
        severity_text="warn",
        event_name="session\0start",
        body=value("hello\0"),
        attributes=attributes(ODD),
        dropped_attributes_count=7,
        flags=0x1FF,
        trace_id=TRACE,
        span_id=b"\x80" * 8,
    )
    scope.log_records.add(observed_time_unix_nano=now)
    scope.log_records.add(time_unix_nano=ZERO_TIME_OF_GO, body=value(ODD))
    for place, body in enumerate(ODD.values()):
        record = scope.log_records.add(time_unix_nano=now - place, severity_number=place)
        if body is not None:
            record.body.CopyFrom(value(body))
    for odd in list[Any](("", {}, [], {"doubleValue": 1})):
        scope.log_records.add(time_unix_nano=now, body=value(odd))
    return request


def metrics(service: str, now: int | None = None) -> ExportMetricsServiceRequest:
    """Points of all five types with everything, and as bare as each may be."""
    now = now or time.time_ns()
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add(schema_url="https://resource")
    json_format.ParseDict(RESOURCE, resource.resource)
    resource.resource.attributes[0].value.string_value = service
    scope = resource.scope_metrics.add(schema_url="https://scope")
    json_format.ParseDict(SCOPE, scope.scope)
    about = {"description": "what\0", "unit": "ms", "metadata": attributes(ODD)}
    common: dict[str, Any] = {"start_time_unix_nano": now - 5, "time_unix_nano": now, "flags": 1}
    bare: dict[str, Any] = {"time_unix_nano": now - 1, "attributes": attributes({"bare": True})}
    exemplars: list[dict[str, Any]] = [
        {
            "filtered_attributes": attributes(ODD),
            "time_unix_nano": (1 << 64) - 1,
            "as_int": -5,
            "span_id": b"12345678",
            "trace_id": TRACE,
        },
        {"as_double": -0.0},
        {},
    ]
    gauge = scope.metrics.add(name="gauge", **about).gauge
    gauge.data_points.add(**common, attributes=attributes(ODD), as_double=math.nan, exemplars=exemplars)
    gauge.data_points.add(**bare)
    for place, number in enumerate((0.0, -0.0, math.inf, 5e-324)):
        gauge.data_points.add(time_unix_nano=now - place, attributes=attributes({"n": place}), as_double=number)
    total = scope.metrics.add(name="sum").sum
    total.aggregation_temporality, total.is_monotonic = 1, True  # type: ignore[assignment]
    total.data_points.add(**common, attributes=attributes({"a": 1}), as_int=-(1 << 63))
    total.data_points.add(time_unix_nano=0, as_int=0)
    histogram = scope.metrics.add(name="histogram").histogram
    histogram.aggregation_temporality = 2  # type: ignore[assignment]
    histogram.data_points.add(
        **common,
        count=(1 << 64) - 1,
        sum=0.0,
        min=-0.0,
        max=math.inf,
        explicit_bounds=[0.0, -0.0, 1.5, math.inf],
        bucket_counts=[1, 0, (1 << 64) - 1, 4, 5],
        exemplars=exemplars,
    )
    histogram.data_points.add(**bare)
    histogram.data_points.add(time_unix_nano=now - 2, bucket_counts=[3], count=3)
    exponential = scope.metrics.add(name="exponential").exponential_histogram
    exponential.aggregation_temporality = 7  # type: ignore[assignment]
    point = exponential.data_points.add(
        **common,
        count=9,
        sum=1.5,
        min=0.5,
        max=2.5,
        scale=-10,
        zero_count=1 << 63,
        zero_threshold=0.25,
        exemplars=exemplars,
    )
    point.positive.offset = -7
    point.positive.bucket_counts.extend([0, (1 << 64) - 1])
    point.negative.SetInParent()
    exponential.data_points.add(**bare)
    summary = scope.metrics.add(name="summary").summary
    point_of_summary = summary.data_points.add(**common, count=1 << 63, sum=-0.0)
    point_of_summary.quantile_values.add(quantile=0.0, value=math.nan)
    point_of_summary.quantile_values.add(quantile=0.99, value=0.0)
    summary.data_points.add(**bare)
    return request
