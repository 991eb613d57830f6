-- What does not belong to the owner of otel_roles yet: tables with their partitions, then views, then functions.

CREATE OR REPLACE VIEW otel_foreign_objects AS
WITH home AS (
    SELECT c.relnamespace AS schema, o.oid AS owner, o.rolname,
        (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'otel_team' AND nspowner = o.oid) AS team_schema
    FROM pg_catalog.pg_class AS c
    CROSS JOIN otel_roles AS r
    JOIN pg_catalog.pg_roles AS o ON o.rolname = r.role
    WHERE c.oid = 'otel_roles'::regclass AND r.duty = 'owner'
),
relations AS (
    SELECT c.oid FROM home
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = home.schema AND c.relkind IN ('r', 'p', 'v')
    JOIN otel_privileges AS p ON p.object = c.relname AND NOT p.is_function
)
SELECT CASE c.relkind WHEN 'v' THEN 2 ELSE 1 END AS step, c.oid::regclass::text AS object,
    format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, home.rolname) AS statement
FROM home
CROSS JOIN (
    SELECT oid FROM relations
    UNION
    SELECT i.inhrelid FROM relations AS r JOIN pg_catalog.pg_inherits AS i ON i.inhparent = r.oid
    UNION
    SELECT v.oid FROM home JOIN pg_catalog.pg_class AS v ON v.relnamespace = home.team_schema AND v.relkind = 'v'
) AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.oid AND c.relkind IN ('r', 'p', 'v')
WHERE c.relowner <> home.owner
UNION ALL
SELECT 3, f.oid::regprocedure::text, format('ALTER FUNCTION %s OWNER TO %I', f.oid::regprocedure, home.rolname)
FROM home
JOIN pg_catalog.pg_proc AS f ON f.pronamespace IN (home.schema, home.team_schema)
    AND f.proname LIKE 'otel\_%' AND f.proowner <> home.owner;

COMMENT ON VIEW otel_foreign_objects IS 'Statements that give the rest of Postel''s objects to their owner (private).';
