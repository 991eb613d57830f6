-- name: add-filters
-- Add what a process counted: signals ($1), hashes of keys ($2), how often ($3) and for how long in all ($4). No more than
-- $5 keys are kept, as they may be anything. In order, so that replicas wait for each other and do not deadlock.
INSERT INTO otel_attribute_filters AS f (signal, key_hash, filters, seconds)
SELECT c.signal, c.key_hash, c.filters, c.seconds
FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::float8[]) AS c (signal, key_hash, filters, seconds)
WHERE (SELECT count(*) FROM otel_attribute_filters) < $5 OR EXISTS (
    SELECT FROM otel_attribute_filters AS k WHERE k.signal = c.signal AND k.key_hash = c.key_hash)
ORDER BY c.signal, c.key_hash
ON CONFLICT (signal, key_hash) DO UPDATE SET
    filters = f.filters + excluded.filters, seconds = f.seconds + excluded.seconds;
