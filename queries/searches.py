"""A search of one signal's records: the newest page of what is asked for, in the form that was asked for."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from exporter.otlp import export
from queries import cursors, pages
from queries.asking import NOT_COUNTED, Ask
from queries.database import Connection
from queries.formats import ToOtlp, export_request
from queries.pages import Request, Row, Selection, Source


class Searched(Struct, frozen=True):
    """A signal: how parameters select, how rows become whole records (with to_json and to_otlp), and the answer around
    these, a list of that `name`."""

    name: str
    source: Source
    select: Callable[[Connection, Any], Awaitable[Selection]]
    load: Callable[[Connection, Sequence[Row]], Awaitable[list[Any]]]
    content: Callable[..., Struct]


async def search(ask: Ask[Any], of: Searched) -> Response:
    """The answer to a search."""
    request = Request.of(of.name, ask.given, ask.given.window_of_trace(), cursors.BY_ID)
    async with ask.database.reading() as connection:
        selection = await of.select(connection, ask.given)
        rows = await pages.find(connection, of.source, selection, request)
        found = await of.load(connection, rows[: request.limit])
        total = NOT_COUNTED
        if ask.counts:
            total = await pages.total_of(connection, of.source, selection, request, rows)
    keys = [of.source.key_of(row) for row in rows]
    shown = [record.to_json() for record in found]
    otlp = exported(of.source.signal, found)
    return ask.page(of.name, request, keys, total, lambda page: of.content(shown, **page), otlp)


def exported(signal: str, found: Sequence[Any]) -> ToOtlp:
    """Makes the export request of whole records."""

    def to_otlp() -> tuple[str, export.Json]:
        return signal, export_request(signal, found, lambda part: [record.to_otlp() for record in part])

    return to_otlp
