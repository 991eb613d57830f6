"""S, the seed's layout: a fact row a record, resource and scope by id, each record's attributes in tables by type.

The tables are those of the OTLP Schema Implementation Plan (`seed_*.sql`). Tuned as its author would: a resource, scope
or metric is looked at once and its `last_seen` left alone, keys that are promoted have their ids from the start, ids of
records come from their sequences in blocks, and what is not promoted is plain JSON, not the longer AnyValue form.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from hashlib import sha256
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from bench.baseline import RECORDS_PER_TRANSACTION, WALKS, Connection, Tables
from bench.corpus import LOGS, POINTS, SPANS
from bench.seed_rows import COLUMNS, FACTS, OWNERS, POINT_TABLES, log_row, point_row, span_row
from bench.statements import script, statement
from bench.values import METRIC_TYPES, encode, is_monotonic, temporality, value
from exporter.promotion import RESOURCE, SCOPE, TYPES, Promotion, load

_DIMENSIONS = {"otel_resource_attrs": ("resource_id", RESOURCE), "otel_scope_attrs": ("scope_id", SCOPE)}


class Attributes:
    """Where attributes of one kind of owner go: tables `prefix`_string and so on, or the JSONB of `prefix`_other."""

    def __init__(self, prefix: str, promotion: Promotion, owner: str, key_ids: dict[str, int]) -> None:
        self._other = f"{prefix}_other"
        self._places = {
            (key, f"{kind}_value"): (f"{prefix}_{kind}", key_ids[key])
            for key, kinds in promotion.promoted[owner].items()
            for kind in kinds
        }

    def put(self, owner_id: int, pairs: Iterable[Any], into: Tables) -> None:
        """Add the rows of one owner's attributes."""
        other: dict[str, Any] = {}
        places = self._places
        for pair in pairs:
            key, of = pair.key, pair.value
            kind = of.WhichOneof("value")
            place = places.get((key, kind))
            if place is not None:
                into[place[0]].append((owner_id, place[1], getattr(of, kind)))
            elif kind == "string_value":
                other[key] = of.string_value
            else:
                other[key] = value(of)
        if other:
            into[self._other].append((owner_id, encode(other)))


class Ids:
    """The ids of one BIGSERIAL column, taken from its sequence a transaction's worth at a time."""

    def __init__(self, control: Connection, table: str, column: str) -> None:
        self._control, self._sequence = control, f"{table}_{column}_seq"
        self._block: list[int] = []
        self._next = 0

    async def take(self, count: int) -> list[int]:
        """That many ids that nobody else has."""
        if count > len(self._block) - self._next:
            rows = await self._control.fetch(statement("take-ids"), self._sequence, max(count, RECORDS_PER_TRANSACTION))
            self._block, self._next = self._block[self._next :] + [row[0] for row in rows], 0
        self._next += count
        return self._block[self._next - count : self._next]


class Seed:
    """One signal's tables; `control` is for making them, for dimensions and for blocks of ids."""

    def __init__(self, signal: str, control: Connection, *, foreign_keys: bool = False) -> None:
        self.columns: dict[str, Sequence[str]] = {table: COLUMNS[table] for table in FACTS[signal]}
        for prefix, (owner_id, _) in OWNERS[signal].items():
            self.columns |= _attribute_tables(prefix, owner_id)
        self._signal, self._control, self._foreign_keys = signal, control, foreign_keys
        self._ids = {table: Ids(control, table, COLUMNS[table][0]) for table in FACTS[signal]}
        self._attributes: dict[str, Attributes] = {}
        self._known: dict[tuple[Any, ...], int] = {}

    async def create(self) -> None:
        """Make the tables, with their indexes, and store the keys that are promoted."""
        names = ["seed_dimensions", f"seed_{self._signal}"] + ["seed_foreign_keys"] * self._foreign_keys
        for name in names:
            await self._control.execute(script(name))
        promotion, key_ids = load(), {}
        owners = _DIMENSIONS | OWNERS[self._signal]
        for key in sorted({key for _, owner in owners.values() for key in promotion.promoted[owner]}):
            key_ids[key] = await self._control.fetchval(statement("insert-seed-key"), key)
        self._attributes = {
            prefix: Attributes(prefix, promotion, owner, key_ids) for prefix, (_, owner) in owners.items()
        }

    async def decode(self, body: bytes, into: Tables) -> AsyncIterator[int]:
        """Add the rows of a serialized request, and yield how many records they are, scope by scope."""
        walk = WALKS[self._signal]
        for group in walk.resources(body):
            resource_id = await self._resource(group.resource, group.schema_url)
            for part in walk.scopes(group):
                owner = (resource_id, await self._scope(part.scope, part.schema_url))
                records = walk.records(part)
                if self._signal == SPANS:
                    await self._put_spans(owner, records, into)
                elif self._signal == LOGS:
                    await self._put_logs(owner, records, into)
                else:
                    for metric in records:
                        yield await self._put_points(owner, metric, into)
                    continue
                yield len(records)

    async def _put_spans(self, owner: tuple[int, int], spans: Sequence[Any], into: Tables) -> None:
        facts, events, links = (into[table] for table in FACTS[SPANS])
        put, put_event, put_link = (self._attributes[prefix].put for prefix in OWNERS[SPANS])
        ids, event_ids, link_ids = self._ids.values()
        for span_id, span in zip(await ids.take(len(spans)), spans, strict=True):
            facts.append((span_id, *owner, *span_row(span)))
            put(span_id, span.attributes, into)
            if span.events:
                for id, event in zip(await event_ids.take(len(span.events)), span.events, strict=True):
                    events.append((id, span_id, event.name, event.time_unix_nano, event.dropped_attributes_count))
                    put_event(id, event.attributes, into)
            if span.links:
                for id, link in zip(await link_ids.take(len(span.links)), span.links, strict=True):
                    ends = (link.trace_id.hex(), link.span_id.hex(), link.trace_state or None)
                    links.append((id, span_id, *ends, link.dropped_attributes_count))
                    put_link(id, link.attributes, into)

    async def _put_logs(self, owner: tuple[int, int], records: Sequence[Any], into: Tables) -> None:
        (facts,) = (into[table] for table in FACTS[LOGS])
        put = self._attributes["otel_log_attrs"].put
        ids = await self._ids["otel_logs_fact"].take(len(records))
        for log_id, record in zip(ids, records, strict=True):
            facts.append((log_id, *owner, *log_row(record)))
            put(log_id, record.attributes, into)

    async def _put_points(self, owner: tuple[int, int], metric: Any, into: Tables) -> int:
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind)
        table, prefix = POINT_TABLES[kind]
        head = (await self._metric(metric, kind, data), *owner)
        facts, put, row_of = into[table], self._attributes[prefix].put, point_row(kind)
        ids = await self._ids[table].take(len(data.data_points))
        for point_id, point in zip(ids, data.data_points, strict=True):
            facts.append((point_id, *head, *row_of(point)))
            put(point_id, point.attributes, into)
        return len(ids)

    async def _resource(self, resource: Resource, schema_url: str) -> int:
        key = (RESOURCE, resource.SerializeToString(), schema_url)
        if key not in self._known:
            named = {pair.key: pair.value.string_value for pair in resource.attributes}
            arguments = (named.get("service.name"), named.get("service.namespace"), schema_url)
            self._known[key] = await self._insert(
                "insert-seed-resource", (_hash(key), *arguments, resource.dropped_attributes_count)
            )
            await self._store("otel_resource_attrs", self._known[key], resource.attributes)
        return self._known[key]

    async def _scope(self, scope: InstrumentationScope, schema_url: str) -> int:
        key = (SCOPE, scope.SerializeToString(), schema_url)
        if key not in self._known:
            self._known[key] = await self._insert(
                "insert-seed-scope",
                (_hash(key), scope.name, scope.version, schema_url, scope.dropped_attributes_count),
            )
            await self._store("otel_scope_attrs", self._known[key], scope.attributes)
        return self._known[key]

    async def _metric(self, metric: Any, kind: str, data: Any) -> int:
        named = (metric.name, METRIC_TYPES[kind], metric.unit, temporality(kind, data), is_monotonic(kind, data))
        key = (POINTS, *named, metric.description)
        if key not in self._known:
            self._known[key] = await self._insert(
                "insert-seed-metric", (_hash(key), _hash(named), *named, metric.description)
            )
        return self._known[key]

    async def _insert(self, name: str, arguments: tuple[Any, ...]) -> int:
        found: int = await self._control.fetchval(statement(name), *arguments)
        return found

    async def _store(self, prefix: str, owner_id: int, pairs: Iterable[Any]) -> None:
        tables: Tables = {table: [] for table in _attribute_tables(prefix, "")}
        self._attributes[prefix].put(owner_id, pairs, tables)
        for table, rows in tables.items():
            await self._control.copy_records_to_table(table, records=rows)


def _attribute_tables(prefix: str, owner_id: str) -> dict[str, Sequence[str]]:
    typed: dict[str, Sequence[str]] = {f"{prefix}_{kind}": (owner_id, "key_id", "value") for kind in TYPES}
    return typed | {f"{prefix}_other": (owner_id, "attributes")}


def _hash(key: tuple[Any, ...]) -> str:
    return sha256(repr(key).encode()).hexdigest()
