-- Three namespaces for the services there are, a role that may see one of them, and the public views as they would be if
-- they were filtered themselves: all of it is undone in the end.
UPDATE otel_resources_dim SET service_namespace = 'n' || abs(hashtext(service_name)) % 3;
CREATE ROLE bench_team;
SELECT otel_grant_namespaces('bench_team', '{n1}');
CREATE SCHEMA bench_filtered;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['v_otel_traces', 'v_otel_spans_enriched', 'v_otel_logs_enriched'] LOOP
        EXECUTE format(
            'CREATE VIEW bench_filtered.%1$I WITH (security_barrier) AS SELECT v.* FROM public.%1$I AS v '
            'WHERE (SELECT pg_has_role(role, ''USAGE'') FROM otel_roles WHERE duty = ''reader'') '
            'OR coalesce(v.service_namespace, '''') = ANY (ARRAY(SELECT namespace FROM otel_granted_namespaces))', name);
    END LOOP;
END $$;
