-- name: insert-resource
-- A resource of J2.
INSERT INTO resources (schema_url, attributes) VALUES ($1, $2) RETURNING id;

-- name: insert-scope
-- A scope of J2.
INSERT INTO scopes (name, version, schema_url, attributes) VALUES ($1, $2, $3, $4) RETURNING id;

-- name: insert-seed-key
-- The id of an attribute key of the seed's registry.
INSERT INTO attribute_keys (key) VALUES ($1) RETURNING key_id;

-- name: insert-seed-resource
-- A resource of the seed.
INSERT INTO otel_resources_dim (
    resource_hash, service_name, service_namespace, schema_url, first_seen, last_seen, dropped_attributes_count)
VALUES ($1, $2, $3, $4, now(), now(), $5) RETURNING resource_id;

-- name: insert-seed-scope
-- A scope of the seed.
INSERT INTO otel_scopes_dim (
    scope_hash, name, version, schema_url, first_seen, last_seen, dropped_attributes_count)
VALUES ($1, $2, $3, $4, now(), now(), $5) RETURNING scope_id;

-- name: insert-seed-metric
-- A metric of the seed, known by its hash with and its hash without the description.
INSERT INTO otel_metrics_dim (
    metric_hash, metric_identity_hash, name, metric_type_id, unit, aggregation_temporality_id, is_monotonic,
    description, first_seen, last_seen)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now(), now()) RETURNING metric_id;

-- name: take-ids
-- A block of ids of a sequence.
SELECT nextval($1::text::regclass) FROM generate_series(1, $2::int);

-- name: describe-tables
-- The columns of tables, in the order in which they are stored: (table, columns, what makes a plain table of them).
SELECT
    c.relname::text AS name,
    array_agg(a.attname::text ORDER BY a.attnum) AS columns,
    format('CREATE TABLE %I (%s)', c.relname,
        string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)) AS ddl
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relname = ANY($1::text[]) AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY c.relname;

-- name: list-indexes
-- The indexes of J2's tables that hold nothing unique, with what makes each.
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS ddl
FROM pg_index
WHERE indrelid = ANY(ARRAY['spans', 'logs', 'points']::regclass[]) AND NOT indisunique;
