-- name: match-points
-- Keys of the data points of one type in a window, after a cursor ($3 to $5), of these series; null = any.
SELECT p.series_id, p.time_unix_nano
FROM __table__ AS p
WHERE p.time_unix_nano >= $1 AND p.time_unix_nano < $2
    AND ($3::bigint IS NULL OR (p.time_unix_nano, p.series_id, 0) < ($3, $4::bigint, $5::bigint))
    AND ($7::bigint[] IS NULL OR p.series_id = ANY($7));

-- name: find-points
-- Data points of one type, or their exemplars in order, by the points' keys.
SELECT __columns__
FROM unnest($1::bigint[], $2::bigint[]) AS k (series_id, time_unix_nano)
JOIN __table__ AS p USING (series_id, time_unix_nano)
WHERE p.time_unix_nano BETWEEN $3 AND $4
ORDER BY __order__;

-- name: match-exemplars
-- Exemplars of data points in a window, after a cursor ($3 to $5), of these series, this trace and span; null = any.
SELECT __columns__
FROM otel_exemplars AS e
WHERE e.time_unix_nano >= $1 AND e.time_unix_nano < $2
    AND ($3::bigint IS NULL OR (e.time_unix_nano, e.series_id, e.ordinal) < ($3, $4::bigint, $5::bigint))
    AND ($7::bigint[] IS NULL OR e.series_id = ANY($7))
    AND ($8::uuid IS NULL OR e.trace_id = $8) AND ($9::bigint IS NULL OR e.span_id = $9);

-- name: count-trace-metrics
-- How many metrics have exemplars of a trace at points from $2 to $3.
SELECT count(DISTINCT m.name)
FROM otel_exemplars AS e
JOIN otel_metric_series_dim AS s ON s.series_id = e.series_id
JOIN otel_metrics_dim AS m ON m.metric_id = s.metric_id
WHERE e.trace_id = $1 AND e.time_unix_nano >= $2 AND e.time_unix_nano < $3;
