-- name: match-traces
-- Traces that have one row, in a window, after a cursor ($3 to $5), of what else is asked for; null = any.
SELECT t.trace_id, t.start_time_unix_nano
FROM otel_traces AS t
WHERE t.is_split IS NOT TRUE
    AND t.start_time_unix_nano >= $1 AND t.start_time_unix_nano < $2
    AND t.hour_unix_nano BETWEEN $7 AND $8 AND t.hour_unix_nano < $2
    AND ($3::bigint IS NULL OR (t.start_time_unix_nano, t.trace_id, 0) < ($3, $4::uuid, $5::bigint))
    AND ($9::bigint[] IS NULL OR t.resource_ids && $9)
    AND ($10::bigint[] IS NULL OR t.root_resource_id = ANY($10))
    AND ($11::boolean IS NULL OR $11 = (t.error_count > 0))
    AND ($12::bigint IS NULL OR t.end_time_unix_nano - t.start_time_unix_nano >= $12)
    AND ($13::bigint IS NULL OR t.end_time_unix_nano - t.start_time_unix_nano <= $13)
    AND ($14::uuid[] IS NULL OR t.trace_id = ANY($14));

-- name: match-split-traces
-- The same of traces that have rows in several hours: each by the first one, between $7 and $8, a little more than the
-- window. What is asked for holds of the whole trace.
SELECT t.trace_id, t.start_time_unix_nano
FROM otel_traces AS t
CROSS JOIN LATERAL (
    SELECT
        min(h.hour_unix_nano) AS first_hour_unix_nano,
        max(h.end_time_unix_nano) - t.start_time_unix_nano AS duration_nano,
        sum(h.error_count) AS error_count,
        bool_or(h.resource_ids && $9) AS has_service,
        (array_agg(h.root_resource_id ORDER BY h.has_root DESC, h.root_start_time_unix_nano, h.root_span_id))[1]
            AS root_resource_id
    FROM otel_traces AS h
    WHERE h.trace_id = t.trace_id AND h.hour_unix_nano BETWEEN $7 AND $8
) AS w
WHERE t.is_split
    AND t.start_time_unix_nano >= $1 AND t.start_time_unix_nano < $2
    AND t.hour_unix_nano >= $7 AND t.hour_unix_nano < $2
    AND ($3::bigint IS NULL OR (t.start_time_unix_nano, t.trace_id, 0) < ($3, $4::uuid, $5::bigint))
    AND ($14::uuid[] IS NULL OR t.trace_id = ANY($14))
    AND w.first_hour_unix_nano = t.hour_unix_nano
    AND ($9::bigint[] IS NULL OR w.has_service)
    AND ($10::bigint[] IS NULL OR w.root_resource_id = ANY($10))
    AND ($11::boolean IS NULL OR $11 = (w.error_count > 0))
    AND ($12::bigint IS NULL OR w.duration_nano >= $12)
    AND ($13::bigint IS NULL OR w.duration_nano <= $13);

-- name: find-traces
-- Every hour from $2 to $3 of these traces.
SELECT
    trace_id, start_time_unix_nano, end_time_unix_nano, root_start_time_unix_nano, root_span_id, root_series_id,
    root_resource_id, span_count, error_count, has_root, resource_ids, hour_unix_nano
FROM otel_traces
WHERE trace_id = ANY($1::uuid[]) AND hour_unix_nano BETWEEN $2 AND $3;
