-- name: upsert-traces
-- Add spans to the rollup of their traces; the rows come sorted by trace id and hour, and say whether others of the trace
-- come with them. Returns the traces that have rows in several hours from $14 to $15.
WITH added AS (
    INSERT INTO otel_traces AS t (
        trace_id, hour_unix_nano, start_time_unix_nano, end_time_unix_nano, root_start_time_unix_nano, root_span_id,
        root_series_id, root_resource_id, span_count, error_count, has_root, resource_ids, is_split)
    SELECT
        n.trace_id, n.hour_unix_nano, n.start_time_unix_nano, n.end_time_unix_nano, n.root_start_time_unix_nano,
        n.root_span_id, n.root_series_id, n.root_resource_id, n.span_count, n.error_count, n.has_root,
        n.resource_ids::bigint[],
        n.is_split OR EXISTS (
            SELECT FROM otel_traces AS o
            WHERE o.trace_id = n.trace_id AND o.hour_unix_nano <> n.hour_unix_nano
                AND o.hour_unix_nano BETWEEN $14 AND $15)
    FROM unnest(
        $1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::bigint[], $11::boolean[], $12::text[], $13::boolean[])
        AS n (
            trace_id, hour_unix_nano, start_time_unix_nano, end_time_unix_nano, root_start_time_unix_nano,
            root_span_id, root_series_id, root_resource_id, span_count, error_count, has_root, resource_ids, is_split)
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
        is_split = coalesce(t.is_split, false) OR excluded.is_split,
        resource_ids = CASE WHEN t.resource_ids @> excluded.resource_ids THEN t.resource_ids ELSE ARRAY(
            SELECT DISTINCT id FROM unnest(t.resource_ids || excluded.resource_ids) AS u (id) ORDER BY id) END
    RETURNING trace_id, is_split
)
SELECT trace_id FROM added WHERE is_split;

-- name: mark-split-traces
-- Say of all rows of these traces, from one hour to another, that there are several.
UPDATE otel_traces SET is_split = true
WHERE trace_id = ANY($1::uuid[]) AND hour_unix_nano BETWEEN $2 AND $3 AND is_split IS NOT TRUE;

-- name: find-split-traces
-- Traces of a window of start times that have rows in several hours and are not marked: two transactions that were
-- under way at the same time did not see each other's.
SELECT trace_id FROM otel_traces
WHERE start_time_unix_nano >= $1 AND start_time_unix_nano < $2 AND hour_unix_nano BETWEEN $1 - 3600000000000 AND $2
GROUP BY trace_id HAVING count(*) > 1 AND NOT bool_and(coalesce(is_split, false));
