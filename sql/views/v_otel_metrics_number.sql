CREATE OR REPLACE VIEW v_otel_metrics_number AS
SELECT
    p.series_id || ':' || p.time_unix_nano AS data_point_id,
    m.metric_id,
    m.name AS metric_name,
    m.unit,
    mt.name AS metric_type,
    p.time_unix_nano,
    otel_unsigned(p.start_time_unix_nano) AS start_time_unix_nano,
    coalesce(p.value_int, p.value_double) AS value,
    coalesce(r.service_name, 'unknown_service') AS service_name,
    r.service_namespace,
    ms.attributes,
    p.value_int,
    p.value_double,
    p.series_id,
    ms.identity_hash,
    otel_unsigned(p.sent_time_unix_nano) AS sent_time_unix_nano,
    coalesce(p.flags & 4294967295, 0) AS flags,
    m.metric_type_id,
    m.description,
    m.aggregation_temporality_id,
    at.name AS aggregation_temporality,
    m.is_monotonic,
    m.metadata,
    r.resource_id,
    r.attributes AS resource_attributes,
    r.schema_url AS resource_schema_url,
    sc.scope_id,
    sc.name AS scope_name,
    sc.version AS scope_version,
    sc.attributes AS scope_attributes,
    sc.schema_url AS scope_schema_url
FROM otel_metrics_data_points_number AS p
JOIN otel_metric_series_dim AS ms ON ms.series_id = p.series_id
JOIN otel_metrics_dim AS m ON m.metric_id = ms.metric_id
JOIN otel_resources_dim AS r ON r.resource_id = ms.resource_id
JOIN otel_scopes_dim AS sc ON sc.scope_id = ms.scope_id
LEFT JOIN metric_types AS mt ON mt.metric_type_id = m.metric_type_id
LEFT JOIN aggregation_temporalities AS at ON at.temporality_id = m.aggregation_temporality_id;

COMMENT ON VIEW v_otel_metrics_number IS
'One row a data point of a gauge or sum with its metric, resource, scope and attributes; value is null for a gap.';
