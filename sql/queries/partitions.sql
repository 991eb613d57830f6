-- name: create-partitions
-- Make the partitions of a signal that hold these keys.
SELECT otel_create_partitions($1, $2::bigint[], $3);

-- name: try-lock-dropping
-- Whether this transaction is the one that decides what is dropped.
SELECT pg_try_advisory_xact_lock(hashtext('postel-dropping'));

-- name: list-ended-ranges
-- Stretches of time that ended at or before $1 (unix nanoseconds), by signal, the oldest first.
SELECT signal, upper_unix_nano FROM otel_partition_ranges()
WHERE upper_unix_nano <= $1 AND NOT is_leaving
ORDER BY upper_unix_nano, lower_unix_nano, signal;

-- name: empty-range
-- Empty the stretch of a signal that ends at $2; the bytes it held, null where somebody uses it.
SELECT otel_empty_range($1, $2);

-- name: list-leaving
-- Partitions that are emptied and are to be dropped.
SELECT partition FROM otel_partitions WHERE is_leaving ORDER BY lower_unix_nano, parent;

-- name: drop-partition
-- Drop one that is emptied: whether it is done, null where there is nothing to do.
SELECT otel_drop_partition($1);

-- name: measure-stored
-- The bytes of everything that is Postel's, with indexes and TOAST.
SELECT coalesce(sum(bytes), 0)::bigint FROM v_otel_storage;

-- name: find-oldest-partitions
-- From when on records of each signal may be kept (unix nanoseconds).
SELECT t.signal, min(p.lower_unix_nano)
FROM otel_partitions AS p JOIN otel_partitioned_tables AS t ON t.parent = p.parent
GROUP BY t.signal;

-- name: list-unanalyzed
-- Partitioned tables that were not analysed for a day, or have twice as many rows since.
SELECT p.parent
FROM otel_partitions AS p
JOIN pg_stat_user_tables AS leaf ON leaf.relid = to_regclass(format('%I', p.partition))
JOIN pg_stat_user_tables AS whole ON whole.relid = to_regclass(format('%I', p.parent))
JOIN pg_class AS known ON known.oid = whole.relid
GROUP BY p.parent, whole.last_analyze, known.reltuples
HAVING sum(leaf.n_live_tup) > 0 AND (
    (whole.last_analyze > now() - INTERVAL '1 day') IS NOT TRUE OR sum(leaf.n_live_tup) > 2 * known.reltuples)
ORDER BY p.parent;

-- name: analyze-table
-- Analyse a partitioned table, unless somebody is at it.
SELECT otel_analyze($1);

-- name: cancel-analyze
-- End what holds up who needs a partition at once: it is tried again later.
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = 'postel analyze';
