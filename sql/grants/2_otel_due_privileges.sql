-- The difference between what is decided and what is: statements that the owner has still to execute.

CREATE OR REPLACE VIEW otel_due_privileges AS
WITH home AS (
    SELECT relnamespace AS schema FROM pg_catalog.pg_class WHERE oid = 'otel_roles'::regclass
),
roles AS (
    SELECT r.duty, g.oid AS grantee FROM otel_roles AS r JOIN pg_catalog.pg_roles AS g ON g.rolname = r.role
),
-- Another deployment, in another schema of this database, may have it.
team_schema AS (
    SELECT s.* FROM pg_catalog.pg_namespace AS s JOIN otel_roles AS r ON r.role = pg_get_userbyid(s.nspowner)
    WHERE s.nspname = 'otel_team' AND r.duty = 'owner'
),
teams AS (
    SELECT DISTINCT g.oid AS grantee
    FROM otel_namespace_grants AS n JOIN pg_catalog.pg_roles AS g ON g.rolname = n.role
),
objects AS (
    SELECT format('TABLE %s', c.oid::regclass) AS object, c.relowner AS owner,
        coalesce(c.relacl, acldefault('r', c.relowner)) AS acl, p.writer, p.reader, false AS is_team
    FROM home JOIN pg_catalog.pg_class AS c ON c.relnamespace = home.schema
    JOIN otel_privileges AS p ON p.object = c.relname AND NOT p.is_function
    UNION ALL
    SELECT format('FUNCTION %s', f.oid::regprocedure), f.proowner, coalesce(f.proacl, acldefault('f', f.proowner)),
        p.writer, p.reader, false
    FROM home JOIN pg_catalog.pg_proc AS f ON f.pronamespace = home.schema
    JOIN otel_privileges AS p ON p.object = f.proname AND p.is_function
    UNION ALL
    SELECT format('TABLE %s', c.oid::regclass), c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)),
        'SELECT', '', true
    FROM team_schema JOIN pg_catalog.pg_class AS c ON c.relnamespace = team_schema.oid AND c.relkind = 'v'
    UNION ALL
    SELECT format('SCHEMA %I', s.nspname), s.nspowner, coalesce(s.nspacl, acldefault('n', s.nspowner)),
        'USAGE', '', true
    FROM team_schema AS s
),
wanted AS (
    SELECT o.object, r.grantee, privilege
    FROM objects AS o
    JOIN roles AS r ON NOT o.is_team AND r.duty IN ('writer', 'reader') AND r.grantee <> o.owner
    CROSS JOIN regexp_split_to_table(CASE r.duty WHEN 'writer' THEN o.writer ELSE o.reader END, ', ') AS privilege
    WHERE privilege <> ''
    UNION ALL
    SELECT o.object, t.grantee, o.writer FROM objects AS o JOIN teams AS t ON o.is_team AND t.grantee <> o.owner
),
-- What others were given by hand on tables is theirs; in the schema of the teams, nothing is.
held AS (
    SELECT o.object, a.grantee, a.privilege_type AS privilege
    FROM objects AS o CROSS JOIN aclexplode(o.acl) AS a
    WHERE a.grantee <> o.owner
        AND (o.is_team OR a.grantee = 0 OR a.grantee IN (SELECT grantee FROM roles))
)
SELECT format('REVOKE %s ON %s FROM %s', h.privilege, h.object,
    CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE h.grantee::regrole::text END) AS statement
FROM held AS h
WHERE NOT EXISTS (SELECT FROM wanted AS w WHERE (w.object, w.grantee, w.privilege) = (h.object, h.grantee, h.privilege))
UNION ALL
SELECT format('GRANT %s ON %s TO %s', w.privilege, w.object, w.grantee::regrole)
FROM wanted AS w
WHERE NOT EXISTS (SELECT FROM held AS h WHERE (w.object, w.grantee, w.privilege) = (h.object, h.grantee, h.privilege))
UNION ALL
-- Else who may execute it could put tables of a temporary schema before ours.
SELECT format('ALTER FUNCTION %s SET search_path = %s, pg_temp', f.oid::regprocedure, f.pronamespace::regnamespace)
FROM home
JOIN pg_catalog.pg_proc AS f ON f.pronamespace = home.schema AND f.prosecdef AND f.proname LIKE 'otel\_%'
WHERE NOT coalesce(f.proconfig @> ARRAY[format('search_path=%s, pg_temp', f.pronamespace::regnamespace)], false);

COMMENT ON VIEW otel_due_privileges IS 'Statements that make privileges what otel_privileges says (private).';
