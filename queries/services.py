"""Services: which there are, when they were last heard of, and how much they sent in a window."""

from exporter import columns
from queries import answers, stored
from queries.database import ReadDatabase, fetch_within
from queries.params import ServiceSearch, Window
from sql import query

COUNT_MS = 1000
"""A count that takes longer is null: a list of services must not fail for it."""


async def catalogue(database: ReadDatabase, asked: ServiceSearch, window: Window) -> list[answers.Service]:
    """Every service that is known, by name, with its records in the window."""
    statement = query("reading_dimensions", "list-services")
    async with database.reading() as connection:
        services = await connection.fetch(statement, stored.escaped(asked.namespace))
    spans = await _counts(database, columns.SPANS, "start_time_unix_nano", window)
    logs = await _counts(database, columns.LOGS, "time_unix_nano", window)
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


async def _counts(
    database: ReadDatabase, table: columns.Table, time_column: str, window: Window
) -> dict[int, int] | None:
    statement = query("reading_dimensions", "count-by-resource")
    statement = statement.replace("__table__", table.name).replace("__time__", time_column)
    async with database.reading() as connection:
        rows = await fetch_within(connection, COUNT_MS, statement, *window)
    return None if rows is None else {row["resource_id"]: row["records"] for row in rows}


def _sum(counts: dict[int, int] | None, resource_ids: list[int]) -> int | None:
    return None if counts is None else sum(counts.get(id_, 0) for id_ in resource_ids)
