-- name: spans-miss-dimensions
-- Spans whose resource or series is gone.
SELECT count(*) OVER () AS violations, s.trace_id, s.span_id, s.start_time_unix_nano, s.resource_id, s.series_id
FROM otel_spans_fact AS s
WHERE NOT EXISTS (SELECT FROM otel_resources_dim AS r WHERE r.resource_id = s.resource_id)
    OR NOT EXISTS (SELECT FROM otel_span_series_dim AS ss WHERE ss.series_id = s.series_id)
LIMIT 1;

-- name: logs-miss-dimensions
-- Logs whose resource or series is gone.
SELECT count(*) OVER () AS violations, l.log_id, l.trace_key, l.time_unix_nano, l.resource_id, l.series_id
FROM otel_logs_fact AS l
WHERE NOT EXISTS (SELECT FROM otel_resources_dim AS r WHERE r.resource_id = l.resource_id)
    OR NOT EXISTS (SELECT FROM otel_log_series_dim AS ls WHERE ls.series_id = l.series_id)
LIMIT 1;

-- name: points-miss-metric
-- Data points whose series or metric is gone, or whose metric is of a type that is kept in another table.
SELECT count(*) OVER () AS violations, p.kept_in, p.series_id, p.time_unix_nano, m.metric_type_id
FROM (
    SELECT 'number' AS kept_in, ARRAY[1, 2] AS metric_type_ids, series_id, time_unix_nano
    FROM otel_metrics_data_points_number
    UNION ALL
    SELECT 'histogram', ARRAY[3], series_id, time_unix_nano FROM otel_metrics_data_points_histogram
    UNION ALL
    SELECT 'exp_histogram', ARRAY[4], series_id, time_unix_nano FROM otel_metrics_data_points_exp_histogram
    UNION ALL
    SELECT 'summary', ARRAY[5], series_id, time_unix_nano FROM otel_metrics_data_points_summary
) AS p
LEFT JOIN otel_metric_series_dim AS ms ON ms.series_id = p.series_id
LEFT JOIN otel_metrics_dim AS m ON m.metric_id = ms.metric_id
WHERE m.metric_id IS NULL OR m.metric_type_id <> ALL (p.metric_type_ids)
LIMIT 1;

-- name: series-miss-dimensions
-- Series whose scope, resource or metric is gone.
SELECT count(*) OVER () AS violations, s.signal, s.series_id, s.scope_id, s.resource_id, s.metric_id
FROM (
    SELECT 'spans' AS signal, series_id, scope_id, NULL::bigint AS resource_id, NULL::bigint AS metric_id
    FROM otel_span_series_dim
    UNION ALL
    SELECT 'logs', series_id, scope_id, NULL, NULL FROM otel_log_series_dim
    UNION ALL
    SELECT 'metrics', series_id, scope_id, resource_id, metric_id FROM otel_metric_series_dim
) AS s
LEFT JOIN otel_scopes_dim AS sc ON sc.scope_id = s.scope_id
LEFT JOIN otel_resources_dim AS r ON r.resource_id = s.resource_id
LEFT JOIN otel_metrics_dim AS m ON m.metric_id = s.metric_id
WHERE sc.scope_id IS NULL
    OR s.signal = 'metrics' AND (r.resource_id IS NULL OR m.metric_id IS NULL)
LIMIT 1;

-- name: events-miss-span
-- Span events and links without their span.
SELECT count(*) OVER () AS violations, c.kept_in, c.trace_id, c.span_id, c.start_time_unix_nano
FROM (
    SELECT 'events' AS kept_in, trace_id, span_id, start_time_unix_nano FROM otel_span_events
    UNION ALL
    SELECT 'links', trace_id, span_id, start_time_unix_nano FROM otel_span_links
) AS c
WHERE NOT EXISTS (
    SELECT FROM otel_spans_fact AS s
    WHERE s.trace_id = c.trace_id AND s.span_id = c.span_id AND s.start_time_unix_nano = c.start_time_unix_nano
)
LIMIT 1;

-- name: exemplars-miss-point
-- Exemplars without their data point; a summary's point has none.
SELECT count(*) OVER () AS violations, e.series_id, e.time_unix_nano, e.ordinal
FROM otel_exemplars AS e
WHERE NOT EXISTS (
        SELECT FROM otel_metrics_data_points_number AS p
        WHERE p.series_id = e.series_id AND p.time_unix_nano = e.time_unix_nano
    ) AND NOT EXISTS (
        SELECT FROM otel_metrics_data_points_histogram AS p
        WHERE p.series_id = e.series_id AND p.time_unix_nano = e.time_unix_nano
    ) AND NOT EXISTS (
        SELECT FROM otel_metrics_data_points_exp_histogram AS p
        WHERE p.series_id = e.series_id AND p.time_unix_nano = e.time_unix_nano
    )
LIMIT 1;

-- name: rollup-differs
-- Rows of otel_traces that are missing, surplus, or other than what the spans add up to.
WITH
-- Both in the order of the table's columns; resource_ids are a set, kept in any order.
expected AS (
    SELECT * FROM otel_count_traces(NULL, 0, 9223372036854775807)
),
stored AS (
    SELECT
        trace_id, hour_unix_nano, start_time_unix_nano, end_time_unix_nano,
        root_start_time_unix_nano, root_span_id, root_series_id, root_resource_id,
        span_count, error_count, has_root,
        ARRAY(SELECT id FROM unnest(otel_traces.resource_ids) AS ids (id) ORDER BY id) AS resource_ids
    FROM otel_traces
)
SELECT
    count(*) OVER () AS violations,
    CASE WHEN s.trace_id IS NULL THEN 'missing' WHEN e.trace_id IS NULL THEN 'surplus' ELSE 'different' END AS fault,
    to_jsonb(e) AS expected,
    to_jsonb(s) AS stored
FROM expected AS e
FULL JOIN stored AS s ON s.trace_id = e.trace_id AND s.hour_unix_nano = e.hour_unix_nano
WHERE ROW(e.*) IS DISTINCT FROM ROW(s.*)
LIMIT 1;

-- name: split-traces-unmarked
-- Rows of traces that have another one within a day and do not say so.
SELECT count(*) OVER () AS violations, t.trace_id, t.hour_unix_nano
FROM otel_traces AS t
WHERE t.is_split IS NOT TRUE AND EXISTS (
    SELECT FROM otel_traces AS o
    WHERE o.trace_id = t.trace_id AND o.hour_unix_nano <> t.hour_unix_nano
        AND o.hour_unix_nano BETWEEN t.hour_unix_nano - 86400000000000 AND t.hour_unix_nano + 86400000000000)
LIMIT 1;

-- name: spans-lack-identity
-- Spans whose trace id or span id is all zero: such are refused.
SELECT count(*) OVER () AS violations, trace_id, span_id, start_time_unix_nano
FROM otel_spans_fact
WHERE trace_id = '00000000-0000-0000-0000-000000000000' OR span_id = 0
LIMIT 1;

-- name: logs-contradict-themselves
-- Logs whose trace_key is neither a trace id nor a made one (uuid v7), as has_trace says, or that have two bodies.
SELECT count(*) OVER () AS violations, log_id, trace_key, time_unix_nano, has_trace
FROM otel_logs_fact
WHERE has_trace AND trace_key = '00000000-0000-0000-0000-000000000000'
    OR NOT has_trace AND substr(trace_key::text, 15, 1) <> '7'
    OR body IS NOT NULL AND body_other IS NOT NULL
LIMIT 1;

-- name: points-contradict-themselves
-- Data points and exemplars with two values, or with both forms of one list of counts.
SELECT count(*) OVER () AS violations, p.kept_in, p.series_id, p.time_unix_nano
FROM (
    SELECT 'number' AS kept_in, series_id, time_unix_nano
    FROM otel_metrics_data_points_number
    WHERE value_int IS NOT NULL AND value_double IS NOT NULL
    UNION ALL
    SELECT 'histogram', series_id, time_unix_nano
    FROM otel_metrics_data_points_histogram
    WHERE bucket_counts IS NOT NULL AND bucket_counts_wide IS NOT NULL
    UNION ALL
    SELECT 'exp_histogram', series_id, time_unix_nano
    FROM otel_metrics_data_points_exp_histogram
    WHERE positive_bucket_counts IS NOT NULL AND positive_bucket_counts_wide IS NOT NULL
        OR negative_bucket_counts IS NOT NULL AND negative_bucket_counts_wide IS NOT NULL
    UNION ALL
    SELECT 'exemplars', series_id, time_unix_nano
    FROM otel_exemplars
    WHERE value_int IS NOT NULL AND value_double IS NOT NULL
) AS p
LIMIT 1;

-- name: resource-attributes-dangle
-- Promoted attributes of a resource that is gone, under a key that is gone, or that resource does not have.
SELECT count(*) OVER () AS violations, a.kind, a.resource_id, a.key_id, k.key
FROM (
    SELECT 'string' AS kind, resource_id, key_id FROM otel_resource_attrs_string
    UNION ALL
    SELECT 'int', resource_id, key_id FROM otel_resource_attrs_int
    UNION ALL
    SELECT 'double', resource_id, key_id FROM otel_resource_attrs_double
    UNION ALL
    SELECT 'bool', resource_id, key_id FROM otel_resource_attrs_bool
    UNION ALL
    SELECT 'bytes', resource_id, key_id FROM otel_resource_attrs_bytes
) AS a
LEFT JOIN otel_resources_dim AS d ON d.resource_id = a.resource_id
LEFT JOIN attribute_keys AS k ON k.key_id = a.key_id
WHERE (d.attributes ? k.key) IS NOT TRUE
LIMIT 1;

-- name: scope-attributes-dangle
-- Promoted attributes of a scope that is gone, under a key that is gone, or that scope does not have.
SELECT count(*) OVER () AS violations, a.kind, a.scope_id, a.key_id, k.key
FROM (
    SELECT 'string' AS kind, scope_id, key_id FROM otel_scope_attrs_string
    UNION ALL
    SELECT 'int', scope_id, key_id FROM otel_scope_attrs_int
    UNION ALL
    SELECT 'double', scope_id, key_id FROM otel_scope_attrs_double
    UNION ALL
    SELECT 'bool', scope_id, key_id FROM otel_scope_attrs_bool
    UNION ALL
    SELECT 'bytes', scope_id, key_id FROM otel_scope_attrs_bytes
) AS a
LEFT JOIN otel_scopes_dim AS d ON d.scope_id = a.scope_id
LEFT JOIN attribute_keys AS k ON k.key_id = a.key_id
WHERE (d.attributes ? k.key) IS NOT TRUE
LIMIT 1;

-- name: span-series-attributes-dangle
-- Promoted attributes of a span series that is gone, under a key that is gone, or that span series does not have.
SELECT count(*) OVER () AS violations, a.kind, a.series_id, a.key_id, k.key
FROM (
    SELECT 'string' AS kind, series_id, key_id FROM otel_span_series_attrs_string
    UNION ALL
    SELECT 'int', series_id, key_id FROM otel_span_series_attrs_int
    UNION ALL
    SELECT 'double', series_id, key_id FROM otel_span_series_attrs_double
    UNION ALL
    SELECT 'bool', series_id, key_id FROM otel_span_series_attrs_bool
    UNION ALL
    SELECT 'bytes', series_id, key_id FROM otel_span_series_attrs_bytes
) AS a
LEFT JOIN otel_span_series_dim AS d ON d.series_id = a.series_id
LEFT JOIN attribute_keys AS k ON k.key_id = a.key_id
WHERE (d.attributes ? k.key) IS NOT TRUE
LIMIT 1;

-- name: log-series-attributes-dangle
-- Promoted attributes of a log series that is gone, under a key that is gone, or that log series does not have.
SELECT count(*) OVER () AS violations, a.kind, a.series_id, a.key_id, k.key
FROM (
    SELECT 'string' AS kind, series_id, key_id FROM otel_log_series_attrs_string
    UNION ALL
    SELECT 'int', series_id, key_id FROM otel_log_series_attrs_int
    UNION ALL
    SELECT 'double', series_id, key_id FROM otel_log_series_attrs_double
    UNION ALL
    SELECT 'bool', series_id, key_id FROM otel_log_series_attrs_bool
    UNION ALL
    SELECT 'bytes', series_id, key_id FROM otel_log_series_attrs_bytes
) AS a
LEFT JOIN otel_log_series_dim AS d ON d.series_id = a.series_id
LEFT JOIN attribute_keys AS k ON k.key_id = a.key_id
WHERE (d.attributes ? k.key) IS NOT TRUE
LIMIT 1;

-- name: metric-series-attributes-dangle
-- Promoted attributes of a metric series that is gone, under a key that is gone, or that metric series does not have.
SELECT count(*) OVER () AS violations, a.kind, a.series_id, a.key_id, k.key
FROM (
    SELECT 'string' AS kind, series_id, key_id FROM otel_metric_series_attrs_string
    UNION ALL
    SELECT 'int', series_id, key_id FROM otel_metric_series_attrs_int
    UNION ALL
    SELECT 'double', series_id, key_id FROM otel_metric_series_attrs_double
    UNION ALL
    SELECT 'bool', series_id, key_id FROM otel_metric_series_attrs_bool
    UNION ALL
    SELECT 'bytes', series_id, key_id FROM otel_metric_series_attrs_bytes
) AS a
LEFT JOIN otel_metric_series_dim AS d ON d.series_id = a.series_id
LEFT JOIN attribute_keys AS k ON k.key_id = a.key_id
WHERE (d.attributes ? k.key) IS NOT TRUE
LIMIT 1;

-- name: ledger-loses-count
-- Ledger rows and daily totals in which received is not stored + deduplicated + dropped + rejected.
SELECT count(*) OVER () AS violations, kept_in, signal, received, stored, deduplicated, dropped, rejected
FROM (
    SELECT 'ledger' AS kept_in, signal, received, stored, deduplicated, dropped, rejected FROM otel_ingest_ledger
    UNION ALL
    SELECT 'totals', signal, received, stored, deduplicated, dropped, rejected FROM otel_ingest_totals
) AS l
WHERE received <> stored::bigint + deduplicated + dropped + rejected
LIMIT 1;

-- name: operations-differ
-- Operations of settled minutes that are missing, surplus, or other than what the spans add up to.
SELECT
    count(*) OVER () AS violations,
    CASE WHEN s.series_id IS NULL THEN 'missing' WHEN e.series_id IS NULL THEN 'surplus' ELSE 'different' END AS fault,
    to_jsonb(e) AS expected,
    to_jsonb(s) AS stored
FROM otel_count_operations(0, 9000000000000000000, NULL) AS e
FULL JOIN otel_operation_minutes AS s
    ON s.minute_unix_nano = e.minute_unix_nano AND s.resource_id = e.resource_id AND s.series_id = e.series_id
LEFT JOIN otel_unsettled_minutes('spans', 0, 9000000000000000000) AS u
    ON u.minute_unix_nano = coalesce(e.minute_unix_nano, s.minute_unix_nano)
WHERE u.minute_unix_nano IS NULL AND ROW(e.*) IS DISTINCT FROM ROW(s.*)
LIMIT 1;

-- name: edges-differ
-- Calls and messages between settled minutes that are missing, surplus, or other than what the spans add up to.
WITH expected AS (
    SELECT minute_unix_nano, client_minute_unix_nano, resource_id, client_resource_id, calls, errors, is_message,
        buckets, counts, adjusted_calls, adjusted_errors, adjusted_counts
    FROM otel_count_edges(0, 9000000000000000000, 0, 9000000000000000000)
),
unsettled AS MATERIALIZED (
    SELECT minute_unix_nano FROM otel_unsettled_minutes('spans', 0, 9000000000000000000)
)
SELECT
    count(*) OVER () AS violations,
    CASE WHEN s.resource_id IS NULL THEN 'missing' WHEN e.resource_id IS NULL THEN 'surplus' ELSE 'different' END
        AS fault,
    to_jsonb(e) AS expected,
    to_jsonb(s) AS stored
FROM expected AS e
FULL JOIN otel_edge_minutes AS s
    ON s.minute_unix_nano = e.minute_unix_nano AND s.client_minute_unix_nano = e.client_minute_unix_nano
    AND s.resource_id = e.resource_id AND s.client_resource_id = e.client_resource_id
    AND s.is_message = e.is_message
LEFT JOIN unsettled AS u ON u.minute_unix_nano = coalesce(e.minute_unix_nano, s.minute_unix_nano)
LEFT JOIN unsettled AS cu
    ON cu.minute_unix_nano = coalesce(e.client_minute_unix_nano, s.client_minute_unix_nano)
WHERE u.minute_unix_nano IS NULL AND cu.minute_unix_nano IS NULL AND ROW(e.*) IS DISTINCT FROM ROW(s.*)
LIMIT 1;

-- name: log-counts-differ
-- Counts of logs in settled minutes that are missing, surplus, or other than what the logs add up to.
SELECT
    count(*) OVER () AS violations,
    CASE WHEN s.resource_id IS NULL THEN 'missing' WHEN e.resource_id IS NULL THEN 'surplus' ELSE 'different' END
        AS fault,
    to_jsonb(e) AS expected,
    to_jsonb(s) AS stored
FROM otel_count_logs(0, 9000000000000000000) AS e
FULL JOIN otel_log_minutes AS s ON s.minute_unix_nano = e.minute_unix_nano AND s.resource_id = e.resource_id
LEFT JOIN otel_unsettled_minutes('logs', 0, 9000000000000000000) AS u
    ON u.minute_unix_nano = coalesce(e.minute_unix_nano, s.minute_unix_nano)
WHERE u.minute_unix_nano IS NULL AND ROW(e.*) IS DISTINCT FROM ROW(s.*)
LIMIT 1;
