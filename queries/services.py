"""Services: which there are, when they were last heard of, and how much they sent in a window."""

import difflib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from exporter.otlp.records import LOGS, SPANS
from queries import answers, stored
from queries.database import Connection, ReadDatabase, fetch_apart
from queries.errors import NotFound
from queries.minutes import Minutes, shown
from queries.pages import Row
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
        spans = await count(connection, SPANS, window, adjusted=asked.adjusted)
        logs = await count(connection, LOGS, window)
    return [
        answers.Service(
            stored.text(row["service_name"]),
            stored.text(row["service_namespace"]) or None,
            _last_seen(row, spans, logs),
            _sum(spans, row["resource_ids"]),
            _sum(logs, row["resource_ids"]),
        )
        for row in services
    ]


Counts = dict[int, tuple[int | Decimal, int]]
"""How many records there are by resource, and about when the last one was, unix nanoseconds."""


async def count(
    connection: Connection, signal: str, window: Window, *, adjusted: bool = False, limit_ms: int | None = None
) -> Counts | None:
    """The records of a signal in a window, by one resource or more of their service; with `adjusted` those that its
    spans stand for. None where that takes too long: counting records does, or adding up whole minutes takes more than
    `limit_ms`.

    Has to be asked in one snapshot.
    """

    def statement(name: str) -> str:
        text = query("reading_minutes", name)
        for placeholder, meant in _RECORDS[signal].items():
            text = text.replace(placeholder, meant)
        return text

    minutes = await Minutes.of(connection, signal, window)
    counted, summed = ("count-adjusted-spans", "sum-adjusted-spans") if adjusted else ("count-records", "sum-records")
    rows = await minutes.count(connection, statement(counted), minutes.clipped)
    if not minutes.is_complete:
        return None
    whole = statement(summed), *minutes.whole, minutes.counted
    sums = await (connection.fetch(*whole) if limit_ms is None else fetch_apart(connection, limit_ms, *whole))
    if sums is None:
        return None
    rows += sums
    found: Counts = {}
    for row in rows:
        records, latest = found.get(row["resource_id"], (0, 0))
        found[row["resource_id"]] = records + row["records"], max(latest, row["latest"])
    return found


def _sum(counts: Counts | None, resource_ids: list[int]) -> Any:
    return None if counts is None else shown(sum(counts.get(id_, (0, 0))[0] for id_ in resource_ids))


def _last_seen(row: Row, *counts: Counts | None) -> datetime:
    """That a service is in use is noted now and then; its records tell more, unless their clock is ahead."""
    times = [found[id_][1] for found in counts if found for id_ in row["resource_ids"] if id_ in found]
    latest = datetime.fromtimestamp(min(max(times, default=0), time.time_ns()) // 1_000_000_000, UTC)
    seen: datetime = max(row["last_seen"], latest)
    return seen


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
