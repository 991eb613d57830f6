"""Services: which there are, when they were last heard of, and how much they sent in a window."""

import difflib
from collections.abc import Sequence

from exporter.otlp.records import LOGS, SPANS
from queries import answers, stored
from queries.database import Connection, ReadDatabase
from queries.errors import NotFound
from queries.minutes import Minutes
from queries.params import ServiceSearch, Window
from sql import query

_RECORDS = {
    SPANS: {
        "__minutes__": "otel_operation_minutes",
        "__count__": "calls",
        "__table__": "otel_spans_fact",
        "__time__": "start_time_unix_nano",
    },
    LOGS: {
        "__minutes__": "otel_log_minutes",
        "__count__": "records",
        "__table__": "otel_logs_fact",
        "__time__": "time_unix_nano",
    },
}
"""Where the records of a signal are, and how many there were each minute."""


async def catalogue(database: ReadDatabase, asked: ServiceSearch, window: Window) -> list[answers.Service]:
    """Every service that is known, by name, with its records in the window."""
    async with database.reading(one_snapshot=True) as connection:
        statement = query("reading_dimensions", "list-services")
        services = await connection.fetch(statement, stored.escaped(asked.namespace))
        spans = await count(connection, SPANS, window)
        logs = await count(connection, LOGS, window)
    return [
        answers.Service(
            stored.text(row["service_name"]),
            stored.text(row["service_namespace"]) or None,
            row["last_seen"],
            _sum(spans, row["resource_ids"]),
            _sum(logs, row["resource_ids"]),
        )
        for row in services
    ]


async def count(connection: Connection, signal: str, window: Window) -> dict[int, int] | None:
    """The records of a signal in a window, by one resource or more of their service; None where that takes too long.

    Has to be asked in one snapshot.
    """

    def statement(name: str) -> str:
        text = query("reading_minutes", name)
        for placeholder, meant in _RECORDS[signal].items():
            text = text.replace(placeholder, meant)
        return text

    minutes = await Minutes.of(connection, signal, window)
    rows = await minutes.count(connection, statement("count-records"), minutes.clipped)
    if not minutes.is_complete:
        return None
    rows += await connection.fetch(statement("sum-records"), *minutes.whole, minutes.counted)
    found: dict[int, int] = {}
    for row in rows:
        found[row["resource_id"]] = found.get(row["resource_id"], 0) + row["records"]
    return found


def _sum(counts: dict[int, int] | None, resource_ids: list[int]) -> int | None:
    return None if counts is None else sum(counts.get(id_, 0) for id_ in resource_ids)


async def resources_of(connection: Connection, services: Sequence[str], namespaces: Sequence[str]) -> list[int] | None:
    """The resources of these services and namespaces; None where none are named. Raises NotFound for a service that
    there is not."""
    if not services and not namespaces:
        return None
    for service in services:
        if not await _match(connection, [service], []):
            raise NotFound(f"there is no service {service!r}", "service", await _near(connection, service))
    return await _match(connection, services, namespaces)


async def _match(connection: Connection, services: Sequence[str], namespaces: Sequence[str]) -> list[int]:
    names = stored.escaped(list(services)), stored.escaped(list(namespaces))
    return [row[0] for row in await connection.fetch(query("reading_dimensions", "match-resources"), *names)]


async def _near(connection: Connection, service: str) -> str:
    rows = await connection.fetch(query("reading_dimensions", "list-service-names"))
    near = difflib.get_close_matches(service, [stored.text(row[0]) for row in rows], 3, 0.5)
    return f"did you mean {' or '.join(near)}?" if near else "/api/services lists them"
