"""Dimension rows by id, as the records they were made of: each is read and decoded once a page."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from exporter.otlp import records as r
from exporter.otlp.anyvalue import from_stored
from queries import stored
from queries.database import Connection
from sql import query

UNKNOWN_SERVICE = "unknown_service"


class Resource(Struct):
    """A resource; `service_name` is never empty."""

    id: int
    record: r.Resource
    attributes: stored.Attributes
    schema_url: str
    service_name: str
    service_namespace: str | None


class Service(Struct):
    """What a resource is called; `name` is never empty."""

    name: str
    namespace: str | None


class Scope(Struct):
    """A scope."""

    id: int
    record: r.Scope
    schema_url: str


class SpanSeries(Struct):
    """What spans of one series share."""

    scope: Scope
    name: str
    kind: int
    attributes: stored.Attributes


class LogSeries(Struct):
    """What log records of one series share."""

    scope: Scope
    severity_number: int
    severity_text: str
    event_name: str
    attributes: stored.Attributes


class Metric(Struct):
    """A metric without its points."""

    id: int
    record: r.Metric
    metadata: stored.Attributes


class MetricSeries(Struct):
    """What data points of one series share; `identity` is the same where only bounds, unit or description differ."""

    identity: bytes
    metric: Metric
    resource: Resource
    scope: Scope
    attributes: stored.Attributes
    bounds: list[float]
    quantiles: list[float]


async def _rows(connection: Connection, name: str, ids: Iterable[int]) -> list[Any]:
    wanted = sorted(set(ids))
    return await connection.fetch(query("reading_dimensions", name), wanted) if wanted else []


async def resources(connection: Connection, ids: Iterable[int]) -> dict[int, Resource]:
    """Resources by id."""
    return {row[0]: _resource(row) for row in await _rows(connection, "find-resources", ids)}


def _resource(row: Any) -> Resource:
    attributes = stored.attributes(row["attributes"])
    record = r.Resource(stored.key_values(attributes), row["dropped_attributes_count"], _entities(row["entity_refs"]))
    return Resource(
        row["resource_id"],
        record,
        attributes,
        stored.text(row["schema_url"]),
        service_name(row["service_name"]),
        stored.text(row["service_namespace"]) or None,
    )


async def services(connection: Connection, ids: Iterable[int]) -> dict[int, Service]:
    """The services of resources by id, where nothing else of them is asked."""
    rows = await _rows(connection, "find-services", ids)
    return {row[0]: Service(service_name(row[1]), stored.text(row[2]) or None) for row in rows}


def service_name(column: str | None) -> str:
    """The name of a service; one without a name has an invented one."""
    return UNKNOWN_SERVICE if column is None else stored.text(column)


def _entities(text: bytes | None) -> list[r.EntityRef]:
    if text is None:
        return []
    found: Any = from_stored(msgspec.json.decode(text))
    return [r.EntityRef(e["schemaUrl"], e["type"], e["idKeys"], e["descriptionKeys"]) for e in found]


async def scopes(connection: Connection, ids: Iterable[int]) -> dict[int, Scope]:
    """Scopes by id."""
    return {row[0]: _scope(row) for row in await _rows(connection, "find-scopes", ids)}


def _scope(row: Any) -> Scope:
    attributes = stored.key_values(stored.attributes(row["attributes"]))
    name, version = stored.text(row["name"]), stored.text(row["version"])
    record = r.Scope(name, version, attributes, row["dropped_attributes_count"])
    return Scope(row["scope_id"], record, stored.text(row["schema_url"]))


async def span_series(connection: Connection, ids: Iterable[int]) -> dict[int, SpanSeries]:
    """Span series by id."""
    rows = await _rows(connection, "find-span-series", ids)
    of = await scopes(connection, (row["scope_id"] for row in rows))
    return {
        row["series_id"]: SpanSeries(
            of[row["scope_id"]], stored.text(row["name"]), row["kind_id"], stored.attributes(row["attributes"])
        )
        for row in rows
    }


async def log_series(connection: Connection, ids: Iterable[int]) -> dict[int, LogSeries]:
    """Log series by id."""
    rows = await _rows(connection, "find-log-series", ids)
    of = await scopes(connection, (row["scope_id"] for row in rows))
    return {
        row["series_id"]: LogSeries(
            of[row["scope_id"]],
            row["severity_number"],
            stored.text(row["severity_text"]),
            stored.text(row["event_name"]),
            stored.attributes(row["attributes"]),
        )
        for row in rows
    }


async def metrics(connection: Connection, ids: Iterable[int]) -> dict[int, Metric]:
    """Metrics by id."""
    return {row[0]: _metric(row) for row in await _rows(connection, "find-metrics", ids)}


def _metric(row: Any) -> Metric:
    record = r.Metric(
        stored.text(row["name"]),
        stored.text(row["description"]),
        stored.text(row["unit"]),
        (),
        row["metric_type_id"],
        row["aggregation_temporality_id"],
        row["is_monotonic"],
        (),
    )
    return Metric(row["metric_id"], record, stored.attributes(row["metadata"]))


async def metric_series(connection: Connection, ids: Iterable[int]) -> dict[int, MetricSeries]:
    """Metric series by id."""
    rows = await _rows(connection, "find-metric-series", ids)
    of_metric = await metrics(connection, (row["metric_id"] for row in rows))
    of_resource = await resources(connection, (row["resource_id"] for row in rows))
    of_scope = await scopes(connection, (row["scope_id"] for row in rows))
    return {
        row["series_id"]: MetricSeries(
            row["identity_hash"],
            of_metric[row["metric_id"]],
            of_resource[row["resource_id"]],
            of_scope[row["scope_id"]],
            stored.attributes(row["attributes"]),
            row["explicit_bounds"] or [],
            row["quantiles"] or [],
        )
        for row in rows
    }
