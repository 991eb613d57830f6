"""What the API answers as JSON, one typed struct a shape; its OpenAPI description is made from these, too.

A field without a value is null, never left out; times and durations are nanoseconds; ids are lower-case hex.
"""

from datetime import datetime
from typing import Any, ClassVar

from msgspec import Struct

Attributes = dict[str, Any]
"""Attributes by key: string, int, double, bool, array or map; bytes are {"bytesValue": base64}."""
Number = float | str | None
"""A number; "NaN", "Infinity" and "-Infinity" are strings."""
Count = int | float
"""How many there are; with `adjusted` an estimate, which has fractions."""
Name = str | int
"""The name of an enum's number; the number where the protocol has no name for it."""


class TimeWindow(Struct):
    """The window that was used: from `start_time` inclusive to `end_time` exclusive."""

    start_time: int
    end_time: int


class Page(Struct, kw_only=True):
    """What every list says about itself; `total_relation` "gte" tells that there may be more than `total`."""

    total: int
    total_relation: str
    has_more: bool
    next_cursor: str | None


class WindowedPage(Page, kw_only=True):
    """A page of what lies in a window of time."""

    window: TimeWindow


class Trace(Struct):
    """A trace in a list; `root_*` and `service_*` are of its root span or, while there is none, of its earliest one."""

    trace_id: str
    start_time_unix_nano: int
    end_time_unix_nano: int
    duration_nanos: int
    span_count: int
    error_count: int
    status: str
    root_span_name: str
    root_span_kind: Name
    root_span_id: str
    has_root: bool
    service_name: str
    service_namespace: str | None
    services: list[str]


class TraceList(WindowedPage):
    """GET /api/traces."""

    records: ClassVar[str] = "traces"
    traces: list[Trace]


class Event(Struct):
    """An event of a span."""

    time_unix_nano: int
    name: str
    attributes: Attributes
    dropped_attributes_count: int


class Link(Struct):
    """A link of a span."""

    trace_id: str | None
    span_id: str | None
    trace_state: str | None
    attributes: Attributes
    dropped_attributes_count: int
    flags: int


class Span(Struct):
    """A span; `start_time_unix_nano` is what it is filed under, `sent_time_unix_nano` its own where that differs.

    `adjusted_count` is how many spans it stands for, as its `trace_state` tells (ot=th:); 1 where that does not.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: Name
    start_time_unix_nano: int
    end_time_unix_nano: int
    duration_nanos: int
    sent_time_unix_nano: int | None
    status: Name
    status_message: str | None
    service_name: str
    service_namespace: str | None
    semantic_type: str | None
    attributes: Attributes
    events: list[Event]
    links: list[Link]
    resource_id: int
    scope_id: int
    scope_name: str | None
    scope_version: str | None
    trace_state: str | None
    adjusted_count: Count
    flags: int
    dropped_attributes_count: int
    dropped_events_count: int
    dropped_links_count: int


class SpanInTree(Span):
    """A span of a whole trace with its depth below the top."""

    depth: int


class SpanList(WindowedPage):
    """GET /api/spans."""

    records: ClassVar[str] = "spans"
    spans: list[Span]


class TraceSpans(Page):
    """GET /api/traces/{trace_id}/spans."""

    records: ClassVar[str] = "spans"
    trace_id: str
    spans: list[Span]


class Resource(Struct):
    """A resource of a whole trace."""

    resource_id: int
    service_name: str
    service_namespace: str | None
    schema_url: str | None
    attributes: Attributes
    dropped_attributes_count: int


class Scope(Struct):
    """A scope of a whole trace."""

    scope_id: int
    name: str | None
    version: str | None
    schema_url: str | None
    attributes: Attributes
    dropped_attributes_count: int


class WholeTrace(Trace):
    """GET /api/traces/{trace_id}: spans in the order of their tree, resources and scopes once each; `metric_count` is
    how many metrics have exemplars of it."""

    records: ClassVar[str] = "spans"
    has_more: bool
    metric_count: int
    spans: list[SpanInTree]
    resources: list[Resource]
    scopes: list[Scope]


class Log(Struct):
    """A log record; `time_unix_nano` is what it is filed under, `sent_time_unix_nano` its own where that differs."""

    log_id: int
    time_unix_nano: int
    observed_time_unix_nano: int | None
    sent_time_unix_nano: int | None
    severity_number: int
    severity_text: str | None
    event_name: str | None
    body: Any
    service_name: str
    service_namespace: str | None
    attributes: Attributes
    trace_id: str | None
    span_id: str | None
    flags: int
    resource_id: int
    scope_id: int
    scope_name: str | None
    scope_version: str | None
    dropped_attributes_count: int


class LogList(WindowedPage):
    """GET /api/logs."""

    records: ClassVar[str] = "logs"
    logs: list[Log]


class Skipped(Struct):
    """What a tail says in place of records that it leaves out: how many, null where it cannot tell, and why."""

    skipped: int | None
    reason: str


class Exemplar(Struct):
    """An exemplar of a data point."""

    time_unix_nano: int
    value: Number
    trace_id: str | None
    span_id: str | None
    attributes: Attributes


class Point(Struct, kw_only=True):
    """What data points of every type have; `value` and `buckets` are null for a gap."""

    time_unix_nano: int
    start_time_unix_nano: int | None
    sent_time_unix_nano: int | None
    flags: int


class NumberPoint(Point, kw_only=True):
    """A data point of a gauge or a sum."""

    value: Number
    exemplars: list[Exemplar]


class Bucket(Struct):
    """A bucket of a histogram, up to its bound inclusive; the last one has none."""

    upper_bound: Number
    count: int | None


class HistogramPoint(Point, kw_only=True):
    """A data point of a histogram with explicit bounds."""

    count: int
    sum: Number
    min: Number
    max: Number
    buckets: list[Bucket]
    exemplars: list[Exemplar]


class Buckets(Struct):
    """Buckets of an exponential histogram on one side of zero: the first one has the index `offset`."""

    offset: int
    bucket_counts: list[int]


class ExponentialBuckets(Struct):
    """All buckets of an exponential histogram; bucket i is (base^i, base^(i+1)], base = 2^(2^-scale)."""

    scale: int
    zero_count: int
    zero_threshold: Number
    positive: Buckets | None
    negative: Buckets | None


class ExponentialPoint(Point, kw_only=True):
    """A data point of an exponential histogram."""

    count: int
    sum: Number
    min: Number
    max: Number
    buckets: ExponentialBuckets
    exemplars: list[Exemplar]


class Quantile(Struct):
    """A quantile of a summary."""

    quantile: Number
    value: Number


class SummaryPoint(Point, kw_only=True):
    """A data point of a summary."""

    count: int
    sum: Number
    quantiles: list[Quantile]
    exemplars: list[Exemplar] = []


AnyPoint = NumberPoint | HistogramPoint | ExponentialPoint | SummaryPoint


class ScopeName(Struct):
    """What a scope is called."""

    name: str | None
    version: str | None


class MetricHead(Struct, kw_only=True):
    """A metric without its points."""

    metric_name: str
    metric_type: Name
    unit: str | None
    description: str | None
    aggregation_temporality: Name | None
    is_monotonic: bool | None


class Line(MetricHead):
    """The points of one series, newest first."""

    service_name: str | None
    resource: Attributes | None
    scope: ScopeName | None
    attributes: Attributes
    data_points: list[Any]


class PointList(WindowedPage):
    """GET /api/metrics/series: what its metrics share, and null where they do not; its series."""

    records: ClassVar[str] = "series"
    metric_name: str | None
    metric_type: Name | None
    unit: str | None
    description: str | None
    aggregation_temporality: Name | None
    is_monotonic: bool | None
    series: list[Line]


class Metric(Struct):
    """A metric in a list."""

    name: str
    type: Name
    unit: str | None
    description: str | None
    aggregation_temporality: Name | None
    is_monotonic: bool | None
    series_count: int
    last_seen: datetime


class MetricList(WindowedPage):
    """GET /api/metrics."""

    records: ClassVar[str] = "metrics"
    metrics: list[Metric]


class Service(Struct):
    """A service with its records in the window; a count is null where it would take too long."""

    service_name: str
    service_namespace: str | None
    last_seen: datetime
    span_count: Count | None
    log_count: int | None


class ServiceList(WindowedPage):
    """GET /api/services; with `adjusted` a span counts for as many as it stands for."""

    records: ClassVar[str] = "services"
    services: list[Service]
    adjusted: bool
