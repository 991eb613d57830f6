-- name: list-storage
-- What takes place, the newest partitions first.
SELECT kind, signal, table_name, start_time_unix_nano, end_time_unix_nano, row_count, bytes, heap_bytes, toast_bytes,
    index_bytes
FROM v_otel_storage
ORDER BY start_time_unix_nano DESC NULLS LAST, table_name;

-- name: sum-stored
-- Records that were stored by signal since the day $1 (UTC), and the first day of each that any were.
SELECT signal, sum(stored)::bigint AS records, min(day) AS first_day FROM v_otel_ingest_ledger
WHERE day >= $1 AND stored > 0
GROUP BY signal;

-- name: find-first-seen
-- About when the first record was stored.
SELECT first_seen FROM otel_resources_dim ORDER BY resource_id LIMIT 1;

-- name: sample-keys
-- What each key takes in the attributes of a table's rows, in $1 per cent of its blocks, and how many rows these have. What
-- is stored of a row, compressed or not, is shared out by what its keys and values would take.
WITH sampled AS MATERIALIZED (
    SELECT t.attributes, pg_column_size(t.attributes) AS bytes FROM __table__ AS t TABLESAMPLE SYSTEM ($1) REPEATABLE (0)
)
SELECT a.key, sum(s.bytes * a.size / a.whole)::float8 AS bytes, (SELECT count(*) FROM sampled) AS rows
FROM sampled AS s
CROSS JOIN LATERAL (
    SELECT e.key, e.size, sum(e.size) OVER () AS whole
    FROM (
        SELECT key, (octet_length(key) + pg_column_size(value))::float8 AS size FROM jsonb_each(s.attributes)
    ) AS e
) AS a
GROUP BY a.key;

-- name: sample-resources
-- By resource the rows of a table in $1 per cent of its blocks.
SELECT resource_id, count(*) AS rows FROM __table__ TABLESAMPLE SYSTEM ($1) REPEATABLE (0) GROUP BY resource_id;

-- name: sample-series
-- The same where rows are of series that have the resource.
SELECT s.resource_id, sum(t.rows)::bigint AS rows
FROM (
    SELECT series_id, count(*) AS rows FROM __table__ TABLESAMPLE SYSTEM ($1) REPEATABLE (0) GROUP BY series_id
) AS t
JOIN otel_metric_series_dim AS s ON s.series_id = t.series_id
GROUP BY s.resource_id;

-- name: sum-row-indexes
-- What the indexes of promoted keys on rows take.
SELECT i.signal, i.key, coalesce(sum(pg_relation_size(c.oid)), 0)::bigint AS bytes
FROM otel_row_indexes AS i
JOIN otel_partitions AS p ON p.parent = i.parent
JOIN pg_class AS c ON c.relname = (p.partition || '_k' || left(encode(i.key_hash, 'hex'), 16))::name AND c.relkind = 'i'
GROUP BY i.signal, i.key;

-- name: find-filters
-- How often these keys were filtered on, and how long that took in all.
SELECT signal, key_hash, filters, seconds FROM otel_attribute_filters WHERE key_hash = ANY($1::bytea[]);
