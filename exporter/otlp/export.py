"""Records to OTLP/JSON: what `format=otlp` answers, and what quarantine keeps of a refused record.

Every function takes a record for its plain fields, and beside it the parts that a record holds opaque, decoded: where
they come from (a codec, or the database) is the caller's business. Fields that have their default are left out, as
proto3 does; 64-bit integers are strings, ids are hex, enums are integers.

Source: opentelemetry-proto `docs/specification.md`, "JSON Protobuf Encoding"; https://protobuf.dev/programming-guides/json/.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from exporter.otlp import records as r
from exporter.otlp.anyvalue import attributes_to_otlp, double_to_otlp, to_otlp

Json: TypeAlias = dict[str, Any]
ScopeGroup: TypeAlias = tuple[r.Scope, str, Sequence[Json]]
"""A scope, its schema_url, and its records (spans, log records or metrics) as OTLP/JSON."""
ResourceGroup: TypeAlias = tuple[r.Resource, str, Iterable[ScopeGroup]]
"""A resource, its schema_url, and its scopes."""

_ENVELOPES = {
    r.SPANS: ("resourceSpans", "scopeSpans", "spans"),
    r.LOGS: ("resourceLogs", "scopeLogs", "logRecords"),
    r.METRICS: ("resourceMetrics", "scopeMetrics", "metrics"),
}


def request(signal: str, groups: Iterable[ResourceGroup]) -> Json:
    """One export request of `signal` (`records.SPANS`, `LOGS` or `METRICS`)."""
    resources, scopes, records = _ENVELOPES[signal]
    return {
        resources: [
            {
                "resource": resource(of),
                scopes: [
                    {"scope": scope(inside), records: list(found)} | _given(schemaUrl=scope_url)
                    for inside, scope_url, found in parts
                ],
            }
            | _given(schemaUrl=schema_url)
            for of, schema_url, parts in groups
        ]
    }


def with_record(signal: str, around: Json, record: bytes) -> Json:
    """A request made of one resource and scope, with one record in it, which is OTLP/JSON."""
    resources, scopes, records = _ENVELOPES[signal]
    around[resources][0][scopes][0][records] = [msgspec.Raw(record)]
    return around


def resource(record: r.Resource) -> Json:
    """A Resource."""
    return _given(
        attributes=attributes_to_otlp(record.attributes),
        droppedAttributesCount=record.dropped_attributes_count,
        entityRefs=[
            _given(schemaUrl=e.schema_url, type=e.type, idKeys=e.id_keys, descriptionKeys=e.description_keys)
            for e in record.entity_refs
        ],
    )


def scope(record: r.Scope) -> Json:
    """An InstrumentationScope."""
    return _given(
        name=record.name,
        version=record.version,
        attributes=attributes_to_otlp(record.attributes),
        droppedAttributesCount=record.dropped_attributes_count,
    )


def span(
    record: r.Span,
    attributes: Iterable[r.KeyValue],
    events: Iterable[r.Event],
    links: Iterable[r.Link],
    status: r.Status,
) -> Json:
    """A Span; its opaque parts come beside it."""
    return _given(
        traceId=record.trace_id.hex(),
        spanId=record.span_id.hex(),
        traceState=record.trace_state,
        parentSpanId=record.parent_span_id.hex(),
        flags=record.flags,
        name=record.name,
        kind=record.kind,
        startTimeUnixNano=_int64(record.start_time_unix_nano),
        endTimeUnixNano=_int64(record.end_time_unix_nano),
        attributes=attributes_to_otlp(attributes),
        droppedAttributesCount=record.dropped_attributes_count,
        events=[_event(item) for item in events],
        droppedEventsCount=record.dropped_events_count,
        links=[_link(item) for item in links],
        droppedLinksCount=record.dropped_links_count,
        status=_status(status),
    )


def _status(record: r.Status) -> Json:
    return _given(message=record.message, code=record.code)


def _event(record: r.Event) -> Json:
    return _given(
        timeUnixNano=_int64(record.time_unix_nano),
        name=record.name,
        attributes=attributes_to_otlp(record.attributes),
        droppedAttributesCount=record.dropped_attributes_count,
    )


def _link(record: r.Link) -> Json:
    return _given(
        traceId=record.trace_id.hex(),
        spanId=record.span_id.hex(),
        traceState=record.trace_state,
        attributes=attributes_to_otlp(record.attributes),
        droppedAttributesCount=record.dropped_attributes_count,
        flags=record.flags,
    )


def log_record(record: r.LogRecord, attributes: Iterable[r.KeyValue], body: r.AnyValue) -> Json:
    """A LogRecord; `body` None = none."""
    return _given(
        timeUnixNano=_int64(record.time_unix_nano),
        observedTimeUnixNano=_int64(record.observed_time_unix_nano),
        severityNumber=record.severity_number,
        severityText=record.severity_text,
        eventName=record.event_name,
        body=to_otlp(body),
        attributes=attributes_to_otlp(attributes),
        droppedAttributesCount=record.dropped_attributes_count,
        flags=record.flags,
        traceId=record.trace_id.hex(),
        spanId=record.span_id.hex(),
    )


def metric(record: r.Metric, metadata: Iterable[r.KeyValue], data_points: Sequence[Json]) -> Json:
    """A Metric around points that are OTLP/JSON already; those of `record` are not looked at."""
    found = _given(
        name=record.name,
        description=record.description,
        unit=record.unit,
        metadata=attributes_to_otlp(metadata),
    )
    if record.type in _DATA:
        data = {"dataPoints": list(data_points)}
        name, has_temporality = _DATA[record.type]
        if has_temporality:
            data |= _given(aggregationTemporality=record.aggregation_temporality)
        if record.type == r.SUM:
            data |= _given(isMonotonic=record.is_monotonic)
        found[name] = data
    return found


_DATA = {
    r.GAUGE: ("gauge", False),
    r.SUM: ("sum", True),
    r.HISTOGRAM: ("histogram", True),
    r.EXPONENTIAL_HISTOGRAM: ("exponentialHistogram", True),
    r.SUMMARY: ("summary", False),
}


def data_point(record: r.SentPoint, attributes: Iterable[r.KeyValue], exemplars: Iterable[r.Exemplar] = ()) -> Json:
    """A data point of any type; a summary's has no exemplars."""
    return _given(
        attributes=attributes_to_otlp(attributes),
        startTimeUnixNano=_int64(record.start_time_unix_nano),
        timeUnixNano=_int64(record.time_unix_nano),
        flags=record.flags,
        exemplars=[_exemplar(item) for item in exemplars],
    ) | _POINTS[type(record)](record)


def _number(p: r.NumberDataPoint | r.PlainNumberPoint) -> Json:
    return _number_value(p.value)


def _histogram(p: r.HistogramDataPoint) -> Json:
    return _distribution(p) | _given(
        bucketCounts=[str(count) for count in p.bucket_counts],
        explicitBounds=[double_to_otlp(bound) for bound in p.explicit_bounds],
    )


def _exponential_histogram(p: r.ExponentialHistogramDataPoint) -> Json:
    found = _distribution(p) | _given(scale=p.scale, zeroCount=_int64(p.zero_count))
    if p.zero_threshold or math.copysign(1, p.zero_threshold) < 0:
        found["zeroThreshold"] = double_to_otlp(p.zero_threshold)
    for name, buckets in (("positive", p.positive), ("negative", p.negative)):
        if buckets is not None:
            found[name] = _given(offset=buckets.offset, bucketCounts=[str(count) for count in buckets.bucket_counts])
    return found


def _distribution(p: r.HistogramDataPoint | r.ExponentialHistogramDataPoint) -> Json:
    # sum, min and max have presence: 0 is not the same as none.
    optional = {"sum": p.sum, "min": p.min, "max": p.max}
    found = {name: double_to_otlp(value) for name, value in optional.items() if value is not None}
    return found | _given(count=_int64(p.count))


def _summary(p: r.SummaryDataPoint) -> Json:
    return {"sum": double_to_otlp(p.sum)} | _given(
        count=_int64(p.count),
        quantileValues=[
            {"quantile": double_to_otlp(quantile), "value": double_to_otlp(value)}
            for quantile, value in zip(p.quantiles, p.values, strict=True)
        ],
    )


_POINTS: dict[type, Callable[[Any], Json]] = {
    r.NumberDataPoint: _number,
    r.PlainNumberPoint: _number,
    r.HistogramDataPoint: _histogram,
    r.ExponentialHistogramDataPoint: _exponential_histogram,
    r.SummaryDataPoint: _summary,
}


def _exemplar(record: r.Exemplar) -> Json:
    return _given(
        filteredAttributes=attributes_to_otlp(record.filtered_attributes),
        timeUnixNano=_int64(record.time_unix_nano),
        spanId=record.span_id.hex(),
        traceId=record.trace_id.hex(),
    ) | _number_value(record.value)


def _number_value(value: float | None) -> Json:
    if value is None:
        return {}
    return {"asInt": str(value)} if isinstance(value, int) else {"asDouble": double_to_otlp(value)}


def _int64(value: int) -> str | None:
    return str(value) if value else None


def _given(**fields: Any) -> Json:
    """The fields that have a value; none of those given here may be a double."""
    return {name: value for name, value in fields.items() if value}


def refused_span(codec: r.Codec, record: r.Span) -> Json:
    """A Span as a codec read it. Raises UndecodableBody where one of its parts is no such thing."""
    return span(record, (), (), (), r.Status()) | _given(
        attributes=_attributes(codec, record.attributes),
        events=[_part(codec, raw, codec.event, _event) for raw in record.events],
        links=[_part(codec, raw, codec.link, _link) for raw in record.links],
        status=record.status and _part(codec, record.status, codec.status, _status),
    )


def refused_log_record(codec: r.Codec, record: r.LogRecord) -> Json:
    """A LogRecord as a codec read it. Raises UndecodableBody."""
    return log_record(record, (), None) | _given(
        attributes=_attributes(codec, record.attributes),
        body=record.body and _part(codec, record.body, codec.any_value, to_otlp),
    )


def refused_metric(codec: r.Codec, record: r.Metric) -> Json:
    """A Metric as a codec read it, with its points; to keep one point, give a metric of that point alone."""
    points = [
        data_point(point, ())
        | _given(
            attributes=_attributes(codec, _opaque_attributes(codec, point)),
            exemplars=()
            if isinstance(point, r.SummaryDataPoint)
            else [_part(codec, raw, codec.exemplar, _exemplar) for raw in point.exemplars],
        )
        for point in record.data_points
    ]
    return metric(record, (), points) | _given(metadata=_attributes(codec, record.metadata))


def _attributes(codec: r.Codec, raws: Iterable[r.Opaque]) -> list[Any]:
    return [_part(codec, raw, codec.attribute, lambda found: attributes_to_otlp([found])[0]) for raw in raws]


def _part(codec: r.Codec, raw: r.Opaque, decode: Callable[[bytes], Any], show: Callable[[Any], Json]) -> Any:
    # What is no such part in JSON can still be kept as it was sent.
    return msgspec.Raw(raw) if codec.is_json else show(decode(raw))


def _opaque_attributes(codec: r.Codec, point: r.SentPoint) -> Sequence[r.Opaque]:
    return codec.block(point.block) if isinstance(point, r.PlainNumberPoint) else point.attributes
