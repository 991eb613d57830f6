"""J1 and J2, the table one would write by hand: official protobuf classes in, rows of one JSONB table a signal out.

J1 repeats resource and scope in each row, J2 has them by id. Tuned as their author would: a resource or scope is looked
at once, ids are packed, JSON goes through msgspec and is COPYed in binary, columns that are usually empty hold NULL.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.baseline import WALKS, Connection, Row, Tables
from bench.corpus import LOGS, POINTS, SPANS
from bench.statements import script, statement
from bench.values import (
    METRIC_TYPES,
    attributes,
    encode,
    exemplars,
    is_monotonic,
    quantiles,
    signed,
    temporality,
    value,
    values,
)

_BY_ID, _REPEATED = ("resource_id", "scope_id"), ("resource", "scope")
_COLUMNS = {
    SPANS: "trace_id span_id parent_span_id start_time_unix_nano end_time_unix_nano flags"
    " dropped_attributes_count dropped_events_count dropped_links_count kind status_code name trace_state"
    " status_message attributes events links",
    LOGS: "time_unix_nano observed_time_unix_nano trace_id span_id flags"
    " dropped_attributes_count severity_number severity_text event_name body attributes",
    POINTS: "metric_name metric_type unit description temporality is_monotonic"
    " start_time_unix_nano time_unix_nano flags attributes exemplars value_int value_double data",
}


class Jsonb:
    """J2: one signal's table; `control` is for making it, and for J2's resources and scopes.

    `beside` is another signal's of the same database: the two have their resources and scopes in common.
    """

    _owner = _BY_ID
    _scripts: tuple[str, ...] = ("jsonb_dimensions", "jsonb_{}")

    def __init__(self, signal: str, control: Connection, beside: "Jsonb | None" = None) -> None:
        self.columns = {signal: [*self._owner, *_COLUMNS[signal].split()]}
        self._signal, self._control, self._beside = signal, control, beside
        self._resources: dict[tuple[bytes, str], Any] = beside._resources if beside else {}
        self._scopes: dict[tuple[bytes, str], Any] = beside._scopes if beside else {}

    async def create(self) -> None:
        """Make the tables, with their indexes."""
        for name in self._scripts[-1:] if self._beside else self._scripts:
            await self._control.execute(script(name.format(self._signal)))

    async def decode(self, body: bytes, into: Tables) -> AsyncIterator[int]:
        """Add the rows of a serialized request, and yield how many they are, scope by scope."""
        walk, put = WALKS[self._signal], into[self._signal]
        row_of = _ROWS.get(self._signal)
        for group in walk.resources(body):
            resource = await self._resource(group.resource, group.schema_url)
            for part in walk.scopes(group):
                owner = (resource, await self._scope(part.scope, part.schema_url))
                if row_of is not None:
                    rows = [owner + row_of(record) for record in walk.records(part)]
                else:
                    rows = [row for metric in walk.records(part) for row in _points(owner, metric)]
                put += rows
                yield len(rows)

    async def _resource(self, resource: Resource, schema_url: str) -> Any:
        key = (resource.SerializeToString(), schema_url)
        known = self._resources.get(key)
        if known is None:
            known = self._resources[key] = await self._store_resource(resource, schema_url)
        return known

    async def _scope(self, scope: InstrumentationScope, schema_url: str) -> Any:
        key = (scope.SerializeToString(), schema_url)
        known = self._scopes.get(key)
        if known is None:
            known = self._scopes[key] = await self._store_scope(scope, schema_url)
        return known

    async def _store_resource(self, resource: Resource, schema_url: str) -> Any:
        """What stands for the resource in a row: its id."""
        return await self._control.fetchval(statement("insert-resource"), schema_url, attributes(resource.attributes))

    async def _store_scope(self, scope: InstrumentationScope, schema_url: str) -> Any:
        arguments = (scope.name, scope.version, schema_url, attributes(scope.attributes))
        return await self._control.fetchval(statement("insert-scope"), *arguments)


class RepeatedJsonb(Jsonb):
    """J1: resource and scope stand in each row as JSONB, made once for each distinct one."""

    _owner = _REPEATED
    _scripts = ("jsonb_repeated_{}",)

    async def _store_resource(self, resource: Resource, schema_url: str) -> bytes:
        return encode({"schema_url": schema_url, "attributes": values(resource.attributes)})

    async def _store_scope(self, scope: InstrumentationScope, schema_url: str) -> bytes:
        found = {"name": scope.name, "version": scope.version, "schema_url": schema_url}
        return encode(found | ({"attributes": values(scope.attributes)} if scope.attributes else {}))


def _span(span: Span) -> Row:
    parent, status, events, links = span.parent_span_id, span.status, span.events, span.links
    return (
        span.trace_id,
        signed(span.span_id)[0],
        signed(parent)[0] if parent else None,
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
        attributes(span.attributes),
        encode([_event(event) for event in events]) if events else None,
        encode([_link(link) for link in links]) if links else None,
    )


def _event(event: Span.Event) -> dict[str, Any]:
    return {
        "time_unix_nano": event.time_unix_nano,
        "name": event.name,
        "attributes": values(event.attributes),
    }


def _link(link: Span.Link) -> dict[str, Any]:
    return {
        "trace_id": link.trace_id.hex(),
        "span_id": link.span_id.hex(),
        "flags": link.flags,
        "attributes": values(link.attributes),
    }


def _log(record: LogRecord) -> Row:
    trace_id, span_id = record.trace_id, record.span_id
    return (
        record.time_unix_nano,
        record.observed_time_unix_nano,
        trace_id or None,
        signed(span_id)[0] if span_id else None,
        record.flags or None,
        record.dropped_attributes_count or None,
        record.severity_number,
        record.severity_text or None,
        record.event_name or None,
        encode(value(record.body)) if record.HasField("body") else None,
        attributes(record.attributes),
    )


def _points(owner: Row, metric: Any) -> list[Row]:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    head = (
        *owner,
        metric.name,
        METRIC_TYPES[kind],
        metric.unit,
        metric.description,
        temporality(kind, data),
        is_monotonic(kind, data),
    )
    values_of = _VALUES[kind]
    rows = []
    for point in data.data_points:
        found = None
        if kind != "summary" and point.exemplars:
            found = exemplars(point.exemplars)
        common = (point.start_time_unix_nano or None, point.time_unix_nano, point.flags or None)
        rows.append(head + common + (attributes(point.attributes), found) + values_of(point))
    return rows


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
    return (None, None, encode(data))


def _exponential_histogram(point: Any) -> Row:
    data = _distribution(point)
    data["scale"], data["zero_count"] = point.scale, point.zero_count
    for side in ("positive", "negative"):
        buckets = getattr(point, side)
        if buckets.bucket_counts:
            data[side] = {"offset": buckets.offset, "bucket_counts": list(buckets.bucket_counts)}
    return (None, None, encode(data))


def _summary(point: Any) -> Row:
    return (None, None, encode({"count": point.count, "sum": point.sum, "quantile_values": quantiles(point)}))


_ROWS: Mapping[str, Callable[[Any], Row]] = {SPANS: _span, LOGS: _log}
_VALUES: Mapping[str, Callable[[Any], Row]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential_histogram,
    "summary": _summary,
}
