"""What API and views have to answer about OTLP records, field by field, and what they do answer, in the same shape."""

import asyncio
import math
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest
from google.protobuf.message import Message

from tests.e2e.otlp_records import walk
from tests.running import Server

Fields = dict[str, Any]
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")


def answered(server: Server, path: str, **parameters: str) -> Any:
    """A page of the read API that has everything."""
    answer = server.get(path, since="15m", limit="1000", **parameters)
    assert answer.status_code == 200, answer.text
    assert "next" not in answer.links
    return answer.json()


def rows(server: Server, view: str) -> list[Fields]:
    """Every row of a view, jsonb decoded."""

    async def select() -> list[Fields]:
        connection = await asyncpg.connect(server.database_url)
        try:
            await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=msgspec.json.decode)
            return [dict(row) for row in await connection.fetch(f"SELECT * FROM {view}")]
        finally:
            await connection.close()

    return asyncio.run(select())


def assert_answered(expected: list[Fields], found: list[Fields], names: Mapping[str, str] | None = None) -> None:
    """Fails unless both have the same records in the fields of `expected`; `names`: what the answer calls some."""
    called = {name: (names or {}).get(name, name) for name in expected[0]}
    answers = [{name: answer[theirs] for name, theirs in called.items()} for answer in found]
    wanted, got = (Counter(_text(record) for record in records) for records in (expected, answers))
    lines = [f"lost:     {record}" for record in (wanted - got).elements()]
    lines += [f"invented: {record}" for record in (got - wanted).elements()]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def spans(request: Message) -> list[Fields]:
    """A span's own fields, by the names of the view."""
    return [
        {
            **_place(resource, scope),
            "trace_id": span.trace_id.hex(),
            "span_id": span.span_id.hex(),
            "parent_span_id_hex": span.parent_span_id.hex() or None,
            "name": span.name,
            "kind_name": KINDS[span.kind],
            "status_name": STATUSES[span.status.code],
            "status_message": span.status.message or None,
            "start_time_unix_nano": span.start_time_unix_nano,
            "end_time_unix_nano": span.end_time_unix_nano,
            "duration_nanos": span.end_time_unix_nano - span.start_time_unix_nano,
            "flags": span.flags,
            "attributes": attributes(span.attributes),
            "events": [
                {
                    "name": event.name,
                    "time_unix_nano": event.time_unix_nano,
                    "attributes": attributes(event.attributes),
                    "dropped_attributes_count": event.dropped_attributes_count,
                }
                for event in span.events
            ],
            "links": [
                {
                    "trace_id": link.trace_id.hex(),
                    "span_id": link.span_id.hex(),
                    "trace_state": link.trace_state or None,
                    "attributes": attributes(link.attributes),
                    "dropped_attributes_count": link.dropped_attributes_count,
                    "flags": link.flags,
                }
                for link in span.links
            ],
        }
        for resource, _, scope, _, span in walk(request)
    ]


def logs(request: Message) -> list[Fields]:
    """A log record's own fields, by the names of the view."""
    return [
        {
            **_place(resource, scope),
            "time_unix_nano": log.time_unix_nano or log.observed_time_unix_nano,
            "observed_time_unix_nano": log.observed_time_unix_nano,
            "severity_number": log.severity_number,
            "severity_text": log.severity_text or None,
            "event_name": log.event_name or None,
            "body": value(log.body),
            "trace_id": log.trace_id.hex() or None,
            "span_id": log.span_id.hex() or None,
            "flags": log.flags,
            "attributes": attributes(log.attributes),
        }
        for resource, _, scope, _, log in walk(request)
    ]


def points(request: Message) -> Iterator[Fields]:
    """A data point's own fields, by the names of the view."""
    for resource, _, scope, _, metric in walk(request):
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind)
        (point,) = data.data_points
        names = ("value_int", "value_double", "count", "sum", "min", "max")
        told: Fields = dict.fromkeys(names)
        if kind in ("gauge", "sum"):
            name = point.WhichOneof("value")
            told[{"as_int": "value_int", "as_double": "value_double"}[name]] = getattr(point, name)
        else:
            told |= {name: getattr(point, name) for name in ("count", "sum", "min", "max")}
        yield {
            **_place(resource, scope),
            **told,
            "metric_name": metric.name,
            "metric_type": kind,
            "unit": metric.unit or None,
            "description": metric.description or None,
            "time_unix_nano": point.time_unix_nano,
            "start_time_unix_nano": point.start_time_unix_nano or None,
            "is_monotonic": kind == "sum" and data.is_monotonic,
            "aggregation_temporality_id": 0 if kind == "gauge" else data.aggregation_temporality,
            "attributes": attributes(point.attributes),
            "buckets": _buckets(kind, point),
        }


def _buckets(kind: str, point: Any) -> Any:
    if kind == "histogram":
        bounds = [*point.explicit_bounds, None]
        pairs = zip(bounds, point.bucket_counts, strict=True)
        return [{"upper_bound": bound, "count": count} for bound, count in pairs]
    if kind != "exponential_histogram":
        return None
    sides = {
        side: {"offset": found.offset, "bucket_counts": list(found.bucket_counts)}
        if point.HasField(side) and (found := getattr(point, side))
        else None
        for side in ("positive", "negative")
    }
    plain = ("scale", "zero_count", "zero_threshold")
    return {**{name: getattr(point, name) for name in plain}, **sides}


def _place(resource: Any, scope: Any) -> Fields:
    of_resource = attributes(resource.resource.attributes)
    return {
        "service_name": of_resource["service.name"],
        "service_namespace": of_resource["service.namespace"],
        "resource_attributes": of_resource,
        "resource_schema_url": resource.schema_url or None,
        "scope_name": scope.scope.name,
        "scope_version": scope.scope.version or None,
        "scope_attributes": attributes(scope.scope.attributes),
        "scope_schema_url": scope.schema_url or None,
    }


def attributes(pairs: Any) -> Fields:
    """Attributes as an object."""
    return {pair.key: value(pair.value) for pair in pairs}


def value(sent: Any) -> Any:
    """An AnyValue as the API and the views show it."""
    kind = sent.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(sent, kind)
    if kind == "array_value":
        return [value(item) for item in found.values]
    if kind == "kvlist_value":
        return attributes(found.values)
    return {"bytesValue": b64encode(found).decode()} if kind == "bytes_value" else found


def _text(record: Any) -> str:
    return msgspec.json.encode(_settled(record), order="deterministic").decode()


def _settled(found: Any) -> Any:
    """Numbers that are equal written alike, and nothing for what is not said: "" is what protobuf says for it."""
    if isinstance(found, dict):
        return {key: _settled(item) for key, item in found.items()}
    if isinstance(found, list | tuple):
        return [_settled(item) for item in found]
    if isinstance(found, Decimal | float) and math.isfinite(found) and found == int(found):
        return int(found)
    return None if found == "" else found
