"""The typed records behind both OTLP encodings; nothing after `exporter.otlp` knows which one it was.

Attributes, resources, scopes, events, links, statuses, bodies and exemplars stay *opaque* (the bytes of the encoding
they came in) until somebody needs them: most of them repeat byte for byte, so whoever stores them interns them by
those bytes and decodes each distinct one once, with the batch's own `Codec`.

Source: opentelemetry-proto 1.x, `common.proto`, `resource.proto`, `trace.proto`, `logs.proto`, `metrics.proto`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

AnyValue: TypeAlias = "bool | int | float | str | bytes | list[AnyValue] | dict[str, AnyValue] | None"
"""Python's type is OTLP's type: kvlist = dict, array = list, nothing set = None."""

Opaque: TypeAlias = bytes
"""One embedded message (protobuf) or one JSON value, undecoded; b"" where the field is absent."""


Interned: TypeAlias = tuple[int, str, bytes]
"""An attribute as rows are made of it: (ident, key, b'"key":value'); ident 0 = it lies on the row."""

RowEntry: TypeAlias = tuple[str, bytes]
"""An attribute that lies on the row: (key, b'"key":value')."""

RowKey: TypeAlias = tuple[str, bytes]
"""A key whose attributes lie on the row: (key, b'"key":')."""


class KeyValue(Struct, gc=False):
    """One attribute."""

    key: str
    value: AnyValue


class EntityRef(Struct, gc=False):
    """A reference from a resource to an entity that its attributes describe."""

    schema_url: str = ""
    type: str = ""
    id_keys: list[str] = []
    description_keys: list[str] = []


class Resource(Struct):
    """The entity that produced telemetry."""

    attributes: list[KeyValue] = []
    dropped_attributes_count: int = 0
    entity_refs: list[EntityRef] = []


class Scope(Struct):
    """The instrumentation scope (library) that produced telemetry."""

    name: str = ""
    version: str = ""
    attributes: list[KeyValue] = []
    dropped_attributes_count: int = 0


class Status(Struct, gc=False):
    """A span's status; `code` is an open enum: 0 unset, 1 ok, 2 error."""

    code: int = 0
    message: str = ""


class Event(Struct):
    """Something that happened during a span."""

    time_unix_nano: int = 0
    name: str = ""
    attributes: list[KeyValue] = []
    dropped_attributes_count: int = 0


class Link(Struct):
    """A pointer from a span to another span; ids as sent, of any length."""

    trace_id: bytes = b""
    span_id: bytes = b""
    trace_state: str = ""
    attributes: list[KeyValue] = []
    dropped_attributes_count: int = 0
    flags: int = 0


class Exemplar(Struct):
    """A sample measurement beside a data point; ids as sent, of any length."""

    time_unix_nano: int = 0
    value: int | float | None = None
    trace_id: bytes = b""
    span_id: bytes = b""
    filtered_attributes: list[KeyValue] = []


class Span(Struct, gc=False):
    """One span; ids as sent, of any length (who stores it refuses what has no identity). Times are uint64."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    start_time_unix_nano: int
    end_time_unix_nano: int
    name: str
    kind: int
    attributes: Sequence[Opaque]
    events: Sequence[Opaque]
    links: Sequence[Opaque]
    status: Opaque
    trace_state: str
    flags: int
    dropped_attributes_count: int
    dropped_events_count: int
    dropped_links_count: int


class LogRecord(Struct, gc=False):
    """One log record; `body` is an opaque AnyValue."""

    time_unix_nano: int
    observed_time_unix_nano: int
    severity_number: int
    severity_text: str
    event_name: str
    body: Opaque
    attributes: Sequence[Opaque]
    trace_id: bytes
    span_id: bytes
    flags: int
    dropped_attributes_count: int


class NumberDataPoint(Struct, gc=False):
    """A gauge's or sum's point; `value` None where neither as_int nor as_double is set."""

    attributes: Sequence[Opaque]
    start_time_unix_nano: int
    time_unix_nano: int
    flags: int
    exemplars: Sequence[Opaque]
    value: int | float | None


class PlainNumberPoint(Struct, gc=False):
    """A number point that is nothing but times, a value and attributes.

    `block` stands for the attributes: all of them as the bytes they came in, side by side, so that whoever has seen
    them before need not look inside. `Codec.block` opens it.
    """

    start_time_unix_nano: int
    time_unix_nano: int
    value: int | float
    block: Opaque
    flags: ClassVar[int] = 0
    exemplars: ClassVar[Sequence[Opaque]] = ()


class HistogramDataPoint(Struct, gc=False):
    """An explicit-bounds histogram's point."""

    attributes: Sequence[Opaque]
    start_time_unix_nano: int
    time_unix_nano: int
    flags: int
    exemplars: Sequence[Opaque]
    count: int
    sum: float | None
    min: float | None
    max: float | None
    explicit_bounds: Sequence[float]
    bucket_counts: Sequence[int]


class Buckets(Struct, gc=False):
    """One side of an exponential histogram."""

    offset: int
    bucket_counts: Sequence[int]


class ExponentialHistogramDataPoint(Struct, gc=False):
    """An exponential histogram's point."""

    attributes: Sequence[Opaque]
    start_time_unix_nano: int
    time_unix_nano: int
    flags: int
    exemplars: Sequence[Opaque]
    count: int
    sum: float | None
    min: float | None
    max: float | None
    scale: int
    zero_count: int
    zero_threshold: float
    positive: Buckets | None
    negative: Buckets | None


class SummaryDataPoint(Struct, gc=False):
    """A summary's point: `values[i]` is the value at `quantiles[i]`."""

    attributes: Sequence[Opaque]
    start_time_unix_nano: int
    time_unix_nano: int
    flags: int
    count: int
    sum: float
    quantiles: Sequence[float]
    values: Sequence[float]


DataPoint: TypeAlias = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint
SentPoint: TypeAlias = DataPoint | PlainNumberPoint
"""A data point as a codec reads it."""

GAUGE, SUM, HISTOGRAM, EXPONENTIAL_HISTOGRAM, SUMMARY = range(1, 6)
"""metric_types.metric_type_id; 0 = a metric whose `data` is not set (it has no points)."""


class Metric(Struct):
    """One metric with its points; `metadata` opaque like attributes. `type` is one of GAUGE .. SUMMARY."""

    name: str
    description: str
    unit: str
    metadata: Sequence[Opaque]
    type: int
    aggregation_temporality: int
    is_monotonic: bool
    data_points: Sequence[SentPoint]


R = TypeVar("R", covariant=True)
SPANS, LOGS, METRICS = "spans", "logs", "metrics"


class Refusal(Struct):
    """A record that cannot be stored: what the sender is told, and what quarantine keeps.

    `reason` is a short slug (it becomes a metric label), `message` one sentence naming the field; `record` is the
    record as OTLP/JSON where it can be read, else b""; `count` is how many records of the signal it stands for;
    `context` is the request around it as OTLP/JSON: resource, scope and their schema URLs, and no record.
    """

    reason: str
    message: str
    record: bytes = b""
    count: int = 1
    context: bytes = b""


class Bounds(Struct, frozen=True):
    """What a codec takes: AnyValues inside each other, and records (spans, logs, data points) of one request."""

    max_value_depth: int = 32
    max_records: int = 1_000_000_000


UNBOUNDED = Bounds()


class Findings(Struct):
    """What a codec noticed while it decoded one request."""

    refusals: list[Refusal] = []
    sanitised: dict[str, int] = {}
    warnings: list[str] = []

    def sanitise(self, reason: str, count: int = 1) -> None:
        """Count `count` values that were stored in another form than sent, for `reason`."""
        self.sanitised[reason] = self.sanitised.get(reason, 0) + count


class ScopeRecords(Struct, Generic[R]):
    """The records of one resource and scope, in the order of the body."""

    resource: Opaque
    resource_schema_url: str
    scope: Opaque
    scope_schema_url: str
    records: Sequence[R]


class Codec(Protocol):
    """One encoding: whole requests to records, and opaque parts to values, for the length of one request.

    Every method raises `UndecodableBody` (and nothing else) where the bytes are not what they should be.
    """

    findings: Findings
    is_json: bool
    """Whether opaque parts are JSON."""

    def spans(self, body: bytes) -> Iterator[ScopeRecords[Span]]:
        """The spans of an ExportTraceServiceRequest."""

    def logs(self, body: bytes) -> Iterator[ScopeRecords[LogRecord]]:
        """The log records of an ExportLogsServiceRequest."""

    def metrics(self, body: bytes) -> Iterator[ScopeRecords[Metric]]:
        """The metrics of an ExportMetricsServiceRequest."""

    def attribute_key(self, raw: Opaque) -> str:
        """The key of one KeyValue, without decoding its value."""

    def block(self, raw: Opaque) -> Sequence[Opaque]:
        """The attributes of a data point's block."""

    def attribute(self, raw: Opaque) -> KeyValue:
        """One KeyValue."""

    def cut(self, raw: Opaque, row_keys: Mapping[bytes, RowKey]) -> RowEntry | None:
        """Of an attribute so plain that it can be cut by hand, and whose key is in `row_keys`: its entry; else None."""

    def key_part(self, raw: Opaque) -> bytes | None:
        """What stands for the key in `row_keys`; None where `cut` could not find it."""

    def text_attribute(self, key: str, text: str) -> Opaque:
        """A KeyValue of a string, in this encoding."""

    def any_value(self, raw: Opaque) -> AnyValue:
        """One AnyValue; None for b""."""

    def resource(self, raw: Opaque) -> Resource:
        """One Resource; an empty one for b""."""

    def scope(self, raw: Opaque) -> Scope:
        """One InstrumentationScope; an empty one for b""."""

    def status(self, raw: Opaque) -> Status:
        """One Status; unset for b""."""

    def event(self, raw: Opaque) -> Event:
        """One span event."""

    def open_event(self, raw: Opaque) -> tuple[Event, Sequence[Opaque]]:
        """One span event without its attributes, and these, opaque."""

    def open_exemplar(self, raw: Opaque) -> tuple[Exemplar, Sequence[Opaque]]:
        """One exemplar without its filtered attributes, and these, opaque."""

    def link(self, raw: Opaque) -> Link:
        """One span link."""

    def exemplar(self, raw: Opaque) -> Exemplar:
        """One exemplar."""
