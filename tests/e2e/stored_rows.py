"""A database by what its rows say, so that two of them can be compared: hashes stand for ids."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg

from tests.e2e.otlp_strategy import START_UNIX_NANO

Rows: TypeAlias = Counter[tuple[str, ...]]

_TABLES = """
SELECT c.relname, coalesce(p.signal, ''), coalesce(p.time_column, '')
FROM pg_class AS c LEFT JOIN otel_partitioned_tables AS p ON p.parent = c.relname
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relname ~ '^(otel_|attribute_keys)'
    AND c.relname !~ '^otel_(ingest|partition|secrets|row_indexes|attribute_filters|backfills|erasures|rounds)|_minutes'
    AND c.relname !~ '^otel_(roles|namespace_grants)'
"""
_DIMENSIONS = {
    "otel_resources_dim": "resource",
    "otel_scopes_dim": "scope",
    "otel_metrics_dim": "metric",
    "otel_span_series_dim": "series",
    "otel_log_series_dim": "series",
    "otel_metric_series_dim": "series",
    "attribute_keys": "key",
}
"""Table -> what its id and hash columns are named after."""
_SERIES = {"spans": "otel_span_series_dim", "logs": "otel_log_series_dim", "metrics": "otel_metric_series_dim"}
_RANDOM = {"log_id", "rejected_id"}
# Which spans of a trace share an hour depends on when they are received where that is the time they are filed under.
_WHERE = {
    "otel_traces": "WHERE NOT EXISTS (SELECT FROM otel_spans_fact AS s WHERE s.trace_id = t.trace_id "
    "AND s.sent_start_time_unix_nano IS NOT NULL)"
}


async def rows_of(url: str) -> dict[str, Rows]:
    """Every table's rows, with hashes in place of ids and without what is random or a time of receipt."""
    connection = await asyncpg.connect(url)
    names: dict[str, dict[int, Any]] = {}
    for name, id_name in _DIMENSIONS.items():
        statement = f"SELECT {id_name}_id, {id_name}_hash FROM {name}"
        names[name] = {row[0]: row[1] for row in await connection.fetch(statement)}
    found = {}
    for table, signal, time_column in await connection.fetch(_TABLES):
        around = next((name for name in names if table.startswith(name.removesuffix("dim"))), table)
        own = _SERIES.get(signal, around)
        meant = {id_name: names[name] for name, id_name in _DIMENSIONS.items() if id_name != "series" or name == own}
        rows = await connection.fetch(f"SELECT * FROM {table} AS t {_WHERE.get(table, '')}")
        found[table] = Counter(tuple(_comparable(row, meant, time_column)) for row in rows)
    await connection.close()
    return found


def _comparable(row: Any, meant: dict[str, dict[int, Any]], time_column: str) -> Iterator[str]:
    for column, value in row.items():
        id_name = next((name for name in meant if column.endswith((f"{name}_id", f"{name}_ids"))), None)
        if isinstance(value, datetime) or column in _RANDOM or (column == "trace_key" and not row["has_trace"]):
            continue
        if isinstance(value, list) and id_name:
            value = sorted(meant[id_name][number] for number in value)
        elif id_name:
            value = meant[id_name][value]
        elif column == time_column and value > START_UNIX_NANO:
            value = "received"
        yield f"{column}={value!r}"
