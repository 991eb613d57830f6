CREATE OR REPLACE VIEW v_otel_exemplars AS
SELECT
    e.series_id || ':' || e.time_unix_nano AS data_point_id,
    e.ordinal,
    m.metric_id,
    m.name AS metric_name,
    m.unit,
    mt.name AS metric_type,
    e.time_unix_nano,
    otel_unsigned(e.exemplar_time_unix_nano) AS exemplar_time_unix_nano,
    coalesce(e.value_int, e.value_double) AS value,
    e.value_int,
    e.value_double,
    otel_hex(e.trace_id) AS trace_id,
    otel_hex(e.span_id) AS span_id,
    otel_hex(e.span_id) AS span_id_hex,
    r.resource_id,
    coalesce(r.service_name, 'unknown_service') AS service_name,
    r.service_namespace,
    ms.attributes,
    coalesce(e.attributes, '{}') AS filtered_attributes,
    e.trace_id AS trace_key,
    e.series_id,
    r.attributes AS resource_attributes
FROM otel_exemplars AS e
JOIN otel_metric_series_dim AS ms ON ms.series_id = e.series_id
JOIN otel_metrics_dim AS m ON m.metric_id = ms.metric_id
JOIN otel_resources_dim AS r ON r.resource_id = ms.resource_id
LEFT JOIN metric_types AS mt ON mt.metric_type_id = m.metric_type_id;

COMMENT ON VIEW v_otel_exemplars IS
'One row an exemplar with its data point''s time, metric, resource and attributes; filter by trace_key (the trace id '
'as uuid), which is indexed, rather than by trace_id.';
