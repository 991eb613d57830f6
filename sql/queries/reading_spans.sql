-- name: match-spans
-- Spans of a window, after a cursor ($3 to $5), of what else is asked for; null = any.
SELECT __columns__, otel_adjusted_count(s.trace_state) AS adjusted_count
FROM otel_spans_fact AS s
WHERE s.start_time_unix_nano >= $1 AND s.start_time_unix_nano < $2
    AND ($3::bigint IS NULL OR (s.start_time_unix_nano, s.trace_id, s.span_id) < ($3, $4::uuid, $5::bigint))
    AND ($7::bigint[] IS NULL OR s.resource_id = ANY($7))
    AND ($8::bigint[] IS NULL OR s.series_id = ANY($8))
    AND ($9::uuid IS NULL OR s.trace_id = $9)
    AND ($10::bigint IS NULL OR s.span_id = $10)
    AND ($11::int IS NULL OR coalesce(s.status_code_id, 0) = $11)
    AND ($12::bigint IS NULL OR $12 <= otel_duration(
        coalesce(s.sent_start_time_unix_nano, s.start_time_unix_nano), s.end_time_unix_nano))
    AND ($13::bigint IS NULL OR $13 >= otel_duration(
        coalesce(s.sent_start_time_unix_nano, s.start_time_unix_nano), s.end_time_unix_nano));

-- name: find-span-names
-- The names of these spans ($2) of a trace that began from $3 to $4. Of one that is stored twice the earliest is last.
SELECT s.span_id, d.name
FROM otel_spans_fact AS s JOIN otel_span_series_dim AS d ON d.series_id = s.series_id
WHERE s.trace_id = $1 AND s.span_id = ANY($2::bigint[]) AND s.start_time_unix_nano BETWEEN $3 AND $4
ORDER BY s.start_time_unix_nano DESC;

-- name: find-span-events
-- The events of these spans, in order.
SELECT __columns__
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS k (trace_id, span_id, start_time_unix_nano)
JOIN otel_span_events AS e USING (trace_id, span_id, start_time_unix_nano)
WHERE e.start_time_unix_nano BETWEEN $4 AND $5
ORDER BY e.ordinal;

-- name: find-span-links
-- The links of these spans, in order.
SELECT __columns__
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS k (trace_id, span_id, start_time_unix_nano)
JOIN otel_span_links AS e USING (trace_id, span_id, start_time_unix_nano)
WHERE e.start_time_unix_nano BETWEEN $4 AND $5
ORDER BY e.ordinal;
