"""Which attributes there are and which values they have: all of what is stored once, and those of the newest records.

On records lie the attributes whose values hardly repeat, and long ones (docs/decisions/0002-series.md).
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from exporter.otlp.anyvalue import escape_nul
from queries import logs, pages, spans, stored
from queries.answers_attributes import Attribute, AttributeValue
from queries.database import Connection
from queries.errors import QueryError
from queries.pages import Request, Row, Selection, Source
from queries.params import ALL_TIME, AttributeSearch, AttributeValueSearch, LogSearch, Serviced, SpanSearch, Window
from queries.selecting import resource_ids
from sql import query

S = TypeVar("S", SpanSearch, LogSearch)
Types = dict[str, set[str]]
"""The types of values by key."""
Counts = dict[str, tuple[int, int]]
"""How many values each key has, and in how many rows."""
Left = tuple[datetime | None, int | None]
"""When a key left the series, and how many values it had had by then; null of one that left before that was noted."""
Newest = Callable[[Connection, Serviced, Window], Awaitable[list[Row]]]
"""The newest records of the services that are asked for: their series and their own attributes."""

RECORDS = "records"
"""What is counted where the newest records were looked at."""
MOST_RECORDS = 500
"""How many of the newest records are looked at."""
ROWS = 300
"""How many rows of a dimension are looked at here at a time, of those that have something new."""
MOST_VALUES = 10_000
_COUNTED = 5_000
"""Newest rows of a dimension in which values are counted: about 50 ms."""
_MOST_KNOWN = 200
"""Keys that are taken away from every row to find those that have others: each one costs a look at each attribute."""
_SEEN_S = 3600
"""That a row is in use is noted once an hour at least."""
_DAY_NANO = 86_400_000_000_000
_INT64_MAX = (1 << 63) - 1
_TYPES = {str: "string", bool: "bool", int: "int", float: "double", bytes: "bytes", list: "array", dict: "kvlist"}


class Place(Struct, frozen=True):
    """Where attributes of one signal lie: once each in a dimension, and on records if there are any."""

    signal: str
    table: str
    id: str
    counted: str = "series"
    has_resource: bool = False
    newest: Newest | None = None

    def statement(self, name: str) -> str:
        """A statement of reading_attributes about the dimension."""
        text = query("reading_attributes", name).replace("__table__", self.table).replace("__id__", self.id)
        # Where there is no such column nothing is asked of it.
        return text.replace("__resource_id__", "resource_id" if self.has_resource else self.id)


def _newest(source: Source, select: Callable[[Connection, S], Awaitable[Selection]], search: type[S]) -> Newest:
    narrow = replace(
        source, table=replace(source.table, columns=(*source.key, "resource_id", "series_id", "attributes"))
    )

    async def newest(connection: Connection, asked: Serviced, window: Window) -> list[Row]:
        if window == ALL_TIME and (
            latest := await connection.fetchval(query("reading", "find-newest-key"), source.signal)
        ):
            # A day is enough to find the newest ones, and every further partition would cost something.
            window = Window(max(0, latest - _DAY_NANO), window.end)
        selection = await select(connection, search(service=asked.service, namespace=asked.namespace))
        return await pages.find(connection, narrow, selection, Request(window, None, 0, MOST_RECORDS - 1, False))

    return newest


PLACES = {
    place.signal: place
    for place in (
        Place("spans", "otel_span_series_dim", "series_id", newest=_newest(spans.SOURCE, spans.select, SpanSearch)),
        Place("logs", "otel_log_series_dim", "series_id", newest=_newest(logs.SOURCE, logs.select, LogSearch)),
        Place("metrics", "otel_metric_series_dim", "series_id", has_resource=True),
        Place("resource", "otel_resources_dim", "resource_id", "resources", has_resource=True),
        Place("scope", "otel_scopes_dim", "scope_id", "scopes"),
    )
}
"""By signal, as promotion lists call it."""


def places(asked: AttributeSearch) -> list[Place]:
    """The signals that are asked for: those that are named, else all that can be told by service where one is named."""
    named = asked.signal or [p.signal for p in PLACES.values() if not _is_of_services(asked) or _has_services(p)]
    return [place for place in PLACES.values() if place.signal in named]


def _is_of_services(asked: Serviced) -> bool:
    return bool(asked.service or asked.namespace)


def _has_services(place: Place) -> bool:
    return place.has_resource or place.newest is not None


async def catalogue(
    connection: Connection, place: Place, asked: Serviced, window: Window, promoted: Mapping[str, frozenset[str]]
) -> list[Attribute]:
    """The attributes of a signal by key. Raises QueryError."""
    high = await _high(connection, place)
    counts: Counts | None = None
    types: Types = {}
    if place.newest is not None:
        records = await place.newest(connection, asked, window)
        _learn(types, {row["attributes"] for row in records})
        if _is_of_services(asked):
            _learn(types, (await _of_series(connection, place, records)).values())
    if place.newest is None or not _is_of_services(asked):
        condition = await _condition(connection, place, asked, window)
        await _walk(connection, place, condition, types)
        types |= {key: set() for key in high if key not in types}
        counts = await _counts(connection, place, condition)
    return [
        Attribute(
            key,
            place.signal,
            sorted(found),
            _is_promoted(promoted, key, found),
            key in high,
            **_blame(key, counts, high),
        )
        for key, found in sorted(types.items())
    ]


async def _counts(connection: Connection, place: Place, condition: Sequence[object]) -> Counts:
    """Of each key, how many values it has in a dimension's newest rows, and in how many of them."""
    rows = await connection.fetch(place.statement("count-distinct-values"), _COUNTED, *condition)
    return {stored.text(row["key"]): (row["values"], row["rows"]) for row in rows}


def _blame(key: str, counts: Counts | None, high: Mapping[str, Left]) -> dict[str, Any]:
    """What tells whether a key makes too many rows: its values, the rows that have it, when it left the series."""
    values, rows = (None, None) if counts is None else counts.get(key, (0, 0))
    left_at, had = high.get(key, (None, None))
    return {"distinct_values": had or values, "rows": rows, "left_series_at": left_at}


async def _walk(connection: Connection, place: Place, condition: Sequence[object], types: Types) -> None:
    """Add the attributes of a dimension: those of its newest rows, then of ever older ones what is not known by then.

    A row that has nothing new costs PostgreSQL less than a microsecond.
    """
    statement = place.statement("list-other-attributes")
    below, known = _INT64_MAX, Counter[str]()
    while True:
        without = [escape_nul(key) for key, _ in known.most_common(_MOST_KNOWN)]
        rows = await connection.fetch(statement, ROWS, *condition, without, below)
        known += _learn(types, (row["attributes"] for row in rows))
        if len(rows) < ROWS:
            return
        below = rows[-1][place.id]


def _is_promoted(promoted: Mapping[str, frozenset[str]], key: str, types: set[str]) -> bool:
    under = promoted.get(key, frozenset())
    return not under.isdisjoint(types) if types else bool(under)


async def _high(connection: Connection, place: Place) -> Mapping[str, Left]:
    """The keys that have left the series."""
    if place.newest is None:
        return {}
    rows = await connection.fetch(query("reading_attributes", "list-left-keys").replace("__signal__", place.signal))
    return {stored.text(row["key"]): (row["left_at"], row["values"]) for row in rows}


async def _condition(connection: Connection, place: Place, asked: Serviced, window: Window) -> tuple[object, object]:
    """Which rows of a dimension are asked for: seen since when, of which resources. Raises QueryError."""
    if _is_of_services(asked) and not place.has_resource:
        hint = "leave it out, or ask signal=resource"
        raise QueryError(f"service: a {place.signal} belongs to none of them", "service", hint)
    since = None if window == ALL_TIME else datetime.fromtimestamp(max(0, window.start // 10**9 - _SEEN_S), UTC)
    return since, await resource_ids(connection, asked)


def _learn(types: Types, texts: Iterable[bytes | None]) -> Counter[str]:
    """Add the keys and types of stored attributes; returns how often each key occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        found = stored.attributes(text)
        counts.update(found.keys())
        for key, value in found.items():
            types.setdefault(key, set()).add(_TYPES.get(type(value), "empty"))
    return counts


async def _of_series(connection: Connection, place: Place, records: Iterable[Row]) -> dict[int, bytes]:
    """The attributes of the series that these records are of."""
    ids = sorted({row["series_id"] for row in records})
    return dict(await connection.fetch(place.statement("find-attributes"), ids))


class Values(Struct):
    """The values of an attribute with how many rows of what (`counted`) have them, those of most rows first."""

    counted: str
    values: list[AttributeValue]


async def values(
    connection: Connection, key: str, asked: AttributeValueSearch, window: Window
) -> tuple[str | None, Values]:
    """The values of an attribute in the signal that is asked for, else in the first one that has it: None where none
    does. Raises QueryError."""
    wanted = await _places_of(connection, key) if asked.signal is None else [PLACES[asked.signal]]
    for place in wanted:
        found = await _values(connection, place, key, asked, window)
        if found.values:
            return place.signal, found
    return asked.signal, Values(wanted[-1].counted, [])


async def _places_of(connection: Connection, key: str) -> list[Place]:
    """Where a key is stored once, else everything that has records."""
    rows = await connection.fetch(query("reading_attributes", "find-signals"), escape_nul(key))
    names = {row["signal"] for row in rows}
    return [place for place in PLACES.values() if (place.signal in names if names else place.newest)]


async def _values(connection: Connection, place: Place, key: str, asked: Serviced, window: Window) -> Values:
    if place.newest is None or not (_is_of_services(asked) or key in await _high(connection, place)):
        condition = await _condition(connection, place, asked, window)
        statement = place.statement("count-values")
        rows = await connection.fetch(statement, MOST_VALUES, *condition, escape_nul(key))
        if rows or place.newest is None:
            found = [AttributeValue(stored.plain(stored.value(row["value"])), row["rows"]) for row in rows]
            return Values(place.counted, found)
    records = await place.newest(connection, asked, window)
    return Values(RECORDS, await _values_of_records(connection, place, key, records))


async def _values_of_records(
    connection: Connection, place: Place, key: str, records: list[Row]
) -> list[AttributeValue]:
    series = {id_: stored.attributes(text) for id_, text in (await _of_series(connection, place, records)).items()}
    counts: Counter[bytes] = Counter()
    for row in records:
        found: Any = series[row["series_id"]] | stored.attributes(row["attributes"])
        if key in found:
            counts[msgspec.json.encode(stored.plain(found[key]))] += 1
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [AttributeValue(msgspec.json.decode(text), count) for text, count in ordered]
