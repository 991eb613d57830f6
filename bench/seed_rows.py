"""The seed's tables by name and column, and what a record's fact row holds after its ids."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.baseline import Row
from bench.corpus import LOGS, POINTS, SPANS
from bench.values import encode, exemplars, quantiles, value
from exporter.promotion import SPAN_EVENTS, SPAN_LINKS

_KINDS = ("number", "histogram", "exp_histogram", "summary")
FACTS: Mapping[str, Sequence[str]] = {
    SPANS: ("otel_spans_fact", "otel_span_events", "otel_span_links"),
    LOGS: ("otel_logs_fact",),
    POINTS: tuple(f"otel_metrics_data_points_{kind}" for kind in _KINDS),
}
"""Signal -> tables that have a sequence of ids; parents first, as foreign keys want."""
OWNERS: Mapping[str, dict[str, tuple[str, str]]] = {
    SPANS: {
        "otel_span_attrs": ("span_id", "spans"),
        "otel_span_event_attrs": ("event_id", SPAN_EVENTS),
        "otel_span_link_attrs": ("link_id", SPAN_LINKS),
    },
    LOGS: {"otel_log_attrs": ("log_id", "logs")},
    POINTS: {f"otel_metric_{kind}_attrs": ("data_point_id", "metrics") for kind in _KINDS},
}
"""Signal -> prefix of attribute tables -> (owner's id, owner in the promotion lists)."""
POINT_TABLES: Mapping[str, tuple[str, str]] = {
    of: (f"otel_metrics_data_points_{kind}", f"otel_metric_{kind}_attrs")
    for of, kind in zip(
        ("gauge", "sum", "histogram", "exponential_histogram", "summary"), ("number", *_KINDS), strict=True
    )
}
"""Type of a metric's data -> (fact table, prefix of attribute tables)."""

_DECLARED = {
    "otel_spans_fact": "span_id resource_id scope_id trace_id span_id_hex parent_span_id_hex trace_state name kind_id"
    " start_time_unix_nano end_time_unix_nano status_code_id status_message dropped_attributes_count"
    " dropped_events_count dropped_links_count flags",
    "otel_span_events": "event_id span_id name time_unix_nano dropped_attributes_count",
    "otel_span_links": "link_id span_id linked_trace_id linked_span_id_hex trace_state dropped_attributes_count",
    "otel_logs_fact": "log_id resource_id scope_id time_unix_nano observed_time_unix_nano severity_number severity_text"
    " body_type_id body trace_id span_id_hex trace_flags dropped_attributes_count flags",
    "otel_metrics_data_points_number": "data_point_id metric_id resource_id scope_id start_time_unix_nano"
    " time_unix_nano value_int value_double flags exemplars",
    "otel_metrics_data_points_histogram": "data_point_id metric_id resource_id scope_id start_time_unix_nano"
    " time_unix_nano count sum min max explicit_bounds bucket_counts flags exemplars",
    "otel_metrics_data_points_exp_histogram": "data_point_id metric_id resource_id scope_id start_time_unix_nano"
    " time_unix_nano count sum min max scale zero_count positive_offset positive_bucket_counts negative_offset"
    " negative_bucket_counts flags exemplars",
    "otel_metrics_data_points_summary": "data_point_id metric_id resource_id scope_id start_time_unix_nano"
    " time_unix_nano count sum quantile_values flags",
}
COLUMNS: Mapping[str, Sequence[str]] = {table: columns.split() for table, columns in _DECLARED.items()}

_BODY_TYPES = {
    None: 0,
    "string_value": 1,
    "bool_value": 2,
    "int_value": 3,
    "double_value": 4,
    "bytes_value": 5,
    "array_value": 6,
    "kvlist_value": 7,
}


def span_row(span: Span) -> Row:
    """A span after its id, resource and scope."""
    status = span.status
    return (
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex() or None,
        span.trace_state or None,
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        status.code,
        status.message or None,
        span.dropped_attributes_count,
        span.dropped_events_count,
        span.dropped_links_count,
        span.flags,
    )


def log_row(record: LogRecord) -> Row:
    """A log record after its id, resource and scope."""
    body, flags = record.body, record.flags
    kind = body.WhichOneof("value")
    return (
        record.time_unix_nano,
        record.observed_time_unix_nano,
        record.severity_number,
        record.severity_text or None,
        _BODY_TYPES[kind],
        encode(value(body)) if kind else None,
        record.trace_id.hex() or None,
        record.span_id.hex() or None,
        flags,
        record.dropped_attributes_count,
        flags,
    )


def point_row(kind: str) -> Callable[[Any], Row]:
    """What makes a point of that type of metric what follows its id, metric, resource and scope."""
    return _POINTS[kind]


def _exemplars(point: Any) -> bytes | None:
    return exemplars(point.exemplars) if point.exemplars else None


def _number(point: Any) -> Row:
    kind = point.WhichOneof("value")
    return (
        point.start_time_unix_nano or None,
        point.time_unix_nano,
        point.as_int if kind == "as_int" else None,
        point.as_double if kind == "as_double" else None,
        point.flags,
        _exemplars(point),
    )


def _distribution(point: Any) -> Row:
    times = (point.start_time_unix_nano, point.time_unix_nano)
    return (*times, point.count, point.sum, point.min, point.max)


def _histogram(point: Any) -> Row:
    buckets = (list(point.explicit_bounds), list(point.bucket_counts))
    return (*_distribution(point), *buckets, point.flags, _exemplars(point))


def _exponential_histogram(point: Any) -> Row:
    sides = (point.positive, point.negative)
    buckets = [part for side in sides for part in (side.offset, list(side.bucket_counts))]
    return (*_distribution(point), point.scale, point.zero_count, *buckets, point.flags, _exemplars(point))


def _summary(point: Any) -> Row:
    times = (point.start_time_unix_nano, point.time_unix_nano)
    return (*times, point.count, point.sum, encode(quantiles(point)), point.flags)


_POINTS: Mapping[str, Callable[[Any], Row]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential_histogram,
    "summary": _summary,
}
