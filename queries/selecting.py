"""From the filters of a request to what is looked for: ids of the few dimension rows that match, conditions on rows.

Whatever a filter is on, the dimension rows are asked first, as there are few of them. A record's attributes lie in its
series but for keys that are marked in attribute_keys, whose values may lie on its row.
"""

from collections.abc import Sequence

from msgspec import Struct

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


async def ids(connection: Connection, match: Match, column: str) -> list[int]:
    """The ids of the dimension rows that a statement finds."""
    statement = query("reading_filters", "list-ids").replace("__matches__", f"({match.text})")
    return [row[0] for row in await connection.fetch(statement.replace("__id__", column), *match.arguments)]


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
    is_asked = series.asked or scopes is not None or bool(in_series)
    selection = Selection(resources, await ids(connection, base, "series_id") if is_asked else None, values, narrow)
    kept: list[Kept] = []
    by_index: tuple[Filter, list[int]] | None = None
    for f in filters:
        if f.key in on_rows.keys:
            found = await ids(connection, base.around([on_attributes(f)]), "series_id")
            kept.append(on_records(f, found))
            if by_index is None and f.operator == "eq" and f.key in on_rows.indexed:
                by_index = f, found
    if events := asked.filters_on(EVENT):
        kept.append(on_events(events))
    selection.kept = kept
    if by_index is None or narrow:
        return selection
    f, found = by_index
    selection.narrow, selection.kept = True, [on_hash(f), *kept]
    return Selection(resources, found, values, False, [off_row(f), *kept], [selection])
