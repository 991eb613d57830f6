-- name: claim-row-indexes
-- Enter the promoted keys of a signal whose values lie on rows: partitions that are made from now on have the index.
INSERT INTO otel_row_indexes (signal, parent, key_hash, key, is_complete)
SELECT $2, $3, key_hash, key, false FROM attribute_keys
WHERE __signal___high_cardinality AND key = ANY($1::text[])
ON CONFLICT DO NOTHING;

-- name: list-due-indexes
-- The statements that make what is missing.
SELECT statement FROM otel_row_indexes_due();

-- name: complete-row-indexes
-- Everything is made: who reads may count on it.
UPDATE otel_row_indexes SET is_complete = true
WHERE NOT is_complete AND NOT EXISTS (SELECT FROM otel_row_indexes_due());

-- name: lock-indexing
-- Whether nobody else makes indexes; held for as long as the connection lives.
SELECT pg_try_advisory_lock(hashtext('postel-indexing'));

-- name: wait-for-partitions
-- Until nobody makes partitions, who may have read the list of indexes a moment ago.
SELECT pg_advisory_xact_lock(hashtext('otel_partitions'));

-- name: release-row-index
-- The index of a key is nothing to count on any more, and partitions that are made from now on do not have it.
DELETE FROM otel_row_indexes WHERE signal = $1 AND key_hash = $2;

-- name: list-indexed-partitions
-- The partitions of a table that have the index of a key, and the statement that drops it.
SELECT p.partition, format('DROP INDEX CONCURRENTLY IF EXISTS %s', i.made) AS statement
FROM otel_partitions AS p
CROSS JOIN LATERAL (SELECT to_regclass(format('%I', p.partition || '_k' || left(encode($2, 'hex'), 16))) AS made) AS i
WHERE p.parent = $1 AND i.made IS NOT NULL
ORDER BY p.lower_unix_nano;

-- name: count-unindexed-partitions
-- How many partitions of a table lack the index of a key whose values lie on rows.
SELECT count(*)
FROM otel_partitions AS p
WHERE p.parent = $1 AND EXISTS (SELECT FROM attribute_keys WHERE key_hash = $2 AND __signal___high_cardinality)
    AND NOT EXISTS (
        SELECT FROM pg_index AS made
        WHERE made.indexrelid = to_regclass(format('%I', p.partition || '_k' || left(encode($2, 'hex'), 16)))
            AND made.indisvalid);
