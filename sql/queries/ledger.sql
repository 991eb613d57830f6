-- name: claim-bodies
-- Enter bodies; returns the digests that are new, or older than the window ($10, seconds) and so are taken anew.
INSERT INTO otel_ingest_ledger AS l (
    body_digest, signal, received, stored, deduplicated, dropped, rejected, message, min_key_unix_nano,
    max_key_unix_nano, committed_at)
SELECT d, s, r, st, 0, dr, rj, m, lo, hi, now()
FROM unnest(
    $1::bytea[], $2::text[], $3::int[], $4::int[], $5::int[], $6::int[], $7::text[], $8::bigint[], $9::bigint[])
    AS n (d, s, r, st, dr, rj, m, lo, hi)
ON CONFLICT (body_digest) DO UPDATE SET
    signal = excluded.signal, received = excluded.received, stored = excluded.stored, deduplicated = 0,
    dropped = excluded.dropped, rejected = excluded.rejected, message = excluded.message,
    min_key_unix_nano = excluded.min_key_unix_nano, max_key_unix_nano = excluded.max_key_unix_nano,
    committed_at = excluded.committed_at
WHERE l.committed_at < now() - make_interval(secs => $10)
RETURNING body_digest;

-- name: find-answers
-- What was answered to bodies that came before.
SELECT body_digest, rejected, message FROM otel_ingest_ledger WHERE body_digest = ANY($1::bytea[]);

-- name: amend-bodies
-- The counts and the answer after records were found to be stored already, or to be refused.
UPDATE otel_ingest_ledger AS l
SET stored = n.stored, deduplicated = n.deduplicated, rejected = n.rejected, message = n.message
FROM unnest($1::bytea[], $2::int[], $3::int[], $4::int[], $5::text[])
    AS n (body_digest, stored, deduplicated, rejected, message)
WHERE l.body_digest = n.body_digest;

-- name: quarantine-records
-- Keep what was refused, with the attributes of its resource.
INSERT INTO otel_rejected_records (signal, reason, message, count, resource, record)
SELECT n.signal, n.reason, n.message, n.count, d.attributes, n.record
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::text[])
    AS n (signal, reason, message, count, resource_id, record)
LEFT JOIN otel_resources_dim AS d USING (resource_id);

-- name: prune-ledger
-- Bodies that are older than the window ($1, seconds) no longer suppress a repetition; daily totals of them stay.
WITH gone AS (
    DELETE FROM otel_ingest_ledger WHERE committed_at < now() - make_interval(secs => $1) RETURNING *
)
INSERT INTO otel_ingest_totals AS t (day, signal, received, stored, deduplicated, dropped, rejected)
SELECT committed_at::date, signal, sum(received), sum(stored), sum(deduplicated), sum(dropped), sum(rejected)
FROM gone GROUP BY 1, 2
ON CONFLICT (day, signal) DO UPDATE SET
    received = t.received + excluded.received, stored = t.stored + excluded.stored,
    deduplicated = t.deduplicated + excluded.deduplicated, dropped = t.dropped + excluded.dropped,
    rejected = t.rejected + excluded.rejected;

-- name: read-digest-key
-- The key of body digests.
SELECT digest_key FROM otel_secrets;

-- name: lock-late-records
-- One transaction at a time stores records that have no natural key of their own to collide by.
SELECT pg_advisory_xact_lock(hashtext('postel-late-records'));
