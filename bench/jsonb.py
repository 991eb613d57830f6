"""J2, the table one would write by hand: official protobuf classes in, rows of one JSONB table a signal out.

Tuned as its author would: a resource or scope is looked at once, ids are packed, JSON goes through msgspec and is
COPYed in binary, columns that are usually empty hold NULL.
"""

from collections.abc import AsyncIterator, Sequence
from importlib.resources import files
from struct import Struct as Packing
from typing import Any, TypeAlias

import asyncpg
import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.corpus import LOGS, POINTS, SPANS

Row: TypeAlias = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode
_signed = Packing(">q").unpack
_TYPES = {"gauge": 1, "sum": 2, "histogram": 3, "exponential_histogram": 4, "summary": 5}
_COLUMNS = {
    SPANS: "resource_id scope_id trace_id span_id parent_span_id start_time_unix_nano end_time_unix_nano flags"
    " dropped_attributes_count dropped_events_count dropped_links_count kind status_code name trace_state"
    " status_message attributes events links",
    LOGS: "resource_id scope_id time_unix_nano observed_time_unix_nano trace_id span_id flags"
    " dropped_attributes_count severity_number severity_text event_name body attributes",
    POINTS: "resource_id scope_id metric_name metric_type unit description temporality is_monotonic"
    " start_time_unix_nano time_unix_nano flags attributes exemplars value_int value_double data",
}


class JsonbTable:
    """One signal's table in a database of its own; `connection` is for making it, and for resources and scopes."""

    def __init__(self, signal: str, connection: "asyncpg.Connection[Any]") -> None:
        self.columns = _COLUMNS[signal].split()
        self._signal, self._connection = signal, connection
        self._ids: dict[tuple[bytes, str], int] = {}

    async def create(self) -> None:
        """Make the tables, with their indexes."""
        for name in ("dimensions", self._signal):
            await self._connection.execute(files("bench").joinpath(f"jsonb_{name}.sql").read_text())

    async def decode(self, body: bytes) -> AsyncIterator[Sequence[Row]]:
        """The rows of a serialized request, scope by scope."""
        if self._signal == SPANS:
            for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = await self._resource(spans.resource, spans.schema_url)
                for part in spans.scope_spans:
                    owner = (resource, await self._scope(part.scope, part.schema_url))
                    yield [owner + _span(span) for span in part.spans]
        elif self._signal == LOGS:
            for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                resource = await self._resource(logs.resource, logs.schema_url)
                for lines in logs.scope_logs:
                    owner = (resource, await self._scope(lines.scope, lines.schema_url))
                    yield [owner + _log(record) for record in lines.log_records]
        else:
            for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                resource = await self._resource(metrics.resource, metrics.schema_url)
                for group in metrics.scope_metrics:
                    owner = (resource, await self._scope(group.scope, group.schema_url))
                    yield [row for metric in group.metrics for row in _points(owner, metric)]

    async def _resource(self, resource: Resource, schema_url: str) -> int:
        key = (resource.SerializeToString(), schema_url)
        known = self._ids.get(key)
        if known is None:
            statement = "INSERT INTO resources (schema_url, attributes) VALUES ($1, $2) RETURNING id"
            known = await self._connection.fetchval(statement, schema_url, _attributes(resource.attributes))
            self._ids[key] = known
        return known

    async def _scope(self, scope: InstrumentationScope, schema_url: str) -> int:
        # A resource always has attributes here, so no resource has the bytes of a scope.
        key = (scope.SerializeToString(), schema_url)
        known = self._ids.get(key)
        if known is None:
            statement = (
                "INSERT INTO scopes (name, version, schema_url, attributes) VALUES ($1, $2, $3, $4) RETURNING id"
            )
            attributes = _attributes(scope.attributes)
            known = await self._connection.fetchval(statement, scope.name, scope.version, schema_url, attributes)
            self._ids[key] = known
        return known


async def connect(url: str) -> "asyncpg.Connection[Any]":
    """A connection that takes JSONB as its text and a uuid as its bytes, without objects of either."""
    connection = await asyncpg.connect(url)
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_jsonb, decoder=lambda data: data[1:], format="binary"
    )
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")
    return connection


def _jsonb(text: bytes) -> bytes:
    return b"\x01" + text


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _values(value.kvlist_value.values)
    return getattr(value, kind) if kind else None


def _values(pairs: Any) -> dict[str, Any]:
    # Nearly every value is a string or an integer: asking for these first is a sixth of the decoding time.
    values = {}
    for pair in pairs:
        value = pair.value
        kind = value.WhichOneof("value")
        if kind == "string_value":
            values[pair.key] = value.string_value
        elif kind == "int_value":
            values[pair.key] = value.int_value
        else:
            values[pair.key] = _value(value)
    return values


def _attributes(pairs: Any) -> bytes:
    return _encode(_values(pairs))


def _span(span: Span) -> Row:
    parent, status, events, links = span.parent_span_id, span.status, span.events, span.links
    return (
        span.trace_id,
        _signed(span.span_id)[0],
        _signed(parent)[0] if parent else None,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.flags or None,
        span.dropped_attributes_count or None,
        span.dropped_events_count or None,
        span.dropped_links_count or None,
        span.kind,
        status.code,
        span.name,
        span.trace_state or None,
        status.message or None,
        _attributes(span.attributes),
        _encode([_event(event) for event in events]) if events else None,
        _encode([_link(link) for link in links]) if links else None,
    )


def _event(event: Span.Event) -> dict[str, Any]:
    return {
        "time_unix_nano": event.time_unix_nano,
        "name": event.name,
        "attributes": _values(event.attributes),
    }


def _link(link: Span.Link) -> dict[str, Any]:
    return {
        "trace_id": link.trace_id.hex(),
        "span_id": link.span_id.hex(),
        "flags": link.flags,
        "attributes": _values(link.attributes),
    }


def _log(record: LogRecord) -> Row:
    trace_id, span_id = record.trace_id, record.span_id
    return (
        record.time_unix_nano,
        record.observed_time_unix_nano,
        trace_id or None,
        _signed(span_id)[0] if span_id else None,
        record.flags or None,
        record.dropped_attributes_count or None,
        record.severity_number,
        record.severity_text or None,
        record.event_name or None,
        _encode(_value(record.body)) if record.HasField("body") else None,
        _attributes(record.attributes),
    )


def _points(owner: Row, metric: Any) -> list[Row]:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    temporality = data.aggregation_temporality if 1 < _TYPES[kind] < 5 else None
    is_monotonic = data.is_monotonic if kind == "sum" else None
    head = (*owner, metric.name, _TYPES[kind], metric.unit, metric.description, temporality, is_monotonic)
    values = _VALUES[kind]
    rows = []
    for point in data.data_points:
        exemplars = None
        if kind != "summary" and point.exemplars:
            exemplars = _encode([_exemplar(exemplar) for exemplar in point.exemplars])
        common = (point.start_time_unix_nano or None, point.time_unix_nano, point.flags or None)
        rows.append(head + common + (_attributes(point.attributes), exemplars) + values(point))
    return rows


def _exemplar(exemplar: Any) -> dict[str, Any]:
    return {
        "time_unix_nano": exemplar.time_unix_nano,
        "value": getattr(exemplar, exemplar.WhichOneof("value")),
        "trace_id": exemplar.trace_id.hex(),
        "span_id": exemplar.span_id.hex(),
        "attributes": _values(exemplar.filtered_attributes),
    }


def _number(point: Any) -> Row:
    if point.WhichOneof("value") == "as_int":
        return (point.as_int, None, None)
    return (None, point.as_double, None)


def _distribution(point: Any) -> dict[str, Any]:
    return {"count": point.count, "sum": point.sum, "min": point.min, "max": point.max}


def _histogram(point: Any) -> Row:
    data = _distribution(point)
    data["explicit_bounds"] = list(point.explicit_bounds)
    data["bucket_counts"] = list(point.bucket_counts)
    return (None, None, _encode(data))


def _exponential_histogram(point: Any) -> Row:
    data = _distribution(point)
    data["scale"], data["zero_count"] = point.scale, point.zero_count
    for side in ("positive", "negative"):
        buckets = getattr(point, side)
        if buckets.bucket_counts:
            data[side] = {"offset": buckets.offset, "bucket_counts": list(buckets.bucket_counts)}
    return (None, None, _encode(data))


def _summary(point: Any) -> Row:
    quantiles = [{"quantile": item.quantile, "value": item.value} for item in point.quantile_values]
    return (None, None, _encode({"count": point.count, "sum": point.sum, "quantile_values": quantiles}))


_VALUES = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential_histogram,
    "summary": _summary,
}
