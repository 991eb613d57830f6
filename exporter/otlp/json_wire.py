"""OTLP/JSON as it stands on the wire: what msgspec decodes a request into, before it is made records.

What is opaque in the records is `Raw` here, so nothing looks inside. The types say what the *fast* decoder (msgspec
without `strict`, for numbers as strings) accepts; `json_fields` derives from the same types how to read a record
exactly where that decoder gives up. No type but text allows null: without `strict` the word "null" would pass as one.

Source: opentelemetry-proto `*.proto`; a test holds every name against the descriptors' `camelcase_name`.
"""

from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from msgspec import Meta, Raw, Struct, defstruct

U64_MAX = 2**64 - 1
U64 = Annotated[int, Meta(ge=0)]
"""msgspec cannot hold 2^64-1 as a bound: whoever converts checks it."""
I64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
I32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Enum: TypeAlias = I32 | str
Text: TypeAlias = str | None
Opaques: TypeAlias = list[Raw]

ABSENT: Any = None
NO_RAW = Raw(b"")
NONE: Any = ()
"""Immutable, so the default of all lists."""


class Span(Struct, rename="camel", gc=False):
    """trace.proto Span."""

    trace_id: Text = None
    span_id: Text = None
    parent_span_id: Text = None
    name: Text = None
    kind: Enum = 0
    start_time_unix_nano: U64 = 0
    end_time_unix_nano: U64 = 0
    attributes: Opaques = NONE
    events: Opaques = NONE
    links: Opaques = NONE
    status: Raw = NO_RAW
    trace_state: Text = None
    flags: U32 = 0
    dropped_attributes_count: U32 = 0
    dropped_events_count: U32 = 0
    dropped_links_count: U32 = 0


class Status(Struct, rename="camel", gc=False):
    """trace.proto Status."""

    code: Enum = 0
    message: Text = None


class Event(Struct, rename="camel", gc=False):
    """trace.proto Span.Event."""

    time_unix_nano: U64 = 0
    name: Text = None
    attributes: Opaques = NONE
    dropped_attributes_count: U32 = 0


class Link(Struct, rename="camel", gc=False):
    """trace.proto Span.Link."""

    trace_id: Text = None
    span_id: Text = None
    trace_state: Text = None
    attributes: Opaques = NONE
    dropped_attributes_count: U32 = 0
    flags: U32 = 0


class LogRecord(Struct, rename="camel", gc=False):
    """logs.proto LogRecord."""

    time_unix_nano: U64 = 0
    observed_time_unix_nano: U64 = 0
    severity_number: Enum = 0
    severity_text: Text = None
    event_name: Text = None
    body: Raw = NO_RAW
    attributes: Opaques = NONE
    trace_id: Text = None
    span_id: Text = None
    flags: U32 = 0
    dropped_attributes_count: U32 = 0


class NumberDataPoint(Struct, rename="camel", gc=False):
    """metrics.proto NumberDataPoint."""

    attributes: Opaques = NONE
    start_time_unix_nano: U64 = 0
    time_unix_nano: U64 = 0
    flags: U32 = 0
    exemplars: Opaques = NONE
    as_int: I64 = ABSENT
    as_double: float = ABSENT


class HistogramDataPoint(Struct, rename="camel", gc=False):
    """metrics.proto HistogramDataPoint."""

    attributes: Opaques = NONE
    start_time_unix_nano: U64 = 0
    time_unix_nano: U64 = 0
    flags: U32 = 0
    exemplars: Opaques = NONE
    count: U64 = 0
    sum: float = ABSENT
    min: float = ABSENT
    max: float = ABSENT
    explicit_bounds: list[float] = NONE
    bucket_counts: list[U64] = NONE


class Buckets(Struct, rename="camel", gc=False):
    """metrics.proto ExponentialHistogramDataPoint.Buckets."""

    offset: I32 = 0
    bucket_counts: list[U64] = NONE


class ExponentialHistogramDataPoint(Struct, rename="camel", gc=False):
    """metrics.proto ExponentialHistogramDataPoint."""

    attributes: Opaques = NONE
    start_time_unix_nano: U64 = 0
    time_unix_nano: U64 = 0
    flags: U32 = 0
    exemplars: Opaques = NONE
    count: U64 = 0
    sum: float = ABSENT
    min: float = ABSENT
    max: float = ABSENT
    scale: I32 = 0
    zero_count: U64 = 0
    zero_threshold: float = 0.0
    positive: Buckets = ABSENT
    negative: Buckets = ABSENT


class ValueAtQuantile(Struct, rename="camel", gc=False):
    """metrics.proto SummaryDataPoint.ValueAtQuantile."""

    quantile: float = 0.0
    value: float = 0.0


class SummaryDataPoint(Struct, rename="camel", gc=False):
    """metrics.proto SummaryDataPoint."""

    attributes: Opaques = NONE
    start_time_unix_nano: U64 = 0
    time_unix_nano: U64 = 0
    flags: U32 = 0
    count: U64 = 0
    sum: float = 0.0
    quantile_values: list[ValueAtQuantile] = NONE


P = TypeVar("P")


class Data(Struct, Generic[P], rename="camel", gc=False):
    """metrics.proto Gauge, Sum, Histogram, ExponentialHistogram and Summary; the first and last have only points."""

    data_points: list[P] = NONE
    aggregation_temporality: Enum = 0
    # Without `strict`, msgspec would take "true" and 1 for a bool.
    is_monotonic: Raw = NO_RAW


class Metric(Struct, rename="camel", gc=False):
    """metrics.proto Metric."""

    name: Text = None
    description: Text = None
    unit: Text = None
    metadata: Opaques = NONE
    gauge: Data[NumberDataPoint] = ABSENT
    sum: Data[NumberDataPoint] = ABSENT
    histogram: Data[HistogramDataPoint] = ABSENT
    exponential_histogram: Data[ExponentialHistogramDataPoint] = ABSENT
    summary: Data[SummaryDataPoint] = ABSENT


class Exemplar(Struct, rename="camel", gc=False):
    """metrics.proto Exemplar."""

    time_unix_nano: U64 = 0
    as_int: I64 = ABSENT
    as_double: float = ABSENT
    trace_id: Text = None
    span_id: Text = None
    filtered_attributes: Opaques = NONE


class EntityRef(Struct, rename="camel", gc=False):
    """common.proto EntityRef."""

    schema_url: Text = None
    type: Text = None
    id_keys: list[str] = NONE
    description_keys: list[str] = NONE


class Resource(Struct, rename="camel", gc=False):
    """resource.proto Resource."""

    attributes: Opaques = NONE
    dropped_attributes_count: U32 = 0
    entity_refs: list[EntityRef] = NONE


class Scope(Struct, rename="camel", gc=False):
    """common.proto InstrumentationScope."""

    name: Text = None
    version: Text = None
    attributes: Opaques = NONE
    dropped_attributes_count: U32 = 0


class AnyValue(Struct, rename="camel", gc=False, omit_defaults=True):
    """common.proto AnyValue; decoded strictly, so null and bool are what they are."""

    string_value: Text = None
    bool_value: bool | None = None
    int_value: Raw = NO_RAW
    double_value: Raw = NO_RAW
    array_value: "ArrayValue | None" = None
    kvlist_value: "KeyValueList | None" = None
    bytes_value: Text = None


class KeyValue(Struct, rename="camel", gc=False, omit_defaults=True):
    """common.proto KeyValue; decoded strictly."""

    key: Text = None
    value: AnyValue | None = None


class ArrayValue(Struct, rename="camel", gc=False, omit_defaults=True):
    """common.proto ArrayValue; decoded strictly."""

    values: list[AnyValue | None] | None = None


class KeyValueList(Struct, rename="camel", gc=False, omit_defaults=True):
    """common.proto KeyValueList; decoded strictly."""

    values: list[KeyValue] | None = None


Envelopes: TypeAlias = tuple[str, str, str]
"""The JSON names of a request's lists, outermost first."""

SPANS: Envelopes = ("resourceSpans", "scopeSpans", "spans")
LOGS: Envelopes = ("resourceLogs", "scopeLogs", "logRecords")
METRICS: Envelopes = ("resourceMetrics", "scopeMetrics", "metrics")


def request(names: Envelopes, record: Any, *, nullable: bool) -> Any:
    """The type of a request: `resources`, their `scopes`, their `records`, each list None where it is absent.

    Built, because the three signals differ in nothing but three names.
    """

    def list_of(item: Any) -> Any:
        # Raw is null, too; as `Raw | None` it would be nothing else.
        element: Any = item | None if nullable and item is not Raw else item
        return list[element] | None if nullable else list[element]

    def struct(name: str, *fields: tuple[str, Any, Any]) -> Any:
        rename = {"schema_url": "schemaUrl"} | dict(zip(("resources", "scopes", "records"), names, strict=True))
        return defstruct(name, fields, rename=rename)

    schema_url = ("schema_url", Text, None)
    scope = struct("Scope", ("records", list_of(record), None), ("scope", Raw, NO_RAW), schema_url)
    resource = struct("Resource", ("scopes", list_of(scope), None), ("resource", Raw, NO_RAW), schema_url)
    return struct("Request", ("resources", list_of(resource), None))
