"""What else holds an erased value than records: rows of dimensions that no record needs, and quarantine.

A row's id may be in a cache for a while, and a record that points to nothing would be lost: so the row is not deleted
but rewritten, without the attribute, under a hash by which nothing finds it.

Source: docs/erasure.md; docs/decisions/0022-erasure.md.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec

from exporter.database import Connection
from exporter.deletion import BATCH
from exporter.dimensions import RESOURCES, typed_statement
from exporter.erasure import DIMENSIONS, Criterion, Dimension, dependents, list_carriers
from exporter.otlp.anyvalue import NUMBER, escape_nul, from_otlp, to_json
from exporter.otlp.records import AnyValue
from exporter.promotion import TYPES
from sql import query

_BY_KIND = {dimension.kind: dimension for dimension in DIMENSIONS}
_ENCODED = frozenset(("intValue", "doubleValue", "bytesValue"))
"""What JSON has another form for."""


async def rewrite(connection: Connection, criteria: Sequence[Criterion]) -> tuple[int, int]:
    """Take the attributes of an erasure away from the rows of dimensions that have all of them and no record left.

    Returns how many were rewritten, a batch of each dimension at most, and how many are in use. A row that has but one
    of several attributes is left to those who have that one.
    """
    rewritten = in_use = 0
    for dimension in DIMENSIONS:
        each = [set(await list_carriers(connection, dimension, criterion)) for criterion in criteria]
        ids = sorted(set.intersection(*each))
        used = await _used(connection, dimension, ids)
        unused = [i for i in ids if i not in used][:BATCH]
        if unused:
            await _rewrite(connection, dimension, unused, criteria)
        rewritten += len(unused)
        in_use += len(used)
    return rewritten, in_use


async def _used(connection: Connection, dimension: Dimension, ids: Sequence[int]) -> set[int]:
    """Which rows records point to, or series of records."""
    used: set[int] = set()
    if ids:
        for table in dimension.facts:
            statement = query("erasure", "list-used").replace("__table__", table.name)
            statement = statement.replace("__column__", dimension.kind.id_column)
            used |= {row[0] for row in await connection.fetch(statement, ids)}
    for kind in dimension.series:
        series = dict(await dependents(connection, dimension, kind, ids))
        used |= {series[i] for i in await _used(connection, _BY_KIND[kind], sorted(series))}
    return used


async def _rewrite(
    connection: Connection, dimension: Dimension, ids: Sequence[int], criteria: Sequence[Criterion]
) -> None:
    kind = dimension.kind
    # A key's change is what a backfill's lock holds off, so it comes first: typed rows that it wrote are seen below.
    await _replace_hashes(connection, dimension, ids)
    statement = kind.statement("remove-attributes", "erasure").replace("__attributes__", dimension.attributes)
    await connection.execute(statement, ids, [escape_nul(criterion.key) for criterion in criteria])
    if kind is RESOURCES:
        await connection.execute(query("erasure", "rename-services"), ids)
    if kind.attributes is not None:
        for of_type in TYPES:
            statement = typed_statement("delete-typed-attributes", kind, of_type, "erasure")
            await connection.execute(statement, ids, [criterion.key_hash for criterion in criteria])
    # Their series' hashes are made of this one's, and would lead who finds them to this row.
    for series in dimension.series:
        found = [row[0] for row in await dependents(connection, dimension, series, ids)]
        await _replace_hashes(connection, _BY_KIND[series], found)


async def _replace_hashes(connection: Connection, dimension: Dimension, ids: Sequence[int]) -> None:
    for column in dimension.hashes:
        statement = query("erasure", "replace-hashes").replace("__table__", dimension.kind.table)
        statement = statement.replace("__id__", dimension.kind.id_column).replace("__hash__", column)
        await connection.execute(statement, ids, [os.urandom(32) for _ in ids])


def dimension_tables() -> Iterator[str]:
    """Every table that a dimension's rows and promoted attributes lie in."""
    for dimension in DIMENSIONS:
        kind = dimension.kind
        yield kind.table
        if kind.attributes is not None:
            yield from (kind.attributes + of_type for of_type in TYPES)


def holds(criteria: Iterable[Criterion], *texts: str | None) -> bool:
    """Whether a refused record, JSON of any shape, or what was around it has every attribute."""
    parsed: list[Any] = []
    broken = ""
    for text in texts:
        try:
            parsed.append(msgspec.json.decode(text or "null"))
        except (msgspec.DecodeError, RecursionError):
            broken += text or ""
    return all(
        any(_has(value, criterion) for value in parsed) or (broken and _may_have(broken, criterion))
        for criterion in criteria
    )


def _has(found: Any, criterion: Criterion) -> bool:
    """Whether an attribute stands anywhere in it, as a key with its value or as a member that is named so."""
    # As deep as a parser takes, which is deeper than calls may be nested.
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            is_pair = value.get("key") == criterion.key and _is_wanted(value.get("value"), criterion)
            if is_pair or (criterion.key in value and _is_wanted(value[criterion.key], criterion)):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


def _is_wanted(value: Any, criterion: Criterion) -> bool:
    return any(_equal(found, form) for found in _readings(value) for form in criterion.wanted)


def _readings(value: Any) -> Iterator[AnyValue]:
    """What a value may mean: itself, or an AnyValue by whatever name: it may be refused for a misspelt one."""
    if not isinstance(value, dict):
        yield value
        return
    yield from value.values()
    for field in _ENCODED & value.keys():
        with suppress(ValueError, TypeError, OverflowError):
            yield from_otlp({field: value[field]})


def _equal(value: AnyValue, form: bytes) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return isinstance(value, str | bytes | bool) and to_json(value) == form
    if NUMBER.fullmatch(form.decode()):
        return value == (float(form) if isinstance(value, float) else Decimal(form.decode()))
    return isinstance(value, float) and to_json(value) == form


def _may_have(text: str, criterion: Criterion) -> bool:
    """Of what is no JSON only the texts can be looked for."""
    return criterion.key in text and msgspec.json.decode(criterion.wanted[0]) in text
