"""From the filters of a request to what is looked for: ids of the few dimension rows that match, conditions on rows.

Whatever a filter is on, the dimension rows are asked first, as there are few of them. A record's attributes lie in its
series but for keys that are marked in attribute_keys, whose values may lie on its row.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from queries import stored
from queries.database import Connection
from queries.filters import (
    ATTR,
    EVENT,
    RESOURCE,
    SCOPE,
    Filter,
    Kept,
    Match,
    of_series,
    off_row,
    on_attributes,
    on_events,
    on_hash,
    on_records,
    row_keys,
)
from queries.pages import Selection
from queries.params import Serviced
from sql import query

MOST_SERIES = 5000
"""So many are named in a statement; more are looked for by it."""


class Series(Struct):
    """What finds a signal's series: the statement, whose first parameter is the scopes, and the values of the others;
    `asked` tells that one of these asks for anything."""

    signal: str
    statement: str
    values: Sequence[object]

    @property
    def asked(self) -> bool:
        """Whether any series will not do."""
        return any(value is not None for value in self.values)


async def ids(connection: Connection, match: Match, column: str, most: int | None = None) -> list[int]:
    """The ids of the dimension rows that a statement finds, and one more than `most` where there are more."""
    text = query("reading_filters", "list-ids").replace("__matches__", f"({match.text})").replace("__id__", column)
    text = text.replace("__most__", f"${len(match.arguments) + 1}")
    rows = await connection.fetch(text, *match.arguments, None if most is None else most + 1)
    return [row[0] for row in rows]


async def _series_ids(connection: Connection, match: Match) -> list[int] | None:
    """The series that a statement finds; None where these are too many to be named in another one."""
    found = await ids(connection, match, "series_id", MOST_SERIES)
    return found if len(found) <= MOST_SERIES else None


async def resource_ids(connection: Connection, asked: Serviced) -> list[int] | None:
    """The resources that are asked for; None where any will do."""
    filters = asked.filters_on(RESOURCE)
    if not asked.service and not asked.namespace and not filters:
        return None
    names = stored.escaped(asked.service), stored.escaped(asked.namespace)
    match = Match(query("reading_dimensions", "match-resources"), names)
    return await ids(connection, match.around(map(on_attributes, filters)), "resource_id")


async def scope_ids(connection: Connection, asked: Serviced) -> list[int] | None:
    """The scopes that are asked for; None where any will do."""
    filters = asked.filters_on(SCOPE)
    if not filters:
        return None
    match = Match(query("reading_dimensions", "match-scopes"))
    return await ids(connection, match.around(map(on_attributes, filters)), "scope_id")


async def select(
    connection: Connection, asked: Serviced, series: Series, values: Sequence[object], *, narrow: bool
) -> Selection:
    """What records to look for; `values` are those of the signal's own conditions, `narrow` that they name a trace."""
    filters = asked.filters_on(ATTR)
    on_rows = await row_keys(connection, series.signal, filters)
    resources, scopes = await resource_ids(connection, asked), await scope_ids(connection, asked)
    in_series = [f for f in filters if f.key not in on_rows.keys]
    base = Match(series.statement, (scopes, *series.values)).around(map(on_attributes, in_series))
    selection = Selection(resources, None, values, narrow)
    if series.asked or scopes is not None or in_series:
        selection = _of_series(selection, base, await _series_ids(connection, base))
    kept: list[Kept] = []
    by_index: tuple[Filter, Match, list[int] | None] | None = None
    for f in filters:
        if f.key in on_rows.keys:
            match = base.around([on_attributes(f)])
            found = await _series_ids(connection, match)
            kept.append(on_records(f, match, found))
            if by_index is None and f.operator == "eq" and f.key in on_rows.indexed:
                by_index = f, match, found
    if events := asked.filters_on(EVENT):
        kept.append(on_events(events))
    if by_index is None or narrow:
        return replace(selection, kept=[*selection.kept, *kept])
    f, match, found = by_index
    by_row = replace(selection, narrow=True, kept=[*selection.kept, on_hash(f), *kept])
    by_series = _of_series(Selection(resources, None, values), match, found)
    return replace(by_series, kept=[*by_series.kept, off_row(f), *kept], others=[by_row])


def _of_series(selection: Selection, series: Match, ids: list[int] | None) -> Selection:
    """Records of these series; None = too many of them to be named."""
    return replace(selection, series=ids, kept=[*selection.kept, of_series(series)] if ids is None else selection.kept)
