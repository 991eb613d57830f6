-- name: find-dimensions
-- Ids of known rows by hash, and which of them were not confirmed lately.
SELECT __hash__, __id__, last_seen < now() - INTERVAL '10 minutes' AS stale
FROM __table__ WHERE __hash__ = ANY($1::bytea[]);

-- name: touch-dimensions
-- Confirm that rows are in use, so that pruning spares them; many replicas write once in ten minutes.
UPDATE __table__ SET last_seen = now()
WHERE __hash__ = ANY($1::bytea[]) AND last_seen < now() - INTERVAL '10 minutes';

-- name: insert-resources
-- Resources that are not known yet.
INSERT INTO otel_resources_dim (
    resource_hash, service_name, service_namespace, schema_url, dropped_attributes_count, attributes, entity_refs)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::jsonb[], $7::jsonb[])
ON CONFLICT DO NOTHING RETURNING resource_hash, resource_id;

-- name: insert-scopes
-- Scopes that are not known yet.
INSERT INTO otel_scopes_dim (scope_hash, name, version, schema_url, dropped_attributes_count, attributes)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::jsonb[])
ON CONFLICT DO NOTHING RETURNING scope_hash, scope_id;

-- name: insert-metrics
-- Metrics that are not known yet.
INSERT INTO otel_metrics_dim (
    metric_hash, metric_identity_hash, name, metric_type_id, unit, aggregation_temporality_id, is_monotonic,
    description, metadata)
SELECT * FROM unnest(
    $1::bytea[], $2::bytea[], $3::text[], $4::int[], $5::text[], $6::int[], $7::boolean[], $8::text[], $9::jsonb[])
ON CONFLICT DO NOTHING RETURNING metric_hash, metric_id;

-- name: insert-span-series
-- Span series that are not known yet.
INSERT INTO otel_span_series_dim (series_hash, scope_id, name, kind_id, attributes)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::int[], $5::jsonb[])
ON CONFLICT DO NOTHING RETURNING series_hash, series_id;

-- name: insert-log-series
-- Log series that are not known yet.
INSERT INTO otel_log_series_dim (series_hash, scope_id, severity_number, severity_text, event_name, attributes)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::jsonb[])
ON CONFLICT DO NOTHING RETURNING series_hash, series_id;

-- name: insert-metric-series
-- Metric series that are not known yet; bounds and quantiles come as array literals (unnest would flatten arrays).
INSERT INTO otel_metric_series_dim (
    series_hash, identity_hash, metric_id, resource_id, scope_id, attributes, explicit_bounds, quantiles)
SELECT h, i, m, r, s, a, b::double precision[], q::double precision[]
FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::jsonb[], $7::text[], $8::text[])
    AS t (h, i, m, r, s, a, b, q)
ON CONFLICT DO NOTHING RETURNING series_hash, series_id;

-- name: insert-typed-attributes
-- Promoted attributes of new dimension rows, of one type.
INSERT INTO __table__ SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::__type__[]) ON CONFLICT DO NOTHING;

-- name: list-unconfirmed
-- Rows that were not confirmed for $1 seconds.
SELECT __id__ FROM __table__ WHERE last_seen < now() - make_interval(secs => $1) ORDER BY __id__;

-- name: prune-dimensions
-- Rows that nothing can point to any more; rechecked under the row's lock, so that a touch in the meantime spares it.
DELETE FROM __table__ WHERE __id__ = ANY($1::bigint[]) AND last_seen < now() - make_interval(secs => $2)
RETURNING __id__;

-- name: prune-typed-attributes
-- The promoted attributes of pruned rows.
DELETE FROM __table__ WHERE __id__ = ANY($1::bigint[]);

-- name: find-keys
-- Ids of registered attribute keys.
SELECT key_hash, key_id FROM attribute_keys WHERE key_hash = ANY($1::bytea[]);

-- name: insert-keys
-- Register attribute keys.
INSERT INTO attribute_keys (key_hash, key) SELECT * FROM unnest($1::bytea[], $2::text[])
ON CONFLICT DO NOTHING RETURNING key_hash, key_id;

-- name: list-high-keys
-- The verdict so far, of all replicas.
SELECT key FROM attribute_keys WHERE __signal___high_cardinality;

-- name: mark-keys
-- Keys that have values on rows, and how many values each had when it left the series (0: it did not); some never lay in
-- a series.
INSERT INTO attribute_keys AS k (
    key_hash, key, __signal___on_row, __signal___high_cardinality, __signal___left_values, __signal___left_at)
SELECT h, n, true, v > 0, nullif(v, 0), CASE WHEN v > 0 THEN now() END
FROM unnest($1::bytea[], $2::text[], $3::bigint[]) AS t (h, n, v)
ON CONFLICT (key_hash) DO UPDATE SET
    __signal___on_row = true,
    __signal___high_cardinality = k.__signal___high_cardinality OR excluded.__signal___high_cardinality,
    __signal___left_values = coalesce(k.__signal___left_values, excluded.__signal___left_values),
    __signal___left_at = coalesce(k.__signal___left_at, excluded.__signal___left_at)
WHERE NOT k.__signal___on_row OR excluded.__signal___high_cardinality > k.__signal___high_cardinality;
