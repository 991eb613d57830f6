-- What people ask the views; $1 and $2 are the times of a minute in the middle, $3 is a trace.
-- name: one trace by trace_key
SELECT * FROM v_otel_spans_enriched
WHERE trace_key = $3::uuid AND start_time_unix_nano BETWEEN $1::bigint - 3600000000000 AND $2::bigint + 3600000000000
ORDER BY start_time_unix_nano;

-- name: logs of one trace
SELECT * FROM v_otel_logs_enriched
WHERE trace_key = $3::uuid AND time_unix_nano BETWEEN $1::bigint - 3600000000000 AND $2::bigint + 3600000000000;

-- name: count of the spans of a minute
SELECT count(*) FROM v_otel_spans_enriched
WHERE start_time_unix_nano >= $1 AND start_time_unix_nano < $2 AND $3::uuid IS NOT NULL;

-- name: newest 20 spans of a minute, all columns
SELECT * FROM v_otel_spans_enriched
WHERE start_time_unix_nano >= $1 AND start_time_unix_nano < $2 AND $3::uuid IS NOT NULL
ORDER BY start_time_unix_nano DESC LIMIT 20;

-- name: average duration by operation, all
SELECT name, avg(duration_nanos) FROM v_otel_spans_enriched
WHERE start_time_unix_nano BETWEEN $1::bigint - 3600000000000 AND $2::bigint + 3600000000000 AND $3::uuid IS NOT NULL
GROUP BY name;

-- name: newest 20 traces of a minute
SELECT * FROM v_otel_traces
WHERE start_time_unix_nano >= $1 AND start_time_unix_nano < $2 AND $3::uuid IS NOT NULL
ORDER BY start_time_unix_nano DESC LIMIT 20;

-- name: newest 20 traces, all
SELECT * FROM v_otel_traces
WHERE start_time_unix_nano > $1::bigint - 3600000000000 AND $2::bigint > 0 AND $3::uuid IS NOT NULL
ORDER BY start_time_unix_nano DESC LIMIT 20;

-- name: 20 errors of a minute joined with the spans of their traces
SELECT s.name, l.body
FROM (
    SELECT * FROM v_otel_logs_enriched
    WHERE time_unix_nano >= $1 AND time_unix_nano < $2 AND severity_number >= 17 AND $3::uuid IS NOT NULL LIMIT 20
) AS l
JOIN v_otel_spans_enriched AS s ON s.trace_key = l.trace_key;
