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
-- Keep what was refused.
INSERT INTO otel_rejected_records (signal, reason, message, count, resource, record)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::jsonb[], $6::text[]);

-- name: read-digest-key
-- The key of body digests.
SELECT digest_key FROM otel_secrets;

-- name: lock-late-records
-- One transaction at a time stores records that have no natural key of their own to collide by.
SELECT pg_advisory_xact_lock(hashtext('postel-late-records'));
