-- name: create-partitions
-- Make the partitions of a signal that hold these keys.
SELECT otel_create_partitions($1, $2::bigint[], $3);

-- name: drop-partitions
-- Drop what ended before a time.
SELECT otel_drop_partitions($1, $2);
