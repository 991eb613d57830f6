-- name: try-lock-minutes
-- Whether this transaction is the one that works on minutes.
SELECT pg_try_advisory_xact_lock(hashtext('postel-minutes'));

-- name: claim-round
-- Whether nobody worked on minutes in the last $1 seconds.
UPDATE otel_minutes_watermark SET worked_at = now() WHERE worked_at <= now() - make_interval(secs => $1) RETURNING true;

-- name: find-committed-until
-- Up to when all bodies are committed that ever will be: $1 seconds ago, and before any writer's transaction began that is
-- still open; and an hour of those that are not marked, as marks take a while.
SELECT
    least(
        now() - make_interval(secs => $1),
        (SELECT min(a.xact_start) FROM pg_stat_activity AS a
        WHERE a.datname = current_database() AND a.application_name = 'postel writer') - INTERVAL '1 microsecond'
    ) AS all_of_them,
    (SELECT min(l.committed_at) FROM otel_ingest_ledger AS l WHERE l.committed_at > w.committed_until)
        + INTERVAL '1 hour' AS some_of_them
FROM otel_minutes_watermark AS w;

-- name: mark-minutes
-- Mark as due what bodies brought records for that were committed until $1. It has to be a later statement than the one
-- that found that time: they are all visible by then.
INSERT INTO otel_due_minutes (signal, minute_unix_nano, marked_at)
SELECT s.signal, b.minute_unix_nano, now()
FROM otel_minutes_watermark AS w
CROSS JOIN unnest(ARRAY['spans', 'logs']) AS s (signal)
CROSS JOIN otel_body_minutes(s.signal, w.committed_until, $1::timestamptz, 0, 9223372036854775807) AS b
ORDER BY 1, 2
ON CONFLICT DO NOTHING;

-- name: move-watermark
-- Minutes of bodies committed until $1 are marked.
UPDATE otel_minutes_watermark SET committed_until = greatest($1::timestamptz, committed_until);

-- name: list-due-minutes
-- The newest minutes of a signal that may be computed, $4 at most: $2 seconds after they ended; one that was marked
-- later waits once more as long as it was old then, $3 seconds at most, as more may be coming.
SELECT d.minute_unix_nano
FROM otel_due_minutes AS d
CROSS JOIN to_timestamp((d.minute_unix_nano + 60000000000) / 1e9::float8) AS ended
WHERE d.signal = $1 AND now() >= ended + make_interval(secs => $2)
    AND now() >= d.marked_at + least(d.marked_at - ended, make_interval(secs => $3))
ORDER BY d.minute_unix_nano DESC
LIMIT $4;

-- name: settle-minutes
-- Minutes of a signal that are computed in this transaction.
DELETE FROM otel_due_minutes WHERE signal = $1 AND minute_unix_nano >= $2 AND minute_unix_nano < $3
RETURNING minute_unix_nano;

-- name: forget-operations
-- Operations of minutes that are computed anew.
DELETE FROM otel_operation_minutes WHERE minute_unix_nano >= $1 AND minute_unix_nano < $2;

-- name: insert-operations
-- Operations of minutes.
INSERT INTO otel_operation_minutes (
    minute_unix_nano, resource_id, series_id, calls, errors, buckets, counts, adjusted_calls, adjusted_errors,
    adjusted_counts)
SELECT minute_unix_nano, resource_id, series_id, calls, errors, buckets, counts, adjusted_calls, adjusted_errors,
    adjusted_counts
FROM otel_count_operations($1, $2, NULL);

-- name: forget-edges
-- Edges that one end or the other of lies in minutes that are computed anew.
DELETE FROM otel_edge_minutes
WHERE (minute_unix_nano >= $1 AND minute_unix_nano < $2 OR client_minute_unix_nano >= $1 AND client_minute_unix_nano < $2)
    AND minute_unix_nano >= $1 - 60000000000 AND minute_unix_nano < $2 + 3600000000000;

-- name: insert-edges
-- Edges that one end or the other of lies in minutes.
INSERT INTO otel_edge_minutes (
    minute_unix_nano, client_minute_unix_nano, resource_id, client_resource_id, calls, errors, is_message, buckets,
    counts, adjusted_calls, adjusted_errors, adjusted_counts)
SELECT minute_unix_nano, client_minute_unix_nano, resource_id, client_resource_id, calls, errors, is_message, buckets,
    counts, adjusted_calls, adjusted_errors, adjusted_counts
FROM otel_count_edges($1, $2, 0, 9223372036854775807);

-- name: forget-log-counts
-- Counts of minutes that are computed anew.
DELETE FROM otel_log_minutes WHERE minute_unix_nano >= $1 AND minute_unix_nano < $2;

-- name: insert-log-counts
-- Counts of log records of minutes.
INSERT INTO otel_log_minutes (minute_unix_nano, resource_id, records)
SELECT minute_unix_nano, resource_id, records FROM otel_count_logs($1, $2);

-- name: count-due-minutes
-- How many minutes are due, by signal.
SELECT signal, count(*) FROM otel_due_minutes GROUP BY signal;
