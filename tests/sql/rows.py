"""Rows written by hand for the tests of views and checks, and how to ask a database about them."""

import asyncio
import json
from typing import Any

import asyncpg

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
T = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z, where the partitions of these tests begin."""
TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

PARTITIONS = f"""
SELECT otel_create_partitions(signal, ARRAY[{T}, {T + DAY}, {T + 2 * DAY}], {DAY})
FROM unnest(ARRAY['spans', 'logs', 'metrics']) AS signals (signal);
"""
"""The partitions of three days."""

DIMENSIONS = f"""
{PARTITIONS}
INSERT INTO otel_resources_dim (
    resource_id, dropped_attributes_count, resource_hash, service_name, service_namespace, schema_url, attributes)
VALUES
(1, 0, 'r1', 'api', 'production', 'https://example.com/1', '{{"service.name": "api", "host.name": "a"}}'),
(2, 0, 'r2', 'db', 'production', '', '{{"service.name": "db"}}'),
(3, 0, 'r3', NULL, NULL, '', '{{}}');

INSERT INTO otel_scopes_dim (scope_id, dropped_attributes_count, scope_hash, name, version, schema_url, attributes)
VALUES (1, 0, 's1', 'http-lib', '1.2', '', '{{"lib": true}}');

INSERT INTO otel_span_series_dim (series_id, scope_id, kind_id, series_hash, name, attributes)
VALUES
(1, 1, 2, 's1', 'GET /users', '{{"http.method": "GET", "http.status_code": 200}}'),
(2, 1, 3, 's2', 'query', '{{"db.system": "postgresql"}}'),
(3, 1, 9, 's3', 'odd', '{{}}');

INSERT INTO otel_log_series_dim (
    series_id, scope_id, severity_number, series_hash, severity_text, event_name, attributes)
VALUES
(1, 1, 17, 's1', 'ERROR', 'db.failed', '{{"error.type": "connection_error"}}'),
(2, 1, 30, 's2', '', '', '{{}}');

INSERT INTO otel_metrics_dim (
    metric_id, metric_type_id, aggregation_temporality_id, is_monotonic, metric_hash, metric_identity_hash,
    name, unit, description, metadata)
SELECT id, id, CASE id WHEN 1 THEN 0 ELSE 2 END, id = 2, ('m' || id)::bytea, ('m' || id)::bytea,
    name, 'ms', 'What it counts', '{{}}'
FROM unnest(ARRAY['temperature', 'requests', 'latency', 'size', 'quantiles']) WITH ORDINALITY AS m (name, id);

INSERT INTO otel_metric_series_dim (
    series_id, metric_id, resource_id, scope_id, series_hash, identity_hash, attributes, explicit_bounds, quantiles)
SELECT id, id, 1, 1, ('s' || id)::bytea, ('s' || id)::bytea, '{{"method": "GET"}}',
    CASE id WHEN 3 THEN '{{5, Infinity}}'::float[] END, CASE id WHEN 5 THEN '{{0.5, 0.99}}'::float[] END
FROM generate_series(1, 5) AS ids (id);
"""
"""Resources 1 to 3, scope 1, span series 1 to 3, log series 1 and 2, metrics and their series 1 to 5 (by type), and
`PARTITIONS`."""


def ask(url: str, statement: str, *arguments: object, given: str = "") -> list[dict[str, Any]]:
    """The rows of a statement, JSON decoded, after the script `given`."""

    async def session() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(url)
        try:
            await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
            if given:
                await connection.execute(given)
            return [dict(row) for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(session())


def span(
    span_id: int, start: int, end: int, *, trace: str = TRACE, series: int = 1, resource: int = 1, **columns: object
) -> str:
    """The statement that inserts a span; `columns` are any others of otel_spans_fact."""
    return insert(
        "otel_spans_fact",
        trace_id=trace,
        span_id=span_id,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        resource_id=resource,
        series_id=series,
        **columns,
    )


def insert(table: str, **columns: object) -> str:
    """The statement that inserts a row of these columns."""
    values = ", ".join(literal(value) for value in columns.values())
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values});\n"


def literal(value: object) -> str:
    """A value as an SQL literal: a dict as JSON, a list as an array."""
    if isinstance(value, dict):
        value = json.dumps(value)
    if isinstance(value, list):
        value = "{" + ", ".join(str(item) for item in value) + "}"
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
