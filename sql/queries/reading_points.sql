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
