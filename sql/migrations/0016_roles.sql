-- Who may do what in this database (docs/roles.md): the roles that own, write and read it, and what teams see of it.

-- The roles of this deployment; no row while one role does everything. Roles belong to the whole cluster, so that their
-- names are told here.
CREATE TABLE otel_roles (
    duty text PRIMARY KEY CHECK (duty IN ('owner', 'writer', 'reader')),
    role text NOT NULL UNIQUE
);

-- The service namespaces whose telemetry members of a role see in schema otel_team; '' = services without a namespace.
CREATE TABLE otel_namespace_grants (
    role text NOT NULL,
    namespace text NOT NULL,
    PRIMARY KEY (role, namespace)
);

-- Evaluated as the one who asks, also below the views of the owner.
CREATE VIEW otel_granted_namespaces AS
SELECT DISTINCT g.namespace
FROM otel_namespace_grants AS g
JOIN pg_catalog.pg_roles AS r ON r.rolname = g.role
WHERE pg_catalog.pg_has_role(r.oid, 'USAGE');
COMMENT ON VIEW otel_granted_namespaces IS
'The namespaces that are granted to the current user or to a role whose rights it has (private).';

-- Grants and revokes what is due (sql/grants).
CREATE FUNCTION otel_apply_privileges() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    due text;
BEGIN
    FOR due IN SELECT statement FROM otel_due_privileges LOOP
        EXECUTE due;
    END LOOP;
END $$;

-- Has the members of a role see these namespaces and no others; none: nothing at all. For the owner.
CREATE FUNCTION otel_grant_namespaces(to_role text, namespaces text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    seer text;
BEGIN
    IF to_regnamespace('otel_team') IS NULL THEN
        RAISE EXCEPTION 'there are no views for teams' USING ERRCODE = 'PO001',
            HINT = 'run `postel migrate --create-roles` first';
    END IF;
    IF namespaces <> '{}' AND to_regrole(quote_ident(to_role)) IS NULL THEN
        RAISE EXCEPTION 'there is no role "%"', to_role USING ERRCODE = 'PO001',
            HINT = format('CREATE ROLE %I LOGIN', to_role);
    END IF;
    SELECT role INTO seer FROM otel_roles
    WHERE pg_has_role(to_regrole(quote_ident(to_role)), to_regrole(quote_ident(role)), 'USAGE') LIMIT 1;
    IF namespaces <> '{}' AND seer IS NOT NULL THEN
        RAISE EXCEPTION 'role "%" has the rights of "%", which sees everything', to_role, seer
            USING ERRCODE = 'PO001', HINT = 'grant namespaces to a role that has none of them';
    END IF;
    DELETE FROM otel_namespace_grants WHERE role = to_role AND namespace <> ALL (namespaces);
    INSERT INTO otel_namespace_grants (role, namespace) SELECT DISTINCT to_role, n FROM unnest(namespaces) AS n
    ON CONFLICT DO NOTHING;
    PERFORM otel_apply_privileges();
END $$;
