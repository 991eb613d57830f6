"""The integrity check: silent on sound rows, and each kind of damage has its line."""

import asyncio

import asyncpg

from exporter.integrity import CHECKS, check
from sql import queries, query
from tests.sql.rows import DAY, DIMENSIONS, HOUR, OTHER_TRACE, TRACE, T, insert, span

SAMPLED_TRACE = "5b8efff798038103d269b633813fc60c"
SETTLED = T + 2 * DAY

SPANS = (
    # No root in the first hour: the earliest span stands for it, of two at once the one of the smaller id.
    span(-5, T + 7, T + 9, series=2, parent_span_id=1)
    + span(3, T + 7, T + 6, resource=2, parent_span_id=1, status_code_id=2)
    # The root of the second hour is not its earliest span.
    + span(1, T + HOUR + 2, T + HOUR + 5)
    + span(2, T + HOUR, T + HOUR + 3, parent_span_id=1, status_code_id=1)
    # In a minute that is settled: a call whose span stands for four, and failed.
    + span(5, SETTLED, SETTLED + 8, trace=SAMPLED_TRACE, resource=3, series=2, parent_span_id=1)
    + span(
        6,
        SETTLED + 1,
        SETTLED + 8,
        trace=SAMPLED_TRACE,
        parent_span_id=5,
        status_code_id=2,
        trace_state="ot=th:c",
    )
    # Filed under its receipt; sent with times past 2^63, 7 ns apart.
    + span(4, T + DAY, -2, trace=OTHER_TRACE, sent_start_time_unix_nano=-9, status_code_id=2)
    + insert(
        "otel_span_events",
        trace_id=TRACE,
        span_id=1,
        start_time_unix_nano=T + HOUR + 2,
        time_unix_nano=0,
        ordinal=0,
        name="e",
    )
    + insert(
        "otel_span_links",
        trace_id=TRACE,
        span_id=1,
        start_time_unix_nano=T + HOUR + 2,
        ordinal=0,
        linked_trace_id="",
        linked_span_id="",
    )
)

ROLLUP = f"""
INSERT INTO otel_traces VALUES
('{TRACE}', {T}, {T + 7}, {T + 9}, {T + 7}, -5, 2, 1, 2, 1, false, '{{2, 1}}', true),
('{TRACE}', {T + HOUR}, {T + HOUR}, {T + HOUR + 5}, {T + HOUR + 2}, 1, 1, 1, 2, 0, true, '{{1}}', true),
('{OTHER_TRACE}', {T + DAY}, {T + DAY}, {T + DAY + 7}, {T + DAY}, 4, 1, 1, 1, 1, true, '{{1}}', NULL),
('{SAMPLED_TRACE}', {SETTLED}, {SETTLED}, {SETTLED + 8}, {SETTLED}, 5, 2, 3, 2, 1, false, '{{1, 3}}', NULL);
"""

LOGS = f"""
INSERT INTO otel_logs_fact (trace_key, time_unix_nano, log_id, resource_id, series_id, has_trace, body, body_other)
VALUES
('{TRACE}', {T}, 1, 1, 1, true, 'text', NULL),
('0193a1c0-0000-7000-8000-000000000001', {T}, 2, 1, 1, false, NULL, '5');
"""

POINTS = f"""
INSERT INTO otel_metrics_data_points_number (series_id, time_unix_nano, value_int) VALUES (1, {T}, 1), (2, {T}, NULL);
INSERT INTO otel_metrics_data_points_histogram (series_id, time_unix_nano, count, bucket_counts)
VALUES (3, {T}, 1, '{{1}}');
INSERT INTO otel_metrics_data_points_exp_histogram (
    series_id, time_unix_nano, count, zero_count, zero_threshold, scale, positive_bucket_counts,
    negative_bucket_counts_wide)
VALUES (4, {T}, 1, 0, 0, 0, '{{1}}', '{{1}}');
INSERT INTO otel_metrics_data_points_summary (series_id, time_unix_nano, count, sum, quantile_values)
VALUES (5, {T}, 1, 1, '{{1, 2}}');
INSERT INTO otel_exemplars (series_id, time_unix_nano, exemplar_time_unix_nano, ordinal, value_double)
VALUES (1, {T}, 0, 0, 1), (3, {T}, 0, 0, 1), (4, {T}, 0, 0, 1);
"""

ATTRIBUTES = """
INSERT INTO attribute_keys (key_id, key_hash, key)
VALUES
(1, '1', 'service.name'), (2, '2', 'http.status_code'), (3, '3', 'lib'), (4, '4', 'error.type'), (5, '5', 'method');
INSERT INTO otel_resource_attrs_string VALUES (1, 1, 'api'), (2, 1, 'db');
INSERT INTO otel_scope_attrs_bool VALUES (1, 3, true);
INSERT INTO otel_span_series_attrs_int VALUES (1, 2, 200);
INSERT INTO otel_log_series_attrs_string VALUES (1, 4, 'connection_error');
INSERT INTO otel_metric_series_attrs_string SELECT series_id, 5, 'GET' FROM otel_metric_series_dim;
"""

LEDGER = """
INSERT INTO otel_ingest_ledger (
    body_digest, committed_at, received, stored, deduplicated, dropped, rejected, signal, message)
VALUES ('d', now(), 10, 4, 3, 2, 1, 'spans', '');
INSERT INTO otel_ingest_totals VALUES ('2026-01-01', 10, 4, 3, 2, 1, 'spans');
"""

DUE = f"""
INSERT INTO otel_due_minutes (signal, minute_unix_nano, marked_at)
SELECT DISTINCT 'spans', otel_minute(start_time_unix_nano), now() FROM otel_spans_fact
WHERE start_time_unix_nano < {SETTLED}
UNION
SELECT DISTINCT 'logs', otel_minute(time_unix_nano), now() FROM otel_logs_fact;
"""

MINUTES = "".join(
    query("minutes", name).replace("$1", str(SETTLED)).replace("$2", str(SETTLED + HOUR)) + ";"
    for name in ("insert-operations", "insert-edges")
)

SOUND = DIMENSIONS + SPANS + ROLLUP + LOGS + POINTS + ATTRIBUTES + LEDGER + DUE + MINUTES

DAMAGE: dict[str, set[str]] = {
    "DELETE FROM otel_resources_dim WHERE resource_id = 2": {"spans-miss-dimensions", "resource-attributes-dangle"},
    "UPDATE otel_spans_fact SET series_id = 99 WHERE span_id = 3": {"spans-miss-dimensions"},
    "UPDATE otel_logs_fact SET resource_id = 99": {"logs-miss-dimensions"},
    "UPDATE otel_logs_fact SET series_id = 99 WHERE log_id = 2": {"logs-miss-dimensions"},
    "DELETE FROM otel_metrics_dim WHERE metric_id = 5": {"points-miss-metric", "series-miss-dimensions"},
    "UPDATE otel_metrics_data_points_number SET series_id = 99 WHERE series_id = 2": {"points-miss-metric"},
    "UPDATE otel_metrics_data_points_summary SET series_id = 3": {"points-miss-metric"},
    "UPDATE otel_span_series_dim SET scope_id = 99 WHERE series_id = 3": {"series-miss-dimensions"},
    "UPDATE otel_log_series_dim SET scope_id = 99": {"series-miss-dimensions"},
    "UPDATE otel_metric_series_dim SET resource_id = 99": {"series-miss-dimensions"},
    "UPDATE otel_span_events SET start_time_unix_nano = start_time_unix_nano + 1": {"events-miss-span"},
    "UPDATE otel_span_links SET span_id = 9": {"events-miss-span"},
    "DELETE FROM otel_metrics_data_points_histogram": {"exemplars-miss-point"},
    "UPDATE otel_exemplars SET series_id = 5 WHERE series_id = 1": {"exemplars-miss-point"},
    "UPDATE otel_spans_fact SET span_id = 0 WHERE span_id = 3": {"spans-lack-identity"},
    "UPDATE otel_logs_fact SET has_trace = false": {"logs-contradict-themselves"},
    "UPDATE otel_logs_fact SET trace_key = '00000000-0000-0000-0000-000000000000' WHERE has_trace": {
        "logs-contradict-themselves"
    },
    "UPDATE otel_logs_fact SET body = 'text', body_other = '5'": {"logs-contradict-themselves"},
    "UPDATE otel_metrics_data_points_number SET value_double = 1": {"points-contradict-themselves"},
    "UPDATE otel_metrics_data_points_histogram SET bucket_counts_wide = '{1}'": {"points-contradict-themselves"},
    "UPDATE otel_metrics_data_points_exp_histogram SET negative_bucket_counts = '{1}'": {
        "points-contradict-themselves"
    },
    "UPDATE otel_exemplars SET value_int = 1": {"points-contradict-themselves"},
    "DELETE FROM attribute_keys WHERE key = 'method'": {"metric-series-attributes-dangle"},
    "INSERT INTO otel_resource_attrs_bytes VALUES (3, 1, 'x')": {"resource-attributes-dangle"},
    "INSERT INTO otel_scope_attrs_double VALUES (2, 3, 1)": {"scope-attributes-dangle"},
    "UPDATE otel_span_series_attrs_int SET key_id = 3": {"span-series-attributes-dangle"},
    "UPDATE otel_log_series_dim SET attributes = '{}'": {"log-series-attributes-dangle"},
    "UPDATE otel_ingest_ledger SET stored = 5": {"ledger-loses-count"},
    "UPDATE otel_ingest_totals SET received = 5": {"ledger-loses-count"},
    "DELETE FROM otel_traces WHERE has_root": {"rollup-differs"},
    "UPDATE otel_traces SET is_split = NULL": {"split-traces-unmarked"},
    "DELETE FROM otel_due_minutes WHERE signal = 'spans'": {"operations-differ"},
    "DELETE FROM otel_due_minutes WHERE signal = 'logs'": {"log-counts-differ"},
    f"INSERT INTO otel_edge_minutes VALUES ({T + DAY + HOUR}, {T + DAY}, 1, 2, 1, 0, false, '{{1}}', '{{1}}')": set(),
    f"INSERT INTO otel_edge_minutes VALUES ({T + DAY + HOUR}, {T + DAY + HOUR}, 1, 2, 1, 0, false, '{{1}}', '{{1}}')": {
        "edges-differ"
    },
    "UPDATE otel_spans_fact SET trace_state = 'ot=th:8' WHERE span_id = 6": {"operations-differ", "edges-differ"},
    **{
        f"UPDATE otel_{kind}_minutes SET {change}": {f"{kind}s-differ"}
        for kind in ("operation", "edge")
        for change in (
            "adjusted_calls = 2",
            "adjusted_calls = NULL",
            "adjusted_errors = 3.999999",
            "adjusted_errors = NULL",
            "adjusted_counts = '{3}'",
            "adjusted_counts = NULL",
        )
    },
} | {
    f"UPDATE otel_traces SET {change}": {"rollup-differs"}
    for change in (
        "hour_unix_nano = hour_unix_nano + 1",
        "start_time_unix_nano = start_time_unix_nano - 1",
        "end_time_unix_nano = end_time_unix_nano + 1",
        "root_start_time_unix_nano = 0",
        "root_span_id = 77",
        "root_series_id = 3",
        "root_resource_id = 3",
        "span_count = span_count + 1",
        "error_count = 0",
        "has_root = NOT has_root",
        "resource_ids = '{1, 1}'",
        "resource_ids = '{}'",
    )
}
"""A statement that does damage -> the checks that notice."""


async def checked(connection: "asyncpg.Connection[asyncpg.Record]", damage: str) -> list[str]:
    """What the check says after `damage`, which is undone."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(damage)
    lines = await check(connection)
    await transaction.rollback()
    return lines


def names(lines: list[str]) -> set[str]:
    """The names that open the lines, each once."""
    found = [line.partition(":")[0] for line in lines]
    assert len(found) == len(set(found))
    return set(found)


def test_every_check_is_run_and_damaged_here() -> None:
    assert sorted(CHECKS) == sorted(queries("integrity"))
    assert set().union(*DAMAGE.values()) == set(CHECKS)


def test_check_finds_what_is_wrong_and_nothing_else(database_url: str) -> None:
    async def session() -> None:
        connection = await asyncpg.connect(database_url)
        try:
            assert await check(connection) == [], "an empty database"
            await connection.execute(SOUND)
            assert await check(connection) == []
            for damage, noticed in DAMAGE.items():
                assert names(await checked(connection, damage)) == noticed, damage
            assert await check(connection) == []
        finally:
            await connection.close()

    asyncio.run(session())


def test_line_counts_and_shows_one(database_url: str) -> None:
    async def session() -> list[str]:
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute(SOUND)
            return [
                *await checked(connection, "UPDATE otel_exemplars SET time_unix_nano = time_unix_nano + 1"),
                *await checked(connection, f"DELETE FROM otel_traces WHERE trace_id = '{OTHER_TRACE}'"),
                *await checked(connection, "UPDATE otel_traces SET error_count = 9 WHERE has_root"),
                *await checked(connection, f"DELETE FROM otel_spans_fact WHERE trace_id = '{OTHER_TRACE}'"),
            ]
        finally:
            await connection.close()

    exemplars, missing, different, surplus = asyncio.run(session())
    assert exemplars.startswith("exemplars-miss-point: 3, such as series_id=")
    assert exemplars.endswith("ordinal=0")
    assert missing.startswith("rollup-differs: 1, such as fault=missing, expected={")
    assert missing.endswith("stored=None")
    assert different.startswith("rollup-differs: 2, such as fault=different, expected={")
    assert '"error_count": 9' in different
    assert surplus.startswith("rollup-differs: 1, such as fault=surplus, expected=None, stored={")
