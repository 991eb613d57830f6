-- name: claim-bodies
-- Enter bodies; returns the digests that are new.
INSERT INTO otel_ingest_ledger (
    body_digest, signal, received, stored, deduplicated, dropped, rejected, message, min_key_unix_nano,
    max_key_unix_nano, key_ranges_unix_nano, claim, committed_at)
SELECT d, s, r, st, 0, dr, rj, m, lo, hi, k::int8multirange, c, now()
FROM unnest(
    $1::bytea[], $2::text[], $3::int[], $4::int[], $5::int[], $6::int[], $7::text[], $8::bigint[], $9::bigint[],
    $10::text[], $11::bigint[])
    AS n (d, s, r, st, dr, rj, m, lo, hi, k, c)
ON CONFLICT (body_digest) DO NOTHING
RETURNING body_digest;

-- name: find-answers
-- What was answered to bodies that came before.
SELECT body_digest, stored, deduplicated, rejected, message, claim FROM otel_ingest_ledger WHERE body_digest = ANY($1::bytea[]);

-- name: amend-bodies
-- The counts and the answer after records were found to be stored already, or to be refused.
UPDATE otel_ingest_ledger AS l
SET stored = n.stored, deduplicated = n.deduplicated, rejected = n.rejected, message = n.message
FROM unnest($1::bytea[], $2::int[], $3::int[], $4::int[], $5::text[])
    AS n (body_digest, stored, deduplicated, rejected, message)
WHERE l.body_digest = n.body_digest;

-- name: quarantine-records
-- Keep what was refused, with the request around it.
INSERT INTO otel_rejected_records (signal, reason, message, count, context, record)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[]);

-- name: release-record
-- A refused record has landed.
DELETE FROM otel_rejected_records WHERE rejected_id = $1;

-- name: prune-records
-- Refused records older than $1 seconds, and the oldest of those that hold more than $2 bytes together.
DELETE FROM otel_rejected_records AS r
USING (
    SELECT rejected_id, sum(150 + octet_length(message) + coalesce(octet_length(context), 0)
        + coalesce(octet_length(record), 0)) OVER (ORDER BY rejected_id DESC) AS bytes_since
    FROM otel_rejected_records
) AS s
WHERE s.rejected_id = r.rejected_id
    AND (s.bytes_since > $2 OR r.received_at < now() - make_interval(secs => $1));

-- name: measure-records
-- The bytes of all refused records.
SELECT coalesce(sum(150 + octet_length(message) + coalesce(octet_length(context), 0)
    + coalesce(octet_length(record), 0)), 0)::bigint
FROM otel_rejected_records;

-- name: list-records
-- Refused records to replay after one of them ($1): of these reasons ($2; NULL = all), refused in the last $3 seconds
-- (NULL = ever), $4 at most.
SELECT rejected_id, signal, context, record FROM otel_rejected_records
WHERE rejected_id > $1 AND record IS NOT NULL AND context IS NOT NULL
    AND (reason = ANY($2::text[]) OR $2::text[] IS NULL)
    AND (received_at > now() - make_interval(secs => $3) OR $3::float8 IS NULL)
ORDER BY rejected_id LIMIT $4;

-- name: list-expired
-- Bodies older than $1 seconds, $2 at most.
SELECT body_digest FROM otel_ingest_ledger WHERE committed_at < now() - make_interval(secs => $1) LIMIT $2;

-- name: expire-bodies
-- Of these bodies ($1) those older than $2 seconds no longer suppress a repetition; daily totals of them stay, and what
-- the minutes do not know of them yet is due.
WITH gone AS (
    DELETE FROM otel_ingest_ledger
    WHERE body_digest = ANY($1::bytea[]) AND committed_at < now() - make_interval(secs => $2)
    RETURNING *
), totals AS (
    INSERT INTO otel_ingest_totals AS t (day, signal, received, stored, deduplicated, dropped, rejected)
    SELECT (committed_at AT TIME ZONE 'UTC')::date AS day, signal, sum(received), sum(stored), sum(deduplicated),
        sum(dropped), sum(rejected)
    FROM gone GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (day, signal) DO UPDATE SET
        received = t.received + excluded.received, stored = t.stored + excluded.stored,
        deduplicated = t.deduplicated + excluded.deduplicated, dropped = t.dropped + excluded.dropped,
        rejected = t.rejected + excluded.rejected
), due AS (
    INSERT INTO otel_due_minutes (signal, minute_unix_nano, marked_at)
    SELECT g.signal, b.minute_unix_nano, now()
    FROM (SELECT signal, max(committed_at) AS newest FROM gone WHERE signal IN ('spans', 'logs') GROUP BY signal) AS g
    CROSS JOIN otel_minutes_watermark AS w
    CROSS JOIN otel_body_minutes(g.signal, w.committed_until, g.newest, 0, 9223372036854775807) AS b
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING
)
SELECT body_digest FROM gone;

-- name: read-digest-key
-- The key of body digests, and of the hashes in place of attribute values.
SELECT digest_key FROM otel_secrets;

-- name: lock-late-records
-- One transaction at a time stores records that have no natural key of their own to collide by.
SELECT pg_advisory_xact_lock(hashtext('postel-late-records'));
