"""Ids of what repeats: resources, scopes, metrics and series, found or made in a transaction of their own.

A row is known by the hash of its typed canonical form. Ids enter the cache after commit only. Everything here sorts
before it sends, so that replicas that race do not stand in each other's way.

Source: docs/architecture.md; opentelemetry-proto `resource.proto`, `common.proto`.
"""

import asyncio
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from time import monotonic
from typing import Any

from msgspec import Struct

from exporter.attributes import Limits, settle, to_object
from exporter.blame import NewRows
from exporter.database import Connection, Database
from exporter.errors import BadData, StorageUnavailable
from exporter.offload import LONG_BYTES, compute
from exporter.otlp.anyvalue import escape_nul, identity, key_hash, to_json
from exporter.otlp.records import AnyValue, Codec, Opaque, ScopeRecords
from exporter.promotion import RESOURCE, SCOPE, TYPE_OF, TYPES, Promotion
from exporter.redaction import Redaction, cache_key
from sql import query

_TRUST_S = 3000
"""A cached id is trusted this long before its row's last_seen is confirmed again: pruning counts on an hour."""
_PRUNED_AT_ONCE = 500

_SQL_TYPES = {"string": "text", "int": "bigint", "double": "double precision", "bool": "boolean", "bytes": "bytea"}


class Kind(Struct, frozen=True):
    """One dimension table; `attributes` is the prefix of its typed attribute tables."""

    table: str
    id_column: str
    hash_column: str
    insert: str
    attributes: str | None = None

    def statement(self, name: str, file: str = "dimensions") -> str:
        """A statement that serves every dimension, made out to this one."""
        text = query(file, name)
        return (
            text.replace("__table__", self.table)
            .replace("__id__", self.id_column)
            .replace("__hash__", self.hash_column)
        )


RESOURCES = Kind("otel_resources_dim", "resource_id", "resource_hash", "insert-resources", "otel_resource_attrs_")
SCOPES = Kind("otel_scopes_dim", "scope_id", "scope_hash", "insert-scopes", "otel_scope_attrs_")
METRICS = Kind("otel_metrics_dim", "metric_id", "metric_hash", "insert-metrics")
SPAN_SERIES = Kind("otel_span_series_dim", "series_id", "series_hash", "insert-span-series", "otel_span_series_attrs_")
LOG_SERIES = Kind("otel_log_series_dim", "series_id", "series_hash", "insert-log-series", "otel_log_series_attrs_")
METRIC_SERIES = Kind(
    "otel_metric_series_dim", "series_id", "series_hash", "insert-metric-series", "otel_metric_series_attrs_"
)

KINDS = (RESOURCES, SCOPES, METRICS, SPAN_SERIES, LOG_SERIES, METRIC_SERIES)


class Row(Struct):
    """A dimension row: its columns after the hash, and the attributes of which the promoted ones get typed rows."""

    columns: tuple[object, ...]
    attributes: dict[str, AnyValue]
    owner: str


STORED = Row((), {}, "")
"""In place of a row that is stored: there may be a hundred thousand, and only the id is needed then."""


class Entry(Struct):
    """A dimension row as the decode path holds it in its cache: `id` 0 and `row` as it is to be stored until it is."""

    hash: bytes
    row: Row
    id: int = 0


Known = tuple[int, bytes]
"""(id, hash) of a stored dimension row."""


_Place = tuple[type[Codec], bytes, str, Kind]
"""A resource or scope as it was sent: its bytes, or what stands for them, and its schema URL."""


class Dimensions:
    """Every dimension's ids, cached; one writer at a time, so that what two requests miss is stored once."""

    def __init__(self, database: Database, max_resources: int, max_series: int, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._max_resources, self._max_series = max_resources, max_series
        self._lock = asyncio.Lock()
        # By table: rows that were not cached, and those of them that nobody had stored yet.
        self.missed: dict[str, float] = dict.fromkeys((kind.table for kind in KINDS), 0)
        self.created: dict[str, float] = dict(self.missed)
        self.new_rows = {kind.table: NewRows() for kind in KINDS if kind.attributes is not None}
        self.forget()

    def renewed(self) -> "Dimensions":
        """Another one that has cached nothing; in all else they are one."""
        new = copy(self)
        new.forget()
        return new

    def sizes(self) -> dict[str, float]:
        """How many ids are cached, by table."""
        return {kind.table: len(self._ids.get(kind, ())) for kind in KINDS}

    def is_due(self) -> bool:
        """Whether what is cached must be confirmed again, or has grown too large."""
        largest = max([len(self._key_ids), *map(len, self._ids.values())])
        full = len(self._opaque) > self._max_resources or largest > self._max_series
        return full or monotonic() - self._born > _TRUST_S

    def forget(self) -> None:
        """Empty the caches; what is asked for is found again and confirmed."""
        # New ones: what is being stored goes on with the keys that it counts on.
        self._ids: dict[Kind, dict[bytes, int]] = {}
        self._opaque: dict[_Place, Known] = {}
        self._key_ids: dict[str, int] = {}
        self._born = monotonic()

    def known(self, kind: Kind, row_hash: bytes) -> int:
        """The id of a hash, 0 where it is not cached."""
        return self._ids.get(kind, {}).get(row_hash, 0)

    def resolve(self, kind: Kind, entry: Entry, missing: dict[bytes, Entry]) -> int:
        """The entry's id; where it has none yet (0) the entry is added to `missing`."""
        entry.id = self.known(kind, entry.hash)
        if entry.id:
            entry.row = STORED
        else:
            missing[entry.hash] = entry
        return entry.id

    async def places(
        self, codec: Codec, promotion: Promotion, groups: Sequence[ScopeRecords[Any]]
    ) -> list[tuple[Known, Known] | BadData]:
        """The resource and the scope of each group, found or made together; BadData where PostgreSQL does not take one.

        Raises UndecodableBody, StorageUnavailable.
        """
        kind, known = type(codec), self._opaque
        resource_key, scope_key = cache_key(promotion.redaction(RESOURCE)), cache_key(promotion.redaction(SCOPE))
        places = [
            (
                (kind, resource_key(g.resource), g.resource_schema_url, RESOURCES),
                (kind, scope_key(g.scope), g.scope_schema_url, SCOPES),
            )
            for g in groups
        ]
        try:
            return [(known[resource], known[scope]) for resource, scope in places]
        except KeyError:
            found: dict[_Place, Known | BadData] = {}
            sent = ([g.resource for g in groups], [g.scope for g in groups])
            for owners, raws in zip(zip(*places, strict=True), sent, strict=True):
                found |= {place: known[place] for place in owners if place in known}
                raw_of = {place: raw for place, raw in zip(owners, raws, strict=True) if place not in found}
                found |= await self._settle_each(codec, promotion, raw_of)
            return [_both(found[resource], found[scope]) for resource, scope in places]

    async def _settle_each(
        self, codec: Codec, promotion: Promotion, places: Mapping[_Place, Opaque]
    ) -> Mapping[_Place, Known | BadData]:
        """The same for resources or scopes, by themselves where one of them is not taken."""
        if not places:
            return {}
        try:
            return await self._settle(codec, promotion, places)
        except BadData as error:
            if len(places) == 1:
                return dict.fromkeys(places, error)
        found: dict[_Place, Known | BadData] = {}
        for place, raw in places.items():
            found |= await self._settle_each(codec, promotion, {place: raw})
        return found

    async def _settle(self, codec: Codec, promotion: Promotion, places: Mapping[_Place, Opaque]) -> dict[_Place, Known]:
        """The ids and hashes of resources, or of scopes."""
        entries: dict[_Place, Entry] = {}
        for place, raw in places.items():
            _, _, schema_url, kind = place
            redaction = promotion.redaction(RESOURCE if kind is RESOURCES else SCOPE)
            make = _resource_row if kind is RESOURCES else _scope_row
            entries[place] = Entry(
                *await compute(len(raw) > LONG_BYTES, make, codec, raw, schema_url, redaction, self._limits)
            )
        await self.ensure(kind, {entry.hash: entry for entry in entries.values()}, promotion)
        known = {place: (self._ids[kind][entry.hash], entry.hash) for place, entry in entries.items()}
        self._opaque |= known
        return known

    async def ensure(self, kind: Kind, entries: Mapping[bytes, Entry], promotion: Promotion) -> set[bytes]:
        """Find or make the rows of the entries (by hash); afterwards `known` has their ids.

        Returns the hashes of those that were really inserted. Raises StorageUnavailable (safe to retry: idempotent).
        """
        async with self._lock:
            inserted = set[bytes]()
            while missing := {h: entries[h].row for h in sorted(entries) if not self.known(kind, h)}:
                ids, key_ids = self._ids, self._key_ids
                self.missed[kind.table] += len(missing)
                found, new, new_keys = await self._database.retrying(
                    partial(_store, kind=kind, rows=missing, promotion=promotion, known_keys=key_ids)
                )
                ids.setdefault(kind, {}).update(found)
                key_ids.update(new_keys)
                inserted |= new
                self.created[kind.table] += len(new)
                if (new_rows := self.new_rows.get(kind.table)) is not None:
                    for row_hash in new:
                        new_rows.add(missing[row_hash].attributes)
                if ids is self._ids:
                    break
                # Whatever was found before the caches were emptied is found again: it may be another's by now.
            return inserted


def _both(resource: Known | BadData, scope: Known | BadData) -> tuple[Known, Known] | BadData:
    if isinstance(resource, BadData):
        return resource
    return scope if isinstance(scope, BadData) else (resource, scope)


async def _store(
    connection: Connection, kind: Kind, rows: dict[bytes, Row], promotion: Promotion, known_keys: dict[str, int]
) -> tuple[dict[bytes, int], set[bytes], dict[str, int]]:
    """The ids of the rows, the hashes of those inserted, and the ids of the attribute keys not known before."""
    found = await _find(connection, kind, list(rows))
    new = [row_hash for row_hash in rows if row_hash not in found]
    if not new:
        return found, set(), {}
    if any(rows[row_hash] is STORED for row_hash in new):
        raise StorageUnavailable("a dimension row was pruned at this moment")
    unknown_keys = {key for h in new for key in rows[h].attributes if key not in known_keys}
    new_keys = await _ensure_keys(connection, unknown_keys) if unknown_keys else {}
    columns = zip(*((row_hash, *rows[row_hash].columns) for row_hash in new), strict=True)
    inserted = dict(await connection.fetch(query("dimensions", kind.insert), *map(list, columns)))
    if kind.attributes is not None:
        key_ids = ChainMap(new_keys, known_keys)
        values = [
            (row_id, key_ids[key], value)
            for row_hash, row_id in inserted.items()
            for key, value in rows[row_hash].attributes.items()
            if promotion.is_promoted(rows[row_hash].owner, key, value)
        ]
        await store_typed(connection, kind, values)
    found |= inserted
    if raced := [row_hash for row_hash in new if row_hash not in inserted]:
        found |= await _find(connection, kind, raced)
    return found, set(inserted), new_keys


async def _find(connection: Connection, kind: Kind, hashes: list[bytes]) -> dict[bytes, int]:
    rows = await connection.fetch(kind.statement("find-dimensions"), hashes)
    if stale := [row[0] for row in rows if row["stale"]]:
        # A row that pruning took in the meantime is not found the second time, and made again.
        await connection.execute(kind.statement("touch-dimensions"), stale)
        rows = await connection.fetch(kind.statement("find-dimensions"), hashes)
    return {row[0]: row[1] for row in rows}


async def _ensure_keys(connection: Connection, keys: Iterable[str]) -> dict[str, int]:
    """The ids of attribute keys, registering the new ones."""
    hashes = {key_hash(key): key for key in keys}
    found: dict[bytes, int] = dict(await connection.fetch(query("dimensions", "find-keys"), sorted(hashes)))
    if new := sorted(set(hashes) - set(found)):
        names = [escape_nul(hashes[h]) for h in new]
        found |= dict(await connection.fetch(query("dimensions", "insert-keys"), new, names))
    if raced := [h for h in new if h not in found]:
        found |= dict(await connection.fetch(query("dimensions", "find-keys"), raced))
    return {hashes[h]: key_id for h, key_id in found.items()}


async def prune(database: Database, kind: Kind, age_s: float) -> int:
    """Delete the rows that were not confirmed for `age_s` seconds, with their typed attributes; returns how many.

    Few in a transaction, as whoever confirms or makes one of them anew waits for its end. Raises StorageUnavailable.
    """
    rows = await database.retrying(lambda c: c.fetch(kind.statement("list-unconfirmed"), age_s))
    ids = [row[0] for row in rows]
    pieces = [ids[i : i + _PRUNED_AT_ONCE] for i in range(0, len(ids), _PRUNED_AT_ONCE)]
    return sum([await database.retrying(partial(_prune, kind=kind, ids=some, age_s=age_s)) for some in pieces])


async def _prune(connection: Connection, kind: Kind, ids: list[int], age_s: float) -> int:
    gone = [row[0] for row in await connection.fetch(kind.statement("prune-dimensions"), ids, age_s)]
    if gone and kind.attributes is not None:
        for of_type in TYPES:
            await connection.execute(typed_statement("prune-typed-attributes", kind, of_type), gone)
    return len(gone)


def typed_statement(name: str, kind: Kind, of_type: str, file: str = "dimensions") -> str:
    """A statement about the promoted attributes of a dimension, those of one type."""
    assert kind.attributes is not None
    text = kind.statement(name, file).replace(kind.table, kind.attributes + of_type)
    return text.replace("__type__", _SQL_TYPES[of_type])


async def store_typed(connection: Connection, kind: Kind, values: Iterable[tuple[int, int, AnyValue]]) -> None:
    """Give rows of a dimension the typed rows of these (row id, key id, value), which are promoted."""
    typed: dict[str, list[tuple[int, int, object]]] = {}
    for row_id, key_id, value in values:
        stored = escape_nul(value) if isinstance(value, str) else value
        typed.setdefault(TYPE_OF[type(value)], []).append((row_id, key_id, stored))
    for of_type, rows in typed.items():
        statement = typed_statement("insert-typed-attributes", kind, of_type)
        await connection.execute(statement, *map(list, zip(*rows, strict=True)))


def _resource_row(
    codec: Codec, raw: Opaque, schema_url: str, redaction: Redaction | None, limits: Limits
) -> tuple[bytes, Row]:
    resource = codec.resource(raw)
    attributes, cut = settle(codec, resource.attributes, redaction, limits)
    entities: list[AnyValue] = [
        {"schemaUrl": e.schema_url, "type": e.type, "idKeys": [*e.id_keys], "descriptionKeys": [*e.description_keys]}
        for e in resource.entity_refs
    ]
    count = resource.dropped_attributes_count + cut
    columns = (
        _text(attributes.get("service.name")),
        _text(attributes.get("service.namespace")),
        escape_nul(schema_url),
        count,
        to_object(attributes),
        to_json(entities) if entities else None,
    )
    return identity(attributes, schema_url, count, entities), Row(columns, attributes, RESOURCE)


def _text(value: AnyValue) -> str | None:
    """The text form of an attribute that SHOULD be a string; None where it is absent."""
    return value if value is None else escape_nul(value if isinstance(value, str) else to_json(value).decode())


def _scope_row(
    codec: Codec, raw: Opaque, schema_url: str, redaction: Redaction | None, limits: Limits
) -> tuple[bytes, Row]:
    scope = codec.scope(raw)
    attributes, cut = settle(codec, scope.attributes, redaction, limits)
    count = scope.dropped_attributes_count + cut
    columns = (
        escape_nul(scope.name),
        escape_nul(scope.version),
        escape_nul(schema_url),
        count,
        to_object(attributes),
    )
    return identity(scope.name, scope.version, attributes, schema_url, count), Row(columns, attributes, SCOPE)
