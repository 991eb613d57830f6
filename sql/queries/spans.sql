-- name: upsert-traces
-- Add spans to the rollup of their traces; the rows come sorted by trace id and hour.
INSERT INTO otel_traces AS t (
    trace_id, hour_unix_nano, start_time_unix_nano, end_time_unix_nano, root_start_time_unix_nano, root_span_id,
    root_series_id, root_resource_id, span_count, error_count, has_root, resource_ids)
SELECT
    trace_id, hour_unix_nano, start_time_unix_nano, end_time_unix_nano, root_start_time_unix_nano, root_span_id,
    root_series_id, root_resource_id, span_count, error_count, has_root, resource_ids::bigint[]
FROM unnest(
    $1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::boolean[], $12::text[])
    AS n (
        trace_id, hour_unix_nano, start_time_unix_nano, end_time_unix_nano, root_start_time_unix_nano, root_span_id,
        root_series_id, root_resource_id, span_count, error_count, has_root, resource_ids)
ON CONFLICT (trace_id, hour_unix_nano) DO UPDATE SET
    start_time_unix_nano = least(t.start_time_unix_nano, excluded.start_time_unix_nano),
    end_time_unix_nano = greatest(t.end_time_unix_nano, excluded.end_time_unix_nano),
    (root_start_time_unix_nano, root_span_id, root_series_id, root_resource_id, has_root) = (
        SELECT r.* FROM (VALUES
            (t.root_start_time_unix_nano, t.root_span_id, t.root_series_id, t.root_resource_id, t.has_root),
            (excluded.root_start_time_unix_nano, excluded.root_span_id, excluded.root_series_id,
                excluded.root_resource_id, excluded.has_root)) AS r
        ORDER BY r.column5 DESC, r.column1, r.column2 LIMIT 1),
    span_count = t.span_count + excluded.span_count,
    error_count = t.error_count + excluded.error_count,
    resource_ids = CASE WHEN t.resource_ids @> excluded.resource_ids THEN t.resource_ids ELSE ARRAY(
        SELECT DISTINCT id FROM unnest(t.resource_ids || excluded.resource_ids) AS u (id) ORDER BY id) END;
