CREATE OR REPLACE VIEW v_otel_spans_enriched AS
SELECT
    otel_hex(s.span_id) AS span_id,
    otel_hex(s.trace_id) AS trace_id,
    otel_hex(s.span_id) AS span_id_hex,
    otel_hex(s.parent_span_id) AS parent_span_id_hex,
    ss.name,
    ss.kind_id,
    sk.name AS kind_name,
    s.start_time_unix_nano,
    otel_unsigned(s.end_time_unix_nano) AS end_time_unix_nano,
    otel_duration(coalesce(s.sent_start_time_unix_nano, s.start_time_unix_nano), s.end_time_unix_nano)
        AS duration_nanos,
    coalesce(s.status_code_id, 0) AS status_code_id,
    st.name AS status_name,
    s.status_message,
    r.resource_id,
    coalesce(r.service_name, 'unknown_service') AS service_name,
    r.service_namespace,
    sc.scope_id,
    sc.name AS scope_name,
    ss.attributes || coalesce(s.attributes, '{}') AS attributes,
    -- GROUP BY changes nothing here: a distributed plan asks it of an aggregate over rows of an outer one.
    coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'name', e.name,
            'time_unix_nano', otel_unsigned(e.time_unix_nano),
            'attributes', coalesce(e.attributes, '{}'),
            'dropped_attributes_count', coalesce(e.dropped_attributes_count, 0)
        ) ORDER BY e.ordinal)
        FROM otel_span_events AS e
        WHERE e.trace_id = s.trace_id AND e.span_id = s.span_id AND e.start_time_unix_nano = s.start_time_unix_nano
        GROUP BY e.trace_id
    ), '[]') AS events,
    coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'trace_id', encode(k.linked_trace_id, 'hex'),
            'span_id', encode(k.linked_span_id, 'hex'),
            'trace_state', k.trace_state,
            'attributes', coalesce(k.attributes, '{}'),
            'dropped_attributes_count', coalesce(k.dropped_attributes_count, 0),
            'flags', coalesce(k.flags & 4294967295, 0)
        ) ORDER BY k.ordinal)
        FROM otel_span_links AS k
        WHERE k.trace_id = s.trace_id AND k.span_id = s.span_id AND k.start_time_unix_nano = s.start_time_unix_nano
        GROUP BY k.trace_id
    ), '[]') AS links,
    otel_unsigned(s.sent_start_time_unix_nano) AS sent_start_time_unix_nano,
    s.trace_state,
    coalesce(s.flags & 4294967295, 0) AS flags,
    coalesce(s.dropped_attributes_count, 0) AS dropped_attributes_count,
    coalesce(s.dropped_events_count, 0) AS dropped_events_count,
    coalesce(s.dropped_links_count, 0) AS dropped_links_count,
    s.trace_id AS trace_key,
    s.series_id,
    r.attributes AS resource_attributes,
    r.schema_url AS resource_schema_url,
    sc.version AS scope_version,
    sc.attributes AS scope_attributes,
    sc.schema_url AS scope_schema_url,
    coalesce(otel_adjusted_count(s.trace_state), 1) AS adjusted_count
FROM otel_spans_fact AS s
JOIN otel_span_series_dim AS ss ON ss.series_id = s.series_id
JOIN otel_scopes_dim AS sc ON sc.scope_id = ss.scope_id
JOIN otel_resources_dim AS r ON r.resource_id = s.resource_id
LEFT JOIN span_kinds AS sk ON sk.kind_id = ss.kind_id
LEFT JOIN status_codes AS st ON st.status_code_id = coalesce(s.status_code_id, 0);

COMMENT ON VIEW v_otel_spans_enriched IS
'One row a span with its resource, scope, all attributes, events and links; filter by trace_key (the trace id as '
'uuid), which is indexed, rather than by trace_id. adjusted_count is how many spans it stands for, as its tracestate '
'(ot=th:) tells; 1 where it does not.';
