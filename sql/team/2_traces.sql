-- A trace as the spans of the team's own services tell it; only where it begins is told by all of its spans, as that is
-- what it is filed under.

CREATE OR REPLACE VIEW otel_team.v_otel_traces WITH (security_barrier) AS
SELECT
    otel_hex(t.trace_id) AS trace_id,
    t.start_time_unix_nano,
    own.end_time_unix_nano,
    own.end_time_unix_nano - t.start_time_unix_nano AS duration_nanos,
    own.span_count,
    own.error_count,
    otel_team.otel_shown(ss.name) AS root_span_name,
    otel_team.otel_shown(coalesce(r.service_name, 'unknown_service')) AS service_name,
    otel_team.otel_shown(r.service_namespace) AS service_namespace,
    sk.name AS root_span_kind,
    CASE WHEN own.error_count > 0 THEN 'error' ELSE 'ok' END AS status,
    ARRAY(
        SELECT DISTINCT coalesce(any_r.service_name, 'unknown_service') AS service_name
        FROM otel_resources_dim AS any_r
        WHERE any_r.resource_id = ANY (own.resource_ids)
        ORDER BY service_name
    ) AS services,
    own.has_root,
    otel_hex(own.roots[1][1]) AS root_span_id,
    r.resource_id AS root_resource_id,
    ss.kind_id AS root_kind_id,
    t.trace_id AS trace_key
FROM otel_traces AS t
CROSS JOIN LATERAL (
    SELECT
        max(otel_effective_end(s.start_time_unix_nano, s.sent_start_time_unix_nano, s.end_time_unix_nano))
            AS end_time_unix_nano,
        count(*) AS span_count,
        count(*) FILTER (WHERE s.status_code_id = 2) AS error_count,
        bool_or(s.parent_span_id IS NULL) AS has_root,
        array_agg(DISTINCT s.resource_id) AS resource_ids,
        array_agg(
            ARRAY[s.span_id, s.series_id, s.resource_id]
            ORDER BY s.parent_span_id IS NULL DESC, s.start_time_unix_nano, s.span_id
        ) AS roots
    FROM otel_spans_fact AS s
    WHERE s.trace_id = t.trace_id AND s.start_time_unix_nano >= t.hour_unix_nano
        AND s.resource_id = ANY (ARRAY(
            SELECT resource_id FROM otel_resources_dim
            WHERE coalesce(service_namespace, '') = ANY (ARRAY(SELECT namespace FROM otel_granted_namespaces))))
    GROUP BY s.trace_id
) AS own
JOIN otel_span_series_dim AS ss ON ss.series_id = own.roots[1][2]
JOIN otel_resources_dim AS r ON r.resource_id = own.roots[1][3]
LEFT JOIN span_kinds AS sk ON sk.kind_id = ss.kind_id
WHERE NOT EXISTS (
        SELECT FROM otel_traces AS earlier
        WHERE earlier.trace_id = t.trace_id AND earlier.hour_unix_nano < t.hour_unix_nano
    )
    -- Spares the look-up of spans where there are none to be found.
    AND (
        t.resource_ids && ARRAY(
            SELECT resource_id FROM otel_resources_dim
            WHERE coalesce(service_namespace, '') = ANY (ARRAY(SELECT namespace FROM otel_granted_namespaces)))
        OR EXISTS (
            SELECT FROM otel_traces AS h
            WHERE h.trace_id = t.trace_id AND h.hour_unix_nano > t.hour_unix_nano
                AND h.resource_ids && ARRAY(
                    SELECT resource_id FROM otel_resources_dim
                    WHERE coalesce(service_namespace, '') = ANY (ARRAY(SELECT namespace FROM otel_granted_namespaces)))
        )
    )
-- A question's order does not reach what is computed before it: in this one the newest are found by the index, and only
-- they are put together.
ORDER BY t.start_time_unix_nano DESC;

COMMENT ON VIEW otel_team.v_otel_traces IS
'One row a trace that has spans of services that are yours, put together of these alone: its root is the earliest of '
'them where the trace''s own is another''s (has_root is false); filter by trace_key and start_time_unix_nano.';
