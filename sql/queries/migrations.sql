-- name: lock-schema
-- One migration at a time.
SELECT pg_advisory_xact_lock(hashtext('postel-migrations'));

-- name: create-migrations
-- What was applied.
CREATE TABLE IF NOT EXISTS postel_migrations (
    version int PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now(),
    name text NOT NULL,
    checksum text NOT NULL
);

-- name: become-owner
-- Go on as the role that the schema belongs to, so that what is made now belongs to it, too.
SELECT set_config('role', r.rolname, true)
FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
WHERE c.oid = to_regclass('postel_migrations') AND r.rolname <> current_user;

-- name: list-migrations
-- What was applied, to find what is missing.
SELECT version, checksum FROM postel_migrations;

-- name: record-migration
-- Enter an applied script.
INSERT INTO postel_migrations (version, name, checksum) VALUES ($1, $2, $3);

-- name: find-version
-- Whether anything was ever applied.
SELECT to_regclass('postel_migrations')::text;

-- name: read-version
-- The newest applied version.
SELECT max(version) FROM postel_migrations;

-- name: may-migrate
-- Whether this role may make the schema: it owns it, or may create in it where there is none yet.
SELECT CASE WHEN to_regclass('postel_migrations') IS NULL THEN has_schema_privilege(current_schema(), 'CREATE')
    ELSE pg_has_role((SELECT relowner FROM pg_class WHERE oid = to_regclass('postel_migrations')), 'USAGE') END;

-- name: is-read-only
-- Whether nothing can be written here: a standby, or a primary that was turned read-only.
SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean;

-- name: count-partitions-ahead
-- Signals that have no partition for a time (unix nanoseconds).
SELECT DISTINCT t.signal FROM otel_partitioned_tables AS t
WHERE NOT EXISTS (
    SELECT FROM otel_partitions AS p
    WHERE p.parent = t.parent AND $1 >= p.lower_unix_nano AND $1 < p.upper_unix_nano);
