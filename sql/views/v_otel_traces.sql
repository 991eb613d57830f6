CREATE OR REPLACE VIEW v_otel_traces AS
SELECT
    otel_hex(t.trace_id) AS trace_id,
    t.start_time_unix_nano,
    w.end_time_unix_nano,
    w.end_time_unix_nano - t.start_time_unix_nano AS duration_nanos,
    w.span_count,
    w.error_count,
    ss.name AS root_span_name,
    coalesce(r.service_name, 'unknown_service') AS service_name,
    r.service_namespace,
    sk.name AS root_span_kind,
    CASE WHEN w.error_count > 0 THEN 'error' ELSE 'ok' END AS status,
    ARRAY(
        SELECT DISTINCT coalesce(any_r.service_name, 'unknown_service') AS service_name
        FROM otel_traces AS h
        CROSS JOIN unnest(h.resource_ids) AS ids (resource_id)
        JOIN otel_resources_dim AS any_r ON any_r.resource_id = ids.resource_id
        WHERE h.trace_id = t.trace_id AND h.hour_unix_nano >= t.hour_unix_nano
        ORDER BY service_name
    ) AS services,
    w.has_root,
    otel_hex(w.roots[1][1]) AS root_span_id,
    r.resource_id AS root_resource_id,
    ss.kind_id AS root_kind_id,
    t.trace_id AS trace_key
-- A trace stands where its first hour stands, so that the index on start_time_unix_nano finds and orders traces and
-- only those that are asked for are merged with their later hours; GROUP BY would merge all that are kept.
FROM otel_traces AS t
CROSS JOIN LATERAL (
    SELECT
        max(h.end_time_unix_nano) AS end_time_unix_nano,
        sum(h.span_count)::bigint AS span_count,
        sum(h.error_count)::bigint AS error_count,
        bool_or(h.has_root) AS has_root,
        array_agg(
            ARRAY[h.root_span_id, h.root_series_id, h.root_resource_id]
            ORDER BY h.has_root DESC, h.root_start_time_unix_nano, h.root_span_id
        ) AS roots
    FROM otel_traces AS h
    WHERE h.trace_id = t.trace_id AND h.hour_unix_nano >= t.hour_unix_nano
    GROUP BY h.trace_id
) AS w
JOIN otel_span_series_dim AS ss ON ss.series_id = w.roots[1][2]
JOIN otel_resources_dim AS r ON r.resource_id = w.roots[1][3]
LEFT JOIN span_kinds AS sk ON sk.kind_id = ss.kind_id
WHERE NOT EXISTS (
    SELECT FROM otel_traces AS earlier
    WHERE earlier.trace_id = t.trace_id AND earlier.hour_unix_nano < t.hour_unix_nano
);

COMMENT ON VIEW v_otel_traces IS
'One row a trace with its root span (or, while there is none, its earliest one), counts and services; end before start '
'counts as start, and trace_key (the trace id as uuid) is indexed.';
