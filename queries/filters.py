"""Filters on attributes, `attr.<key>__<operator>=value`: what is asked for, and as conditions around a statement.

A value matches by text form: 200 is int 200, double 200.0 and string "200". What a stored value matches is settled in
one place, the SQL function otel_matches, whatever row the attribute lies on.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec import Struct

from exporter.otlp.anyvalue import NUMBER, escape_nul, forms, key_hash, to_json
from queries.database import Connection
from queries.errors import QueryError
from sql import query

ATTR, RESOURCE, SCOPE, EVENT = "attr", "resource", "scope", "event"
OPERATORS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "like", "exists")
"""Suffixes of a key, after two underscores; without one it is eq."""

_SLIPS: Final = MappingProxyType(
    {"ge": "gte", "le": "lte", "neq": "ne", "not": "ne", "contains": "like", "ilike": "like", "regex": "like"}
)
"""What others call an operator."""
_EXISTS: Final = MappingProxyType({"true": "exists", "false": "missing"})


class Filter(NamedTuple):
    """A condition on one attribute: `operator` as otel_matches has it, `wanted` stored JSON values."""

    key: str
    operator: str
    wanted: tuple[bytes, ...]


def parse(parameter: str, value: str) -> Filter:
    """The filter of a parameter such as `attr.http.route__like` and its value. Raises QueryError."""
    key, separator, operator = parameter.partition(".")[2].rpartition("__")
    if separator and operator in _SLIPS:
        hint = f"did you mean __{_SLIPS[operator]}? A key that ends so: {parameter}__eq"
        raise QueryError(f"{parameter}: there is no operator {operator!r}", parameter, hint)
    if not separator or operator not in OPERATORS:
        key, operator = parameter.partition(".")[2], "eq"
    if operator == "exists":
        if value.lower() not in _EXISTS:
            raise QueryError(f"{parameter}: is {value!r}; true or false", parameter, f"{parameter}=true")
        return Filter(key, _EXISTS[value.lower()], ())
    if operator == "in":
        parts = [part.replace(r"\,", ",") for part in re.split(r"(?<!\\),", value)]
        return Filter(key, "eq", tuple(form for part in parts for form in forms(part)))
    if operator in ("eq", "ne"):
        return Filter(key, operator, tuple(forms(value)))
    if operator == "like":
        if (len(value) - len(value.rstrip("\\"))) % 2:
            raise QueryError(f"{parameter}: ends with a lone backslash", parameter, r"write \\ for a backslash")
        return Filter(key, operator, (to_json(value),))
    return Filter(key, operator, (value.encode() if NUMBER.fullmatch(value) else to_json(value),))


class Kept(Struct, frozen=True):
    """A condition that is put around a statement: a statement of reading_filters.sql, and what it is bound to.

    `names` are columns of ours, by what stands for them.
    """

    name: str
    values: Mapping[str, object]
    inside: "Match | None" = None
    names: Mapping[str, str] = MappingProxyType({})


class Match(NamedTuple):
    """A statement that finds rows, and its parameters but the first `shared`, which are the same for all of a page."""

    text: str
    arguments: tuple[object, ...] = ()
    shared: int = 0

    def around(self, kept: Iterable[Kept]) -> "Match":
        """This, with conditions around it."""
        found = self
        for condition in kept:
            found = found._around(condition)
        return found

    def _around(self, kept: Kept) -> "Match":
        text = query("reading_filters", kept.name)
        for name, column in kept.names.items():
            text = text.replace(f"__{name}__", column)
        arguments = list(self.arguments)
        for name, value in kept.values.items():
            arguments.append(value)
            text = text.replace(f"__{name}__", f"${self.shared + len(arguments)}")
        if kept.inside is not None:
            inside = kept.inside.shifted(self.shared - kept.inside.shared + len(arguments))
            text = text.replace("__inside__", f"({inside.text})")
            arguments += kept.inside.arguments
        return self._replace(text=text.replace("__matches__", f"({self.text})"), arguments=tuple(arguments))

    def shifted(self, by: int) -> "Match":
        """The same where `by` other parameters stand before its own."""

        def shift(found: re.Match[str]) -> str:
            number = int(found[1])
            return f"${number + by}" if number > self.shared else found[0]

        return self._replace(text=_PARAMETER.sub(shift, self.text))

    def of_window(self, low: int, high: int) -> "Match":
        """The same for a statement of a page, with parameters of its own: all of this window, in no order."""

        def own(found: re.Match[str]) -> str:
            number = int(found[1])
            return f"${number if number < PAGE else number - 1}"

        return Match(_PARAMETER.sub(own, self.text), (low, high, None, None, None, *self.arguments))


def union(matches: Sequence[Match]) -> Match:
    """What any of these finds."""
    texts: list[str] = []
    arguments: list[object] = []
    for match in matches:
        texts.append(f"({match.shifted(len(arguments)).text})")
        arguments += match.arguments
    return Match(" UNION ALL ".join(texts), tuple(arguments), matches[0].shared)


PAGE = 6
"""Parameters that all statements of a page share: its window, where it goes on, how many rows."""
_PARAMETER = re.compile(r"\$(\d+)")


def on_attributes(asked: Filter) -> Kept:
    """A filter on the attributes of a dimension row, or of an event."""
    if asked.operator == "eq":
        key = to_json(asked.key)
        contained = [b"{%b:%b}" % (key, value) for value in asked.wanted]
        return Kept("keep-equal", {"key": escape_nul(asked.key), "wanted": list(asked.wanted), "contained": contained})
    return Kept("keep-matching", _values(asked))


def of_series(series: Match) -> Kept:
    """That the series is one of these."""
    return Kept("keep-of-series", {}, series)


def on_records(asked: Filter, series: Match, ids: Sequence[int] | None) -> Kept:
    """A filter on the attributes of records, where these series match; None = too many of them to be named."""
    if ids is None:
        return Kept("keep-records-of-series", _values(asked), series)
    return Kept("keep-records", _values(asked) | {"series": ids})


def on_hash(asked: Filter) -> Kept:
    """What an index finds on rows for an equality filter."""
    return Kept("keep-hashed", {"key": escape_nul(asked.key), "wanted": list(asked.wanted)})


def off_row(asked: Filter) -> Kept:
    """That the key does not lie on the row."""
    return Kept("keep-off-row", {"key": escape_nul(asked.key)})


def on_events(asked: Sequence[Filter]) -> Kept:
    """That one event has all of this."""
    events = Match(query("reading_filters", "match-span-events"), shared=PAGE).around(map(on_attributes, asked))
    return Kept("keep-with-event", {}, events)


def _values(asked: Filter) -> dict[str, object]:
    return {"key": escape_nul(asked.key), "operator": asked.operator, "wanted": list(asked.wanted)}


def on_spans(spans: Match) -> Kept:
    """That the trace has one of these spans."""
    return Kept("keep-with-span", {}, spans)


def after(columns: tuple[str, str, str], key: tuple[int, bytes | int, int]) -> Kept:
    """That a row comes after a key of these columns, where the earliest come first."""
    names = dict(zip(("time", "group", "id"), columns, strict=True))
    values = dict(zip(("after_time", "after_group", "after_id"), key, strict=True))
    return Kept("keep-after", values, names=names)


class RowKeys(Struct):
    """Which keys may lie on rows of a signal, and those of them that have an index there."""

    keys: frozenset[str]
    indexed: frozenset[str]


async def row_keys(connection: Connection, signal: str, asked: Sequence[Filter]) -> RowKeys:
    """What is known of the keys of these filters."""
    hashes = {key_hash(f.key): f.key for f in asked}
    if not hashes:
        return RowKeys(frozenset(), frozenset())
    statement = query("reading_filters", "find-row-keys").replace("__signal__", signal)
    rows = await connection.fetch(statement, sorted(hashes), signal)
    return RowKeys(
        frozenset(hashes[row["key_hash"]] for row in rows),
        frozenset(hashes[row["key_hash"]] for row in rows if row["is_indexed"]),
    )
