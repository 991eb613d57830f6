"""Labels of a metric: the keys of its points' attributes, and the values of one key."""

import difflib
from typing import Any

from msgspec.structs import replace

from queries import metrics, stored
from queries.answers_metrics import LabelList
from queries.database import Connection
from queries.errors import NotFound, QueryError
from queries.pages import Request, Total
from queries.params import LabelSearch
from sql import query


def asked_for(given: LabelSearch, named: str | None) -> LabelSearch:
    """The search with the one metric that it is about; `named` is the name in the path. Raises QueryError."""
    if named is not None and given.name:
        raise QueryError("name: the path names the metric already", "name", "leave it out")
    if named is None and len(given.name) != 1:
        raise QueryError("name: labels are of one metric", "name", "/api/metrics lists them")
    return given if named is None else replace(given, name=[named])


async def find(connection: Connection, asked: LabelSearch, request: Request, begin: int) -> tuple[list[Any], Total]:
    """Labels from a place in their order on, one more than are asked for, and how many there are in all.

    Keys are in alphabetical order; values are of their own JSON type, numbers first. Raises NotFound.
    """
    selection = await metrics.select(connection, asked)
    if not selection.tables:
        await _check(connection, asked.name[0])
    since = metrics.seen_since(request.window)
    arguments: list[Any] = [selection.series, since, request.limit + 1, begin]
    if asked.attribute is None:
        rows = await connection.fetch(query("reading_dimensions", "list-label-keys"), *arguments)
        found: list[Any] = [stored.text(row["key"]) for row in rows]
    else:
        (key,) = stored.escaped([asked.attribute]) or [""]
        rows = await connection.fetch(query("reading_dimensions", "list-label-values"), *arguments, key)
        found = [stored.plain(stored.value(row["value"])) for row in rows]
    # Past the end nobody counted.
    return found, Total(rows[0]["total"], "eq") if rows else Total(0, "gte" if begin else "eq")


async def _check(connection: Connection, name: str) -> None:
    """Raises NotFound where there is no such metric."""
    names = [
        stored.text(row["name"]) for row in await connection.fetch(query("reading_dimensions", "list-metric-names"))
    ]
    if name not in names:
        near = difflib.get_close_matches(name, names, 3, 0.5) or [other for other in names if name in other][:3]
        hint = f"did you mean {' or '.join(near)}?" if near else "/api/metrics lists them"
        raise NotFound(f"there is no metric {name!r}", "name", hint)


def to_json(asked: LabelSearch, found: list[Any], page: dict[str, Any]) -> LabelList:
    """Labels as an answer."""
    pair = (found, None) if asked.attribute is None else (None, found)
    return LabelList(asked.name[0], asked.attribute, *pair, **page)
