-- name: match-traces
-- Traces by the hour they begin in, in a window, after a cursor ($3 to $5); null = any. A trace's other hours count
-- where they lie between $7 and $8, a little more than the window: what is asked for holds of the whole trace.
SELECT t.trace_id, t.start_time_unix_nano
FROM otel_traces AS t
WHERE t.start_time_unix_nano >= $1 AND t.start_time_unix_nano < $2
    AND t.hour_unix_nano >= $7 AND t.hour_unix_nano < $2
    AND ($3::bigint IS NULL OR (t.start_time_unix_nano, t.trace_id, 0) < ($3, $4::uuid, $5::bigint))
    AND NOT EXISTS (
        SELECT FROM otel_traces AS h
        WHERE h.trace_id = t.trace_id AND h.hour_unix_nano >= $7 AND h.hour_unix_nano < t.hour_unix_nano
            AND h.hour_unix_nano < $2)
    AND ($9::bigint[] IS NULL OR t.resource_ids && $9 OR EXISTS (
        SELECT FROM otel_traces AS h
        WHERE h.trace_id = t.trace_id AND h.hour_unix_nano BETWEEN t.hour_unix_nano AND $8
            AND h.hour_unix_nano >= $7 AND h.resource_ids && $9))
    AND ($10::boolean IS NULL OR $10 = (t.error_count > 0 OR EXISTS (
        SELECT FROM otel_traces AS h
        WHERE h.trace_id = t.trace_id AND h.hour_unix_nano BETWEEN t.hour_unix_nano AND $8
            AND h.hour_unix_nano >= $7 AND h.error_count > 0)))
    AND ($11::bigint IS NULL AND $12::bigint IS NULL OR (
        SELECT max(h.end_time_unix_nano) - t.start_time_unix_nano
            BETWEEN coalesce($11, 0) AND coalesce($12, 9223372036854775807)
        FROM otel_traces AS h
        WHERE h.trace_id = t.trace_id AND h.hour_unix_nano BETWEEN t.hour_unix_nano AND $8
            AND h.hour_unix_nano >= $7));

-- name: find-traces
-- Every hour from $2 to $3 of these traces.
SELECT
    trace_id, start_time_unix_nano, end_time_unix_nano, root_start_time_unix_nano, root_span_id, root_series_id,
    root_resource_id, span_count, error_count, has_root, resource_ids, hour_unix_nano
FROM otel_traces
WHERE trace_id = ANY($1::uuid[]) AND hour_unix_nano BETWEEN $2 AND $3;
