-- name: list-other-attributes
-- What a dimension's rows have besides these keys ($4), the newest of those that have any, below an id ($5), no more
-- than $1; of rows seen since $2, of these resources ($3); null = any.
SELECT t.__id__, t.attributes - $4::text[] AS attributes FROM __table__ AS t
WHERE t.__id__ < $5 AND ($2::timestamptz IS NULL OR t.last_seen >= $2)
    AND ($3::bigint[] IS NULL OR t.__resource_id__ = ANY($3))
    AND t.attributes - $4::text[] <> '{}'
ORDER BY t.__id__ DESC
LIMIT $1;

-- name: find-attributes
-- The attributes of a dimension's rows by id.
SELECT t.__id__, t.attributes FROM __table__ AS t WHERE t.__id__ = ANY($1::bigint[]);

-- name: count-values
-- The values of a key ($4) in a dimension's rows, those of most rows first, no more than $1.
SELECT t.attributes -> $4 AS value, count(*) AS rows FROM __table__ AS t
WHERE ($2::timestamptz IS NULL OR t.last_seen >= $2) AND ($3::bigint[] IS NULL OR t.__resource_id__ = ANY($3))
    AND t.attributes ? $4
GROUP BY 1
ORDER BY 2 DESC, (t.attributes -> $4)::text
LIMIT $1;

-- name: count-distinct-values
-- How many of a dimension's newest rows, no more than $1, have each key, and how many values it has in them.
SELECT a.key, count(*) AS rows, count(DISTINCT jsonb_hash_extended(a.value, 0)) AS values
FROM (
    SELECT t.attributes FROM __table__ AS t
    WHERE ($2::timestamptz IS NULL OR t.last_seen >= $2) AND ($3::bigint[] IS NULL OR t.__resource_id__ = ANY($3))
    ORDER BY t.__id__ DESC
    LIMIT $1
) AS t
CROSS JOIN jsonb_each(t.attributes) AS a
GROUP BY a.key;

-- name: list-left-keys
-- The keys that left the series of a signal, when, and how many values each had had by then.
SELECT key, __signal___left_at AS left_at, __signal___left_values AS values FROM attribute_keys
WHERE __signal___high_cardinality;

-- name: find-signals
-- What has a key among its attributes that are stored once.
SELECT f.signal
FROM (VALUES
    ('spans', EXISTS (SELECT FROM otel_span_series_dim WHERE attributes ? $1)),
    ('logs', EXISTS (SELECT FROM otel_log_series_dim WHERE attributes ? $1)),
    ('metrics', EXISTS (SELECT FROM otel_metric_series_dim WHERE attributes ? $1)),
    ('resource', EXISTS (SELECT FROM otel_resources_dim WHERE attributes ? $1)),
    ('scope', EXISTS (SELECT FROM otel_scopes_dim WHERE attributes ? $1))
) AS f (signal, has_key)
WHERE f.has_key;
