-- For each public view that tells the service's namespace, the same view for teams, with the rows of theirs only: what
-- they ask is computed after that, whatever it is (security_barrier), and what is granted is looked up once a query.

-- A value as it is. Volatile, so that no condition on it goes below a view where EXPLAIN ANALYZE would count the rows of
-- others that meet it, from which every value can be guessed letter by letter; in the plan nothing is left of it.
CREATE OR REPLACE FUNCTION otel_team.otel_shown(value anyelement) RETURNS anyelement
LANGUAGE sql VOLATILE PARALLEL SAFE AS 'SELECT $1';

DO $$
DECLARE
    shown record;
BEGIN
    FOR shown IN
        SELECT c.oid::regclass AS view, c.relname AS name, obj_description(c.oid, 'pg_class') AS description,
            (
                -- Times and ids may go down, to the indexes. No operator of jsonb or numeric may, and they cost most.
                SELECT string_agg(
                    format(CASE
                        WHEN o.attname ~ '(_id|_hex|_key|time_unix_nano)$' OR o.atttypid::regtype IN ('jsonb', 'numeric')
                            THEN 'v.%1$I'
                        ELSE 'otel_team.otel_shown(v.%1$I) AS %1$I'
                    END, o.attname), ', ' ORDER BY o.attnum)
                FROM pg_attribute AS o WHERE o.attrelid = c.oid AND o.attnum > 0
            ) AS columns
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'service_namespace'
        WHERE c.relkind = 'v' AND c.relname LIKE 'v\_otel\_%'
            AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'otel_roles'::regclass)
            -- Of a trace the root alone is not all that there is to see: it has a file of its own.
            AND c.relname <> 'v_otel_traces'
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE VIEW otel_team.%I WITH (security_barrier) AS SELECT %s FROM %s AS v '
            'WHERE coalesce(v.service_namespace, '''') = ANY (ARRAY(SELECT namespace FROM otel_granted_namespaces))',
            shown.name, shown.columns, shown.view);
        EXECUTE format('COMMENT ON VIEW otel_team.%I IS %L', shown.name, shown.description);
    END LOOP;
END $$;
