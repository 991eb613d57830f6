-- name: find-spans
-- Spans (or their children) that are stored under these keys.
SELECT __columns__ FROM __table__ AS f
JOIN unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS k (trace_id, span_id, start_time_unix_nano)
    USING (trace_id, span_id, start_time_unix_nano)
WHERE f.start_time_unix_nano BETWEEN $4 AND $5;

-- name: find-late-spans
-- Spans that are filed under their receipt, by the time they were sent with.
SELECT __columns__ FROM otel_spans_fact AS f
JOIN unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS k (trace_id, span_id, sent_start_time_unix_nano)
    USING (trace_id, span_id, sent_start_time_unix_nano)
WHERE f.sent_start_time_unix_nano IS NOT NULL;

-- name: find-points
-- Data points (or their exemplars) that are stored under these keys.
SELECT __columns__ FROM __table__ AS f
JOIN unnest($1::bigint[], $2::bigint[]) AS k (series_id, time_unix_nano) USING (series_id, time_unix_nano)
WHERE f.time_unix_nano BETWEEN $3 AND $4;

-- name: find-late-points
-- Data points that are filed under their receipt, by the time they were sent with.
SELECT __columns__ FROM __table__ AS f
JOIN unnest($1::bigint[], $2::bigint[]) AS k (series_id, sent_time_unix_nano) USING (series_id, sent_time_unix_nano)
WHERE f.sent_time_unix_nano IS NOT NULL;

-- name: read-span-series
-- What spans of these series have in common.
SELECT series_id, scope_id, name, kind_id, attributes FROM otel_span_series_dim WHERE series_id = ANY($1::bigint[]);
