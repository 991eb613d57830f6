-- name: find-resources
-- Resources by id.
SELECT resource_id, service_name, service_namespace, schema_url, dropped_attributes_count, attributes, entity_refs
FROM otel_resources_dim WHERE resource_id = ANY($1::bigint[]);

-- name: find-services
-- The services of resources by id.
SELECT resource_id, service_name, service_namespace FROM otel_resources_dim WHERE resource_id = ANY($1::bigint[]);

-- name: find-scopes
-- Scopes by id.
SELECT scope_id, name, version, schema_url, dropped_attributes_count, attributes
FROM otel_scopes_dim WHERE scope_id = ANY($1::bigint[]);

-- name: find-span-series
-- Span series by id.
SELECT series_id, scope_id, kind_id, name, attributes
FROM otel_span_series_dim WHERE series_id = ANY($1::bigint[]);

-- name: find-log-series
-- Log series by id.
SELECT series_id, scope_id, severity_number, severity_text, event_name, attributes
FROM otel_log_series_dim WHERE series_id = ANY($1::bigint[]);

-- name: find-metric-series
-- Metric series by id.
SELECT series_id, metric_id, resource_id, scope_id, identity_hash, attributes, explicit_bounds, quantiles
FROM otel_metric_series_dim WHERE series_id = ANY($1::bigint[]);

-- name: find-metrics
-- Metrics by id.
SELECT metric_id, metric_type_id, aggregation_temporality_id, is_monotonic, name, unit, description, metadata
FROM otel_metrics_dim WHERE metric_id = ANY($1::bigint[]);

-- name: match-resources
-- Resources of these services and namespaces; null = any. A service without a name has an invented one.
SELECT resource_id, attributes FROM otel_resources_dim
WHERE ($1::text[] IS NULL OR service_name = ANY($1) OR service_name IS NULL AND 'unknown_service' = ANY($1))
    AND ($2::text[] IS NULL OR coalesce(service_namespace, '') = ANY($2));

-- name: match-scopes
-- Every scope, for filters to be put around.
SELECT scope_id, attributes FROM otel_scopes_dim;

-- name: match-span-series
-- Span series of these scopes, names and kinds; null = any.
SELECT series_id, attributes FROM otel_span_series_dim
WHERE ($1::bigint[] IS NULL OR scope_id = ANY($1)) AND ($2::text[] IS NULL OR name = ANY($2))
    AND ($3::int[] IS NULL OR kind_id = ANY($3));

-- name: match-span-series-of-type
-- Span series without a key that begins as one of an earlier semantic type does ($2), and whether they have one that
-- begins as one of this type does ($1). Every key of a series is registered: it is quicker to look for whole keys.
SELECT d.series_id, coalesce(d.attributes ?| k.own, false) AS fits
FROM otel_span_series_dim AS d, (
    SELECT array_agg(key) FILTER (WHERE key ^@ ANY($1::text[])) AS own,
        array_agg(key) FILTER (WHERE key ^@ ANY($2::text[])) AS earlier
    FROM attribute_keys) AS k
WHERE NOT coalesce(d.attributes ?| k.earlier, false);

-- name: match-log-series
-- Log series of these scopes, from a severity on, of these event names; null = any.
SELECT series_id, attributes FROM otel_log_series_dim
WHERE ($1::bigint[] IS NULL OR scope_id = ANY($1)) AND ($2::int IS NULL OR severity_number >= $2)
    AND ($3::text[] IS NULL OR event_name = ANY($3));

-- name: match-metric-series
-- Series of these metrics, resources and scopes, with their metric's type; null = any.
SELECT s.series_id, m.metric_type_id, s.attributes
FROM otel_metrics_dim AS m JOIN otel_metric_series_dim AS s ON s.metric_id = m.metric_id
WHERE ($1::text[] IS NULL OR m.name = ANY($1)) AND ($2::bigint[] IS NULL OR s.resource_id = ANY($2))
    AND ($3::bigint[] IS NULL OR s.scope_id = ANY($3));

-- name: list-metrics
-- Metrics by name, of these names and resources, seen since $3; null = any. Another description is the same metric.
SELECT m.name, m.metric_identity_hash, min(m.metric_type_id) AS metric_type_id, min(m.unit) AS unit,
    min(m.aggregation_temporality_id) AS aggregation_temporality_id, bool_or(m.is_monotonic) AS is_monotonic,
    (array_agg(m.description ORDER BY m.last_seen DESC))[1] AS description, max(m.last_seen) AS last_seen,
    count(DISTINCT s.identity_hash) AS series_count
FROM otel_metrics_dim AS m JOIN otel_metric_series_dim AS s ON s.metric_id = m.metric_id
WHERE ($1::text[] IS NULL OR m.name = ANY($1)) AND ($2::bigint[] IS NULL OR s.resource_id = ANY($2))
    AND ($3::timestamptz IS NULL OR m.last_seen >= $3)
GROUP BY m.name, m.metric_identity_hash
ORDER BY m.name COLLATE "C", m.metric_identity_hash;

-- name: list-services
-- Services with their resources.
SELECT coalesce(service_name, 'unknown_service') AS service_name, service_namespace,
    array_agg(resource_id) AS resource_ids, max(last_seen) AS last_seen
FROM otel_resources_dim
WHERE $1::text[] IS NULL OR coalesce(service_namespace, '') = ANY($1)
GROUP BY 1, 2
ORDER BY 1, 2 NULLS FIRST;

-- name: list-metric-names
-- The names of all metrics.
SELECT DISTINCT name FROM otel_metrics_dim;

-- name: list-label-keys
-- Keys of the attributes of these series, seen since $2 (null = ever): a page of $3 from the place $4 on.
SELECT k.key, count(*) OVER () AS total
FROM (
    SELECT DISTINCT jsonb_object_keys(s.attributes) AS key
    FROM otel_metric_series_dim AS s
    WHERE s.series_id = ANY($1::bigint[]) AND ($2::timestamptz IS NULL OR s.last_seen >= $2)
) AS k
ORDER BY k.key COLLATE "C"
LIMIT $3 OFFSET $4;

-- name: list-label-values
-- Values of the key $5 in the same way, numbers first. What JSON takes for equal, 1 and 1.0, may differ in its text.
SELECT v.value, count(*) OVER () AS total
FROM (
    SELECT DISTINCT ON ((s.attributes -> $5)::text) s.attributes -> $5 AS value
    FROM otel_metric_series_dim AS s
    WHERE s.series_id = ANY($1::bigint[]) AND ($2::timestamptz IS NULL OR s.last_seen >= $2) AND s.attributes ? $5
) AS v
ORDER BY CASE WHEN jsonb_typeof(v.value) = 'number' THEN v.value::numeric END, v.value #>> '{}' COLLATE "C"
LIMIT $3 OFFSET $4;

-- name: list-service-names
-- What services are called.
SELECT DISTINCT service_name FROM otel_services ORDER BY service_name;
