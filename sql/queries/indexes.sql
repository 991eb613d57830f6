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
