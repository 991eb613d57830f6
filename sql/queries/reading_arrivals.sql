-- name: find-arrivals
-- By signal the transactions that are visible now and were not in a snapshot ($1, taken at $2 in unix seconds), and
-- where in time their records lie; the snapshot of now. Looks at ledger rows of transactions that began in the $3
-- seconds before $2 or later. Whether there is a gap: rows of that time may be pruned, which are kept for $4 seconds,
-- or the snapshot is of another server. Without a snapshot (null) nothing has arrived.
WITH clock AS (
    SELECT
        pg_current_snapshot() AS snapshot, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next,
        extract(epoch FROM statement_timestamp())::bigint AS at
), bodies AS (
    SELECT
        l.signal, l.min_key_unix_nano, l.max_key_unix_nano, l.key_ranges_unix_nano,
        -- A row has the lower half of its transaction's number.
        c.next - ((c.next - l.xmin::text::bigint) & 4294967295) AS transaction
    FROM otel_ingest_ledger AS l CROSS JOIN clock AS c
    WHERE l.committed_at > to_timestamp($2::bigint - $3::float8) AND l.min_key_unix_nano IS NOT NULL
), arrivals AS (
    SELECT
        signal, array_agg(DISTINCT transaction) AS transactions,
        range_agg(coalesce(
            key_ranges_unix_nano, int8multirange(int8range(min_key_unix_nano, max_key_unix_nano, '[]')))) AS ranges
    FROM bodies
    WHERE NOT pg_visible_in_snapshot(transaction::text::xid8, $1::text::pg_snapshot)
    GROUP BY signal
)
SELECT
    c.snapshot::text AS snapshot, c.at,
    coalesce(c.at - $2::bigint > $4::float8
        OR pg_snapshot_xmax($1::text::pg_snapshot)::text::bigint > c.next, false) AS has_gap,
    a.signal, a.transactions,
    ARRAY(SELECT lower(r) FROM unnest(a.ranges) AS u (r)) AS lows,
    ARRAY(SELECT upper(r) - 1 FROM unnest(a.ranges) AS u (r)) AS highs
FROM clock AS c LEFT JOIN arrivals AS a ON true;
