"""The seed's own queries, against the views and the tables that kept their names.

Where a query names a physical table that is laid out otherwise, only that name (and the column it is joined by) is
another one. Source: the seed's chapters on query patterns, views, storage classes and the REST API.
"""

from typing import Any

from tests.sql.rows import DIMENSIONS, HOUR, OTHER_TRACE, TRACE, T, ask, insert, span

SERVER, CLIENT, CHAT = 1, 2, 3

DATA = (
    DIMENSIONS
    + span(SERVER, T, T + 50, attributes={"gen_ai": 1})
    + span(CLIENT, T + 10, T + 30, series=2, resource=2, parent_span_id=SERVER, status_code_id=2)
    + span(CHAT, T + 20, T + 25, series=3, parent_span_id=SERVER, attributes={"gen_ai.system": "openai"})
    + span(4, T + 2 * HOUR, T + 2 * HOUR + 1, trace=OTHER_TRACE, status_code_id=1)
    + f"""
    INSERT INTO otel_traces VALUES
    ('{TRACE}', {T}, {T}, {T + 50}, {T}, {SERVER}, 1, 1, 3, 1, true, '{{1, 2}}'),
    ('{OTHER_TRACE}', {T + 2 * HOUR}, {T + 2 * HOUR}, {T + 2 * HOUR + 1}, {T + 2 * HOUR}, 4, 1, 1, 1, 0, true, '{{1}}');
    INSERT INTO attribute_keys (key_id, key_hash, key) VALUES (7, 'k7', 'http.status_code');
    INSERT INTO otel_log_series_dim (
        series_id, scope_id, severity_number, series_hash, severity_text, event_name, attributes)
    VALUES (3, 1, 9, 's3', 'INFO', '', '{{"http.status_code": "500"}}');
    INSERT INTO otel_log_series_attrs_string VALUES (3, 7, '500');
    """
    + "".join(
        insert(
            "otel_logs_fact",
            trace_key=TRACE,
            time_unix_nano=T + number,
            log_id=number,
            resource_id=1,
            series_id=series,
            span_id=span_id,
            has_trace=True,
            body="Failed to connect to database",
            attributes=attributes,
        )
        for number, series, span_id, attributes in (
            (1, 1, SERVER, {"custom.field": "value"}),
            (2, 3, CLIENT, {"custom.field": "other"}),
            (3, 3, SERVER, None),
        )
    )
    + "".join(
        insert("otel_metrics_data_points_number", series_id=2, time_unix_nano=T + n, value_int=n) for n in range(3)
    )
    + insert(
        "otel_metrics_data_points_histogram",
        series_id=3,
        time_unix_nano=T,
        count=142,
        sum=5280.5,
        bucket_counts=[140, 2, 0],
    )
)

TRACES_AS_THE_SEED_DEFINES_THEM = """
SELECT
    s.trace_id,
    MIN(s.start_time_unix_nano) AS start_time_unix_nano,
    MAX(s.end_time_unix_nano) AS end_time_unix_nano,
    MAX(s.end_time_unix_nano) - MIN(s.start_time_unix_nano) AS duration_nanos,
    COUNT(*) AS span_count,
    COUNT(*) FILTER (WHERE s.status_code_id = 2) AS error_count,
    (ARRAY_AGG(s.name ORDER BY s.start_time_unix_nano)
        FILTER (WHERE s.parent_span_id_hex IS NULL))[1] AS root_span_name,
    (ARRAY_AGG(s.service_name ORDER BY s.start_time_unix_nano)
        FILTER (WHERE s.parent_span_id_hex IS NULL))[1] AS service_name,
    (ARRAY_AGG(s.service_namespace ORDER BY s.start_time_unix_nano)
        FILTER (WHERE s.parent_span_id_hex IS NULL))[1] AS service_namespace
FROM v_otel_spans_enriched AS s
GROUP BY s.trace_id
"""
"""FIRST_VALUE(..) FILTER .. OVER, as the seed has it, is not SQL; this says the same."""

QUERIES: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "query patterns: filter on promoted attributes": (
        """
        SELECT l.log_id FROM v_otel_logs_enriched AS l
        JOIN otel_log_series_attrs_string a ON l.series_id = a.series_id
        JOIN attribute_keys ak ON a.key_id = ak.key_id
        WHERE ak.key = 'http.status_code' AND a.value = '500'
        ORDER BY l.log_id
        """,
        [(2,), (3,)],
    ),
    "query patterns: filter on unpromoted attributes": (
        """
        SELECT l.log_id FROM v_otel_logs_enriched AS l
        WHERE l.attributes @> '{"custom.field": "value"}'
        """,
        [(1,)],
    ),
    "storage: semantic_type=ai_agent": (
        "SELECT span_id FROM v_otel_spans_enriched WHERE attributes ? 'gen_ai.system'",
        [(f"{CHAT:016x}",)],
    ),
    "storage: the id of an attribute key": (
        "SELECT key_id FROM attribute_keys WHERE key = 'http.status_code'",
        [(7,)],
    ),
    "storage: the id of a resource": (
        "SELECT resource_id FROM otel_resources_dim WHERE resource_hash = 'r2'",
        [(2,)],
    ),
    "GET /api/traces": (
        f"""
        SELECT trace_id, duration_nanos, span_count, error_count, root_span_name, service_name, service_namespace
        FROM v_otel_traces
        WHERE start_time_unix_nano >= {T} AND start_time_unix_nano < {T + HOUR}
            AND service_name = 'api' AND duration_nanos >= 50 AND error_count > 0
        ORDER BY start_time_unix_nano DESC LIMIT 100 OFFSET 0
        """,
        [(TRACE, 50, 3, 1, "GET /users", "api", "production")],
    ),
    "GET /api/traces/{trace_id}/spans": (
        f"""
        SELECT span_id, parent_span_id_hex, name, kind_name, duration_nanos, status_name, attributes ->> 'db.system'
        FROM v_otel_spans_enriched WHERE trace_id = '{TRACE}' AND kind_name = 'client'
        """,
        [(f"{CLIENT:016x}", f"{SERVER:016x}", "query", "client", 20, "error", "postgresql")],
    ),
    "GET /api/logs": (
        f"""
        SELECT log_id, severity_number, severity_text, body #>> '{{}}' AS body, service_name,
            attributes ->> 'error.type' AS error_type, trace_id, span_id_hex
        FROM v_otel_logs_enriched
        WHERE time_unix_nano >= {T} AND time_unix_nano < {T + HOUR} AND severity_number >= 17
            AND service_name = 'api' AND attributes ->> 'error.type' = 'connection_error'
        """,
        [(1, 17, "ERROR", "Failed to connect to database", "api", "connection_error", TRACE, f"{SERVER:016x}")],
    ),
    "GET /api/logs/trace/{trace_id}/spans": (
        f"""
        SELECT l.span_id_hex, s.name, count(*), array_agg(l.log_id ORDER BY l.time_unix_nano)
        FROM v_otel_logs_enriched AS l
        LEFT JOIN v_otel_spans_enriched AS s ON s.trace_id = l.trace_id AND s.span_id_hex = l.span_id_hex
        WHERE l.trace_id = '{TRACE}'
        GROUP BY l.span_id_hex, s.name ORDER BY l.span_id_hex
        """,
        [(f"{SERVER:016x}", "GET /users", 2, [1, 3]), (f"{CLIENT:016x}", "query", 1, [2])],
    ),
    "GET /api/metrics/series, aggregated": (
        f"""
        SELECT metric_name, unit, metric_type, attributes ->> 'method', avg(value), max(value)
        FROM v_otel_metrics_number
        WHERE metric_name = 'requests' AND time_unix_nano BETWEEN {T} AND {T + HOUR} AND service_name = 'api'
        GROUP BY 1, 2, 3, 4
        """,
        [("requests", "ms", "sum", "GET", 1.0, 2.0)],
    ),
    "GET /api/metrics/series, a histogram": (
        """
        SELECT metric_type, count::int, sum, jsonb_path_query_array(buckets, '$[*].count')
        FROM v_otel_metrics_enriched WHERE metric_name = 'latency'
        """,
        [("histogram", 142, 5280.5, [140, 2, 0])],
    ),
    "GET /api/metrics/{metric_name}/labels": (
        "SELECT DISTINCT attributes ->> 'method' FROM v_otel_metrics_enriched WHERE metric_name = 'requests'",
        [("GET",)],
    ),
}
"""Where the seed has the query -> the query and its answer."""


def test_queries_of_the_seed(database_url: str) -> None:
    given = DATA
    for place, (query, answer) in QUERIES.items():
        assert [tuple(row.values()) for row in ask(database_url, query, given=given)] == answer, place
        given = ""


def test_traces_are_what_the_seed_defines(database_url: str) -> None:
    wanted = ask(database_url, f"{TRACES_AS_THE_SEED_DEFINES_THEM} ORDER BY trace_id", given=DATA)
    columns = ", ".join(wanted[0])
    assert len(wanted) == 2
    assert ask(database_url, f"SELECT {columns} FROM v_otel_traces ORDER BY trace_id") == wanted
