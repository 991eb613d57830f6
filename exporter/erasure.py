"""What an erasure is about: the records that have all of its attributes, wherever these lie, and the statements that
find them.

Source: docs/erasure.md; docs/decisions/0022-erasure.md.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from exporter.columns import EXP_HISTOGRAM, HISTOGRAM, NUMBER, SUMMARY, Table
from exporter.columns import LOGS as LOG_FACTS
from exporter.columns import SPANS as SPAN_FACTS
from exporter.database import Connection
from exporter.deletion import Find, Signal, key_of, made_out
from exporter.dimensions import (
    LOG_SERIES,
    METRIC_SERIES,
    METRICS,
    RESOURCES,
    SCOPES,
    SPAN_SERIES,
    Kind,
)
from exporter.otlp import records as r
from exporter.otlp.anyvalue import NUMBER as NUMERAL
from exporter.otlp.anyvalue import escape_nul, forms, key_hash, to_json, unescape_nul
from exporter.otlp.records import AnyValue
from exporter.redaction import Hasher
from sql import query

_POINTS = (NUMBER, HISTOGRAM, EXP_HISTOGRAM, SUMMARY)
_SERIES: Final[Mapping[str, Kind]] = MappingProxyType(
    {r.SPANS: SPAN_SERIES, r.LOGS: LOG_SERIES, r.METRICS: METRIC_SERIES}
)


class Dimension(Struct, frozen=True):
    """What an erasure knows of a dimension: where its attributes lie, which hashes are made of them, which facts point
    to it by which column, and which series do."""

    kind: Kind
    attributes: str = "attributes"
    hashes: tuple[str, ...] = ()
    facts: tuple[Table, ...] = ()
    series: tuple[Kind, ...] = ()


DIMENSIONS: Final = (
    Dimension(SPAN_SERIES, hashes=("series_hash",), facts=(SPAN_FACTS,)),
    Dimension(LOG_SERIES, hashes=("series_hash",), facts=(LOG_FACTS,)),
    Dimension(METRIC_SERIES, hashes=("series_hash", "identity_hash"), facts=_POINTS),
    Dimension(METRICS, "metadata", ("metric_hash",), series=(METRIC_SERIES,)),
    Dimension(SCOPES, hashes=("scope_hash",), series=(SPAN_SERIES, LOG_SERIES, METRIC_SERIES)),
    Dimension(RESOURCES, hashes=("resource_hash",), facts=(SPAN_FACTS, LOG_FACTS), series=(METRIC_SERIES,)),
)


class Criterion(Struct, frozen=True):
    """One attribute that is asked for: its key, and every stored form that its value may have."""

    key: str
    wanted: tuple[bytes, ...]

    @classmethod
    def of(cls, key: str, text: str) -> "Criterion":
        """The criterion of a key and its value as text: 42 is int 42, double 42.0 and string "42"."""
        return cls(key, tuple(forms(text)))

    def hashed(self, hasher: Hasher) -> "Criterion":
        """The same with the hashes that are stored in place of such values where lists say so."""
        text = unescape_nul(msgspec.json.decode(self.wanted[0], type=str))
        return replace(self, wanted=(*self.wanted, *(to_json(hasher.hash(value)) for value in _hashable(text))))

    @property
    def contained(self) -> list[bytes]:
        """Objects of the key and each form, which an index on attributes finds."""
        return [b"{%b:%b}" % (to_json(self.key), form) for form in self.wanted]

    @property
    def key_hash(self) -> bytes:
        """What the key is registered by."""
        return key_hash(self.key)


def _hashable(text: str) -> Iterator[AnyValue]:
    """The text, and numbers that are written in another way: 42.0 is hashed as "42.0"."""
    yield text
    if NUMERAL.fullmatch(text):
        number, sent = float(text), Decimal(text)
        if Decimal(repr(number)) == sent:
            yield from (number, -number) if number == 0 else (number,)
        if sent == sent.to_integral_value() and abs(sent) < 1 << 63:
            yield int(sent)


def digest(criteria: Iterable[Criterion], key: bytes) -> bytes:
    """What an erasure is known by in its trail: the same for the same attributes in any order, and nothing without
    the database's secret `key`."""
    parts = sorted((criterion.key, criterion.wanted[0]) for criterion in criteria)
    return hashlib.blake2b(msgspec.json.encode(parts), key=key, digest_size=32, person=b"postel erasure").digest()


class Carriers(Struct, frozen=True):
    """The rows of every dimension that have one criterion's attribute, and the series around which it lies."""

    criterion: Criterion
    ids: Mapping[Kind, list[int]]
    around: Mapping[Kind, list[int]]


async def find_carriers(connection: Connection, criterion: Criterion) -> Carriers:
    """What has the attribute at this moment."""
    ids: dict[Kind, list[int]] = {}
    around: dict[Kind, list[int]] = {kind: [] for kind in _SERIES.values()}
    for dimension in DIMENSIONS:
        ids[dimension.kind] = await list_carriers(connection, dimension, criterion)
        for kind in dimension.series:
            around[kind] += [row[0] for row in await dependents(connection, dimension, kind, ids[dimension.kind])]
    return Carriers(criterion, ids, around)


async def list_carriers(connection: Connection, dimension: Dimension, criterion: Criterion) -> list[int]:
    """The ids of a dimension's rows that have the attribute."""
    statement = dimension.kind.statement("list-carriers", "erasure").replace("__attributes__", dimension.attributes)
    arguments = criterion.contained, escape_nul(criterion.key), list(criterion.wanted)
    return [row[0] for row in await connection.fetch(statement, *arguments)]


async def dependents(
    connection: Connection, dimension: Dimension, series: Kind, ids: Sequence[int]
) -> list[tuple[int, int]]:
    """(series, row) of the series that point to rows of a dimension."""
    if not ids:
        return []
    statement = series.statement("list-dependents", "erasure").replace("__column__", dimension.kind.id_column)
    return [(row[0], row[1]) for row in await connection.fetch(statement, ids)]


def matching(signal: Signal, table: Table, found: Sequence[Carriers]) -> tuple[Find, Find]:
    """How keys of the records of a table that have every attribute are listed, and how they are counted."""
    text = made_out(query("erasure", "match-records"), table).replace("__columns__", _columns(table))
    arguments: list[object] = []
    for carriers in found:
        criterion, series = carriers.criterion, _SERIES[signal.name]
        values = {
            "__name__": escape_nul(criterion.key),
            "__wanted__": list(criterion.wanted),
            "__resources__": carriers.ids[RESOURCES],
            "__series__": carriers.ids[series],
            "__around__": carriers.around[series],
        }
        kept = made_out(query("erasure", "keep-carriers"), table).replace(
            "__children__", f"({_children(signal, table)})"
        )
        for name, value in values.items():
            arguments.append(value)
            kept = kept.replace(name, f"${len(arguments) + 2}")
        text = kept.replace("__matches__", f"({text})")
    listing = made_out(query("erasure", "list-records"), table).replace("__most__", f"${len(arguments) + 3}")
    counting = query("erasure", "count-records")
    return (
        Find(listing.replace("__matches__", f"({text})"), tuple(arguments)),
        Find(counting.replace("__matches__", f"({text})"), tuple(arguments)),
    )


def _columns(table: Table) -> str:
    """What conditions look at: null where a table has no such column."""
    columns = dict.fromkeys((*key_of(table), "series_id"), "")
    columns |= {"resource_id": "::bigint", "attributes": "::jsonb"}
    return ", ".join(
        column if column in table.columns else f"NULL{of_type} AS {column}" for column, of_type in columns.items()
    )


def _children(signal: Signal, table: Table) -> str:
    matches = [made_out(query("erasure", "match-children"), child) for child in signal.tables[signal.facts :]]
    return f"({' UNION ALL '.join(matches or [made_out(query('erasure', 'match-nothing'), table)])})"
