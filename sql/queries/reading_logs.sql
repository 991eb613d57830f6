-- name: match-logs
-- Log records of a window, after a cursor ($3 to $5), of what else is asked for; null = any. $11 are patterns of
-- the body's text, of which only the first one counts where the body is a string. $12 is one resource or series.
SELECT __columns__
FROM otel_logs_fact AS s
WHERE s.time_unix_nano >= $1 AND s.time_unix_nano < $2
    AND s.time_unix_nano / 1000000000 BETWEEN $1 / 1000000000 AND $2 / 1000000000
    AND ($3::bigint IS NULL OR (s.time_unix_nano, s.trace_key, s.log_id) < ($3, $4::uuid, $5::bigint))
    AND ($7::bigint[] IS NULL OR s.resource_id = ANY($7))
    AND ($8::bigint[] IS NULL OR s.series_id = ANY($8))
    AND ($9::uuid IS NULL OR s.trace_key = $9 AND s.has_trace)
    AND ($10::bigint IS NULL OR s.span_id = $10)
    AND ($11::text[] IS NULL OR s.body ILIKE ($11::text[])[1] OR s.body_other::text ILIKE ANY ($11))
    AND ($12::bigint IS NULL OR s.__driver__ = $12);

-- name: match-trace-logs
-- Log records of a trace ($7) and, unless it is null, of its span $8, in a window, after a cursor ($3 to $5): the
-- earliest come first.
SELECT __columns__
FROM otel_logs_fact AS s
WHERE s.trace_key = $7 AND s.has_trace
    AND s.time_unix_nano >= $1 AND s.time_unix_nano < $2
    AND ($3::bigint IS NULL OR (s.time_unix_nano, s.trace_key, s.log_id) > ($3, $4::uuid, $5::bigint))
    AND ($8::bigint IS NULL OR s.span_id = $8);

-- name: count-trace-logs
-- How many log records a trace ($1) has, no more than $2, and how many spans these belong to.
SELECT count(*) AS logs, count(DISTINCT counted.span_id) AS spans
FROM (SELECT s.span_id FROM otel_logs_fact AS s WHERE s.trace_key = $1 AND s.has_trace LIMIT $2) AS counted;
