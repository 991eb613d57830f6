"""What services and attributes take, estimated from a sample of blocks, as no table is read as a whole."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec import Struct

from exporter.otlp.records import LOGS, METRICS, SPANS
from queries import services, stored
from queries.answers_storage import StoredKey, StoredService
from queries.database import Connection, fetch_apart
from queries.pages import Row
from queries.params import ALL_TIME
from queries.storage import FACTS, Stored
from sql import query

KEY_BYTES: Final = 1 << 20
"""How much of a table's rows is looked at for attributes, about: some thousand rows, in about ten milliseconds."""
SERVICE_BYTES: Final = 8 << 20
"""And for services, which takes a few milliseconds."""
_LEAST_BLOCKS = 32
_BLOCK_BYTES = 8192
LIMIT_MS: Final = 300
"""How long one sample, or one sum of minutes, may take: without it there is no estimate."""


class Place(NamedTuple):
    """Where attributes lie: whose, in which table, and whether once each in a dimension or on the rows of records."""

    owner: str
    table: str
    on_rows: bool


PLACES: Final = (
    Place("spans", "otel_spans_fact", True),
    Place("spans", "otel_span_series_dim", False),
    Place("span_events", "otel_span_events", True),
    Place("span_links", "otel_span_links", True),
    Place("logs", "otel_logs_fact", True),
    Place("logs", "otel_log_series_dim", False),
    Place("metrics", "otel_exemplars", True),
    Place("metrics", "otel_metric_series_dim", False),
    Place("resource", "otel_resources_dim", False),
    Place("scope", "otel_scopes_dim", False),
)
SIGNAL_OF: Final = MappingProxyType({"span_events": SPANS, "span_links": SPANS})
"""The signal that something belongs to which is none itself."""


class Cost(Struct):
    """What an attribute takes: in all, and of that on the rows of records, which is what grows with them."""

    bytes: float = 0.0
    row_bytes: float = 0.0


Costs = dict[tuple[str, str], Cost]
"""By owner, as promotion lists call it, and key."""


def _per_cent(found: Stored, table: str, sample_bytes: int) -> float:
    """How much of a table to look at."""
    size, heap, _ = found.heap(table)
    return min(100.0, 100 * max(sample_bytes / max(size, 1), _LEAST_BLOCKS * _BLOCK_BYTES / max(heap, 1)))


def _rows(found: Stored, table: str, per_cent: float, sampled: int) -> int:
    """How many rows there are: where all were looked at, so many."""
    return sampled if per_cent == 100 else max(sampled, found.heap(table)[2])


async def _sample(connection: Connection, name: str, table: str, per_cent: float) -> list[Row]:
    statement = query("reading_storage", name).replace("__table__", table)
    return await fetch_apart(connection, LIMIT_MS, statement, per_cent) or []


async def costs(connection: Connection, found: Stored, signals: Sequence[str]) -> Costs:
    """What each attribute of these signals takes; one that is so rare that no sample has it is not there."""
    costs: Costs = {}
    for owner, table, on_rows in PLACES:
        if SIGNAL_OF.get(owner, owner) not in signals or not found.heap(table)[1]:
            continue
        per_cent = _per_cent(found, table, KEY_BYTES)
        for row in await _sample(connection, "sample-keys", table, per_cent):
            size = row["bytes"] / row["rows"] * _rows(found, table, per_cent, row["rows"])
            cost = costs.setdefault((owner, stored.text(row["key"])), Cost())
            cost.bytes += size
            cost.row_bytes += size if on_rows else 0.0
    for row in await connection.fetch(query("reading_storage", "sum-row-indexes")):
        if row["signal"] in signals:
            cost = costs.setdefault((row["signal"], stored.text(row["key"])), Cost())
            cost.bytes += row["bytes"]
            cost.row_bytes += row["bytes"]
    return costs


def keys(found: Stored, costs: Costs) -> list[StoredKey]:
    """Attributes, the costliest first."""
    lines = [
        StoredKey(key, owner, round(cost.bytes), round(share(found, owner, cost), 4), estimated=True)
        for (owner, key), cost in costs.items()
    ]
    return sorted(lines, key=lambda line: (-line.bytes, line.signal, line.key))


def share(found: Stored, owner: str, cost: Cost) -> float:
    """How much of its signal's bytes an attribute takes."""
    return cost.bytes / max(1, found.bytes(SIGNAL_OF.get(owner, owner)))


class _Part(Struct):
    """How many records of a signal are of each resource, and whether they were counted."""

    records: Mapping[int, float]
    size: float
    counted: bool


async def by_service(connection: Connection, found: Stored, signals: Sequence[str]) -> list[StoredService]:
    """Services, those that take most first. Has to be asked in one snapshot."""
    parts = {
        signal: await _by_resource(connection, found, signal) for signal in (SPANS, LOGS, METRICS) if signal in signals
    }
    listed = await connection.fetch(query("reading_dimensions", "list-services"), None)
    lines = [_service(row, parts) for row in listed]
    lines.sort(key=lambda line: (-line.bytes, line.service_name, line.service_namespace or ""))
    return [line for line in lines if line.bytes]


async def _by_resource(connection: Connection, found: Stored, signal: str) -> list[_Part]:
    if signal == METRICS:
        tables = sorted(FACTS & {line["table_name"] for line in found.lines if line["signal"] == METRICS})
        each = found.bytes(METRICS) / max(1, sum(found.heap(table)[0] for table in tables))
        return [
            await _sampled(connection, found, table, "sample-series", found.heap(table)[0] * each) for table in tables
        ]
    if counts := await services.count(connection, signal, ALL_TIME, limit_ms=LIMIT_MS):
        records = {id_: float(count) for id_, (count, _) in counts.items()}
        return [_Part(records, found.bytes(signal), True)]
    table = f"otel_{signal}_fact"
    return [await _sampled(connection, found, table, "sample-resources", found.bytes(signal))]


async def _sampled(connection: Connection, found: Stored, table: str, name: str, size: float) -> _Part:
    per_cent = _per_cent(found, table, SERVICE_BYTES)
    rows = await _sample(connection, name, table, per_cent) if found.heap(table)[1] else []
    sampled = sum(row["rows"] for row in rows)
    times = _rows(found, table, per_cent, sampled) / max(1, sampled)
    return _Part({row["resource_id"]: row["rows"] * times for row in rows}, size, per_cent == 100)


def _service(row: Row, parts: Mapping[str, Sequence[_Part]]) -> StoredService:
    ids = row["resource_ids"]
    records = {signal: round(sum(_of(part, ids) for part in found)) for signal, found in parts.items()}
    everything = [part for found in parts.values() for part in found]
    size = sum(_of(part, ids) * part.size / max(1.0, sum(part.records.values())) for part in everything)
    return StoredService(
        stored.text(row["service_name"]),
        stored.text(row["service_namespace"]) or None,
        spans=records.get(SPANS, 0),
        logs=records.get(LOGS, 0),
        points=records.get(METRICS, 0),
        bytes=round(size),
        counted=all(part.counted for signal in (SPANS, LOGS) for part in parts.get(signal, ())),
        estimated=True,
    )


def _of(part: _Part, resource_ids: Iterable[int]) -> float:
    return sum(part.records.get(id_, 0.0) for id_ in resource_ids)
