-- name: insert-key
-- The key that is promoted later on.
INSERT INTO attribute_keys (key_hash, key) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: insert-series
-- As many series ($2) that have it ($1), from before.
INSERT INTO otel_span_series_dim (series_hash, scope_id, name, kind_id, attributes)
SELECT sha256(convert_to('bench ' || n, 'UTF8')), 1, 'bench', 1, jsonb_build_object($1::text, n::text)
FROM generate_series(1, $2::int) AS n;
