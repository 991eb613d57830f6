-- For each public view that tells the service's namespace, the same view for teams, with the rows of theirs only: what
-- they ask is computed after that, whatever it is (security_barrier), and what is granted is looked up once a query.

DO $$
DECLARE
    shown record;
BEGIN
    FOR shown IN
        SELECT c.oid::regclass AS view, c.relname AS name, obj_description(c.oid, 'pg_class') AS description
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'service_namespace'
        WHERE c.relkind = 'v' AND c.relname LIKE 'v\_otel\_%'
            AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'otel_roles'::regclass)
            -- Of a trace the root alone is not all that there is to see: it has a file of its own.
            AND c.relname <> 'v_otel_traces'
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE VIEW otel_team.%I WITH (security_barrier) AS SELECT v.* FROM %s AS v '
            'WHERE coalesce(v.service_namespace, '''') = ANY (ARRAY(SELECT namespace FROM otel_granted_namespaces))',
            shown.name, shown.view);
        EXECUTE format('COMMENT ON VIEW otel_team.%I IS %L', shown.name, shown.description);
    END LOOP;
END $$;
