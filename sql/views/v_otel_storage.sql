CREATE OR REPLACE VIEW v_otel_storage AS
SELECT
    CASE
        WHEN t.parent = 'otel_traces' OR t.parent LIKE '%\_minutes' THEN 'rollups'
        WHEN t.parent IS NOT NULL THEN 'records'
        WHEN t.name LIKE '%\_dim' OR t.name LIKE '%\_attrs\_%' THEN 'dimensions'
        WHEN t.name LIKE 'otel\_ingest\_%' THEN 'ledger'
        WHEN t.name = 'otel_rejected_records' THEN 'quarantine'
        ELSE 'registry'
    END AS kind,
    CASE
        WHEN t.parent IS NOT NULL THEN t.signal
        WHEN t.name LIKE 'otel\_span\_%' THEN 'spans'
        WHEN t.name LIKE 'otel\_log\_%' THEN 'logs'
        WHEN t.name LIKE 'otel\_metric%' THEN 'metrics'
        WHEN t.name LIKE 'otel\_resource%' THEN 'resource'
        WHEN t.name LIKE 'otel\_scope%' THEN 'scope'
    END AS signal,
    coalesce(t.parent, t.name) AS table_name,
    CASE WHEN t.parent IS NOT NULL THEN t.name END AS partition_name,
    t.lower_unix_nano AS start_time_unix_nano,
    t.upper_unix_nano AS end_time_unix_nano,
    -- As the planner does: the last count's rows a page, times the pages of now. What was never counted tells what was
    -- written to it.
    CASE
        WHEN t.relpages > 0 THEN round(t.reltuples::float8 / t.relpages
            * (s.main_bytes / current_setting('block_size')::int))::bigint
        ELSE pg_stat_get_live_tuples(t.oid)
    END AS row_count,
    s.table_bytes + s.index_bytes AS bytes,
    s.table_bytes - s.toast_bytes AS heap_bytes,
    s.toast_bytes,
    s.index_bytes
FROM (
    SELECT c.oid, c.relname::text AS name, c.relpages, c.reltuples, c.reltoastrelid, p.parent, p.lower_unix_nano,
        p.upper_unix_nano, k.signal
    FROM pg_class AS c
    LEFT JOIN otel_partitions AS p ON p.partition = c.relname::text
    LEFT JOIN otel_partitioned_tables AS k ON k.parent = p.parent
    WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'otel_partitions'::regclass)
        AND (c.relname LIKE 'otel\_%' OR c.relname IN (
            'attribute_keys', 'postel_migrations', 'span_kinds', 'status_codes', 'log_severity_numbers', 'log_body_types',
            'metric_types', 'aggregation_temporalities'))
) AS t
-- Table and indexes together are pg_total_relation_size, which looks at the files of both. Each of these is null where
-- the table is gone by then.
CROSS JOIN LATERAL (
    SELECT pg_relation_size(t.oid) AS main_bytes, pg_table_size(t.oid) AS table_bytes,
        pg_indexes_size(t.oid) AS index_bytes,
        CASE WHEN t.reltoastrelid = 0 THEN 0 ELSE pg_total_relation_size(t.reltoastrelid) END AS toast_bytes
    OFFSET 0
) AS s
WHERE s.main_bytes + s.table_bytes + s.index_bytes + s.toast_bytes IS NOT NULL;

COMMENT ON VIEW v_otel_storage IS
'One row a partition of records or rollups (by its time range), and one for each other table: bytes are measured, '
'rows are as PostgreSQL''s statistics have them.';
