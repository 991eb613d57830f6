CREATE OR REPLACE VIEW v_otel_logs_enriched AS
SELECT
    l.log_id,
    l.time_unix_nano,
    otel_unsigned(l.observed_time_unix_nano) AS observed_time_unix_nano,
    ls.severity_number,
    ls.severity_text,
    coalesce(to_jsonb(l.body), l.body_other) AS body,
    CASE WHEN l.has_trace THEN otel_hex(l.trace_key) END AS trace_id,
    otel_hex(l.span_id) AS span_id_hex,
    r.resource_id,
    coalesce(r.service_name, 'unknown_service') AS service_name,
    r.service_namespace,
    sc.scope_id,
    sc.name AS scope_name,
    sc.version AS scope_version,
    ls.attributes || coalesce(l.attributes, '{}') AS attributes,
    ls.event_name,
    sn.name AS severity_name,
    -- The kind of AnyValue, from the stored form: what jsonb cannot carry is an object of one key that says its kind,
    -- and a double is told from an int by its decimal point or by being too large for one.
    CASE
        WHEN l.body IS NOT NULL THEN 1
        ELSE CASE jsonb_typeof(l.body_other)
            WHEN 'boolean' THEN 2
            WHEN 'number' THEN CASE
                WHEN scale(l.body_other::numeric) = 0
                    AND l.body_other::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN 3
                ELSE 4
            END
            WHEN 'array' THEN 6
            WHEN 'object' THEN CASE
                WHEN l.body_other = jsonb_build_object('doubleValue', l.body_other -> 'doubleValue') THEN 4
                WHEN l.body_other = jsonb_build_object('bytesValue', l.body_other -> 'bytesValue') THEN 5
                ELSE 7
            END
            ELSE 0
        END
    END AS body_type_id,
    otel_hex(l.span_id) AS span_id,
    coalesce(l.flags & 255, 0) AS trace_flags,
    coalesce(l.flags & 4294967295, 0) AS flags,
    coalesce(l.dropped_attributes_count, 0) AS dropped_attributes_count,
    otel_unsigned(l.sent_time_unix_nano) AS sent_time_unix_nano,
    l.trace_key,
    l.series_id,
    r.attributes AS resource_attributes,
    r.schema_url AS resource_schema_url,
    sc.attributes AS scope_attributes,
    sc.schema_url AS scope_schema_url
FROM otel_logs_fact AS l
JOIN otel_log_series_dim AS ls ON ls.series_id = l.series_id
JOIN otel_scopes_dim AS sc ON sc.scope_id = ls.scope_id
JOIN otel_resources_dim AS r ON r.resource_id = l.resource_id
LEFT JOIN log_severity_numbers AS sn ON sn.severity_number = ls.severity_number;

COMMENT ON VIEW v_otel_logs_enriched IS
'One row a log record with its resource, scope and all attributes; filter by trace_key (the trace id as uuid), which '
'is indexed, rather than by trace_id.';
