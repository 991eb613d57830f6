-- name: find-line-series
-- Of these series those that have points in a window ($2 to $3), with what they are grouped by: keys ($5) of the
-- resource, of the service or of the point's attributes ($4). OFFSET keeps EXISTS a look into an index, series by series.
SELECT s.series_id, s.identity_hash, s.explicit_bounds, m.metric_type_id, m.aggregation_temporality_id, m.is_monotonic,
    m.name, m.unit, m.description,
    (SELECT jsonb_agg(CASE g.source
            WHEN 'service' THEN to_jsonb(coalesce(r.service_name, 'unknown_service'))
            WHEN 'resource' THEN r.attributes -> g.key
            ELSE s.attributes -> g.key END ORDER BY g.place)
        FROM unnest($4::text[], $5::text[]) WITH ORDINALITY AS g (source, key, place)) AS label_values
FROM otel_metric_series_dim AS s
JOIN otel_metrics_dim AS m ON m.metric_id = s.metric_id
JOIN otel_resources_dim AS r ON r.resource_id = s.resource_id
WHERE s.series_id = ANY($1::bigint[]) AND EXISTS (
    SELECT FROM __points__ AS p
    WHERE p.series_id = s.series_id AND p.time_unix_nano >= $2 AND p.time_unix_nano < $3 OFFSET 0);

-- name: read-keys
-- The keys of the points of one type.
SELECT p.series_id, p.time_unix_nano FROM __table__ AS p;

-- name: read-numbers
-- Points of gauges and sums from $1 to $2, of these series ($3): what they add to an amount, and how many they are. A
-- point with the flag NO_RECORDED_VALUE is none, and a start that is the point's own time is unknown. OFFSET keeps the
-- index of series in use, whatever these are joined with.
SELECT p.series_id, p.time_unix_nano, coalesce(p.start_time_unix_nano, p.time_unix_nano) AS start_unix_nano,
    coalesce(p.value_int, p.value_double) AS amount, 1::double precision AS weight
FROM __table__ AS p
WHERE p.time_unix_nano >= $1 AND p.time_unix_nano < $2 AND p.series_id = ANY($3::bigint[])
    AND (p.flags IS NULL OR p.flags & 1 = 0) AND (p.value_int IS NOT NULL OR p.value_double IS NOT NULL)
OFFSET 0;

-- name: read-distributions
-- As read-numbers, of histograms and summaries, where each point stands for many values.
SELECT d.series_id, d.time_unix_nano, coalesce(d.start_time_unix_nano, d.time_unix_nano) AS start_unix_nano,
    d.__amount__ AS amount, d.weight
FROM (
    SELECT p.*, p.count::double precision + CASE WHEN p.count < 0 THEN 18446744073709551616 ELSE 0 END AS weight
    FROM __table__ AS p
    WHERE p.time_unix_nano >= $1 AND p.time_unix_nano < $2 AND p.series_id = ANY($3::bigint[])
        AND (p.flags IS NULL OR p.flags & 1 = 0)
) AS d
WHERE d.__amount__ IS NOT NULL
OFFSET 0;

-- name: combine-points
-- What the points of each line ($4) and step ($5) come to by $6, and how many values that are. NaN is lowest or highest
-- only where there is nothing else.
SELECT k.line, s.step, sum(s.weight) AS weight, CASE $6
    WHEN 'min' THEN coalesce(min(nullif(s.value, 'NaN')), 'NaN')
    WHEN 'max' THEN coalesce(max(nullif(s.value, 'NaN')), 'NaN')
    ELSE sum(s.value) END AS value
FROM unnest($3::bigint[], $4::int[]) AS k (series_id, line)
JOIN (
    SELECT p.series_id, p.time_unix_nano / $5 AS step, sum(p.weight) AS weight, CASE $6
        WHEN 'min' THEN coalesce(min(nullif(p.amount, 'NaN')), 'NaN')
        WHEN 'max' THEN coalesce(max(nullif(p.amount, 'NaN')), 'NaN')
        WHEN 'count' THEN sum(p.weight)
        ELSE sum(p.amount) END AS value
    FROM __points__ AS p
    GROUP BY 1, 2
) AS s USING (series_id)
GROUP BY 1, 2;

-- name: link-points
-- The points of each stream ($4) in order, each with what its increase counts from: zero (true), the point before it
-- (false), or nothing (null). That may be $6 older than the step ($5); a stream may be reset or not ($7).
SELECT o.*, CASE
    WHEN o.time_before >= o.time_unix_nano - o.time_unix_nano % $5 - $6 THEN $7 AND (
        o.level < o.level_before OR o.start_unix_nano > o.time_before AND o.start_unix_nano < o.time_unix_nano)
    WHEN o.start_unix_nano >= o.time_unix_nano - o.time_unix_nano % $5 - $6 AND o.start_unix_nano < o.time_unix_nano
        THEN true END AS from_zero
FROM (
    SELECT p.series_id, k.stream, p.time_unix_nano, p.start_unix_nano, p.amount, p.__level__ AS level,
        lag(p.time_unix_nano) OVER w AS time_before, lag(p.amount) OVER w AS amount_before,
        lag(p.__level__) OVER w AS level_before
    FROM __points__ AS p JOIN unnest($3::bigint[], $4::int[]) AS k (series_id, stream) USING (series_id)
    WINDOW w AS (PARTITION BY k.stream ORDER BY p.time_unix_nano)
) AS o;

-- name: sum-increases
-- By how much the streams of each line grew in each step, from $8 on; $9 is the line of each stream. Null where there is
-- nothing to count from. `weight` is the increase of what tells resets, where $10 asks for an average.
SELECT ($9::int[])[s.stream + 1] AS line, s.step, sum(s.weight) AS weight, sum(s.value) AS value
FROM (
    SELECT l.stream, l.time_unix_nano / $5 AS step,
        sum(CASE l.from_zero WHEN true THEN l.amount WHEN false THEN l.amount - l.amount_before END) AS value,
        CASE $10 WHEN 'avg'
            THEN sum(CASE l.from_zero WHEN true THEN l.level WHEN false THEN l.level - l.level_before END) END AS weight
    FROM __links__ AS l
    WHERE l.time_unix_nano >= $8
    GROUP BY 1, 2
) AS s
GROUP BY 1, 2;

-- name: find-buckets
-- The points whose buckets count in steps of a line: they are added in `gained_in` and taken off in `lost_in`, where the
-- next point counts from them. What would be both in one step is left out. Parameters as in sum-increases.
SELECT ($9::int[])[b.stream + 1] AS line, b.gained_in, b.lost_in, p.series_id, __columns__
FROM (
    SELECT l.stream, l.series_id, l.time_unix_nano, CASE WHEN l.from_zero IS NOT NULL THEN l.counted_in END AS gained_in,
        CASE WHEN NOT lead(l.from_zero) OVER w THEN lead(l.counted_in) OVER w END AS lost_in
    FROM (
        SELECT n.*, CASE WHEN n.time_unix_nano >= $8 THEN n.time_unix_nano / $5 END AS counted_in FROM __links__ AS n
    ) AS l
    WINDOW w AS (PARTITION BY l.stream ORDER BY l.time_unix_nano)
) AS b
JOIN __table__ AS p ON p.series_id = b.series_id AND p.time_unix_nano = b.time_unix_nano
WHERE b.gained_in IS DISTINCT FROM b.lost_in
    AND p.time_unix_nano >= $1 AND p.time_unix_nano < $2 AND p.series_id = ANY($3::bigint[]);

-- name: find-delta-buckets
-- The points from $1 to $2 of delta series ($3) by line ($4): each counts in its own step ($5), as in find-buckets.
SELECT k.line, p.gained_in, p.lost_in, p.series_id, __columns__
FROM (
    SELECT q.*, q.time_unix_nano / $5 AS gained_in, NULL::bigint AS lost_in
    FROM __table__ AS q
    WHERE q.time_unix_nano >= $1 AND q.time_unix_nano < $2 AND q.series_id = ANY($3::bigint[])
        AND (q.flags IS NULL OR q.flags & 1 = 0)
    OFFSET 0
) AS p
JOIN unnest($3::bigint[], $4::int[]) AS k (series_id, line) USING (series_id);
