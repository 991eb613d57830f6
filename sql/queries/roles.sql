-- name: find-team-schema
-- Whether there is a place for the views of teams, which is this deployment's: another schema may have one, too.
SELECT EXISTS (
    SELECT FROM pg_namespace AS n JOIN otel_roles AS r ON r.duty = 'owner' AND r.role = pg_get_userbyid(n.nspowner)
    WHERE n.nspname = 'otel_team');

-- name: find-team-owner
-- Whose the place for the views of teams is.
SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'otel_team';

-- name: apply-privileges
-- Grant and revoke what is due.
SELECT otel_apply_privileges();

-- name: list-roles
-- The roles of this deployment, by what they do.
SELECT duty, role FROM otel_roles;

-- name: record-roles
-- Tell which roles this deployment has.
INSERT INTO otel_roles (duty, role) VALUES ('owner', $1), ('writer', $2), ('reader', $3) ON CONFLICT DO NOTHING;

-- name: list-due-roles
-- What is left to be done for the roles ($1 owner, $2 writer, $3 reader) by one that may create roles, in this order; time-outs ($4)
-- are in milliseconds, and stay what they were set to since. Who owned the schema so far goes on as a member of its owner.
WITH home AS (
    SELECT c.relnamespace AS schema, n.nspname AS name, n.nspacl, n.nspowner, to_regrole(quote_ident($1))::oid AS owner
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = 'postel_migrations'::regclass
),
settings (role, name, value) AS (
    VALUES ($2::text, 'statement_timeout', $4::text), ($2, 'idle_in_transaction_session_timeout', $4),
    ($3::text, 'statement_timeout', $4), ($3, 'idle_in_transaction_session_timeout', $4),
    ($3, 'default_transaction_read_only', 'on')
),
members AS (
    SELECT c.relowner AS member FROM home JOIN pg_class AS c ON c.relnamespace = home.schema
    JOIN otel_privileges AS p ON p.object = c.relname
    UNION
    SELECT oid FROM pg_roles WHERE rolname = current_user
)
SELECT statement
FROM (
    SELECT 1 AS step, format('CREATE ROLE %I LOGIN', role) AS statement
    FROM unnest(ARRAY[$1::text, $2, $3]) AS wanted (role) WHERE to_regrole(quote_ident(role)) IS NULL
    UNION ALL
    SELECT 2, format('ALTER ROLE %I SET %I = %L', s.role, s.name, s.value) FROM settings AS s
    WHERE NOT EXISTS (
        SELECT FROM pg_db_role_setting AS d CROSS JOIN unnest(d.setconfig) AS given
        WHERE d.setrole = to_regrole(quote_ident(s.role)) AND d.setdatabase = 0 AND given LIKE s.name || '=%')
    UNION ALL
    SELECT 3, format('GRANT %I TO %I', $1, m.rolname)
    FROM home CROSS JOIN members JOIN pg_roles AS m ON m.oid = members.member
    WHERE NOT m.rolsuper AND m.rolname <> $1 AND pg_has_role(m.oid, home.owner, 'USAGE') IS NOT TRUE
    UNION ALL
    SELECT 4, format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', name, $1) FROM home
    WHERE has_schema_privilege(owner, schema, 'CREATE') IS NOT TRUE
    UNION ALL
    SELECT 4, format('GRANT USAGE ON SCHEMA %I TO %I', name, role)
    FROM home CROSS JOIN unnest(ARRAY[$2, $3]) AS wanted (role)
    WHERE has_schema_privilege(to_regrole(quote_ident(role))::oid, schema, 'USAGE') IS NOT TRUE
    UNION ALL
    SELECT 5, format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', name)
    FROM home CROSS JOIN aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS a
    WHERE a.grantee = 0 AND a.privilege_type = 'CREATE'
    UNION ALL
    SELECT 6, format('CREATE SCHEMA otel_team AUTHORIZATION %I', $1) WHERE to_regnamespace('otel_team') IS NULL
) AS due
ORDER BY step;

-- name: limit-lock
-- Wait for a lock no longer than others may be made to wait behind us.
SELECT set_config('lock_timeout', '100ms', true);

-- name: list-foreign-objects
-- Statements that give what belongs to others to the owner.
SELECT statement FROM otel_foreign_objects ORDER BY step, object;

-- name: grant-namespaces
-- Have the members of a role see these namespaces and no others.
SELECT otel_grant_namespaces($1, $2::text[]);
