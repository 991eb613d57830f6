-- name: lock-backfill
-- Whether nobody else is at it; held for as long as the connection lives.
SELECT pg_try_advisory_lock(hashtext('postel-backfill'));

-- name: find-last-id
-- Where a promotion of a key under these types was cut off.
SELECT last_id FROM otel_backfills WHERE owner = $1 AND key_hash = $2 AND types = $3::text[];

-- name: save-last-id
-- Note how far it has come.
INSERT INTO otel_backfills (owner, key_hash, types, last_id) VALUES ($1, $2, $3::text[], $4)
ON CONFLICT (owner, key_hash) DO UPDATE SET types = excluded.types, last_id = excluded.last_id;

-- name: forget-last-id
-- Nothing is under way.
DELETE FROM otel_backfills WHERE owner = $1 AND key_hash = $2;

-- name: find-newest-id
-- Where a dimension ends just now.
SELECT coalesce(max(__id__), 0) FROM __table__;

-- name: count-rows
-- How many rows a dimension has after an id and up to another one.
SELECT count(*) FROM __table__ WHERE __id__ > $1 AND __id__ <= $2;

-- name: find-batch
-- The next rows of a dimension: where they end, and how many they are.
SELECT max(b.__id__) AS last_id, count(*) AS rows
FROM (SELECT __id__ FROM __table__ WHERE __id__ > $1 AND __id__ <= $2 ORDER BY __id__ LIMIT $3) AS b;

-- name: list-untyped
-- The values of a key in these rows that have no typed row.
SELECT t.__id__ AS id, t.attributes -> $3 AS value
FROM __table__ AS t
WHERE t.__id__ > $1 AND t.__id__ <= $2 AND t.attributes ? $3
    AND NOT EXISTS (SELECT FROM __typed__string AS v WHERE v.__id__ = t.__id__ AND v.key_id = $4)
    AND NOT EXISTS (SELECT FROM __typed__int AS v WHERE v.__id__ = t.__id__ AND v.key_id = $4)
    AND NOT EXISTS (SELECT FROM __typed__double AS v WHERE v.__id__ = t.__id__ AND v.key_id = $4)
    AND NOT EXISTS (SELECT FROM __typed__bool AS v WHERE v.__id__ = t.__id__ AND v.key_id = $4)
    AND NOT EXISTS (SELECT FROM __typed__bytes AS v WHERE v.__id__ = t.__id__ AND v.key_id = $4)
ORDER BY t.__id__;

-- name: lock-rows
-- Those that are still there with the key, and stay until the end: pruning and erasures wait, and take their typed rows
-- with them.
SELECT __id__ FROM __table__ WHERE __id__ = ANY($1::bigint[]) AND attributes ? $2 ORDER BY __id__ FOR KEY SHARE;

-- name: list-latest-values
-- Values of a key in the newest rows of a dimension.
SELECT t.attributes -> $1 AS value FROM __table__ AS t WHERE t.attributes ? $1 ORDER BY t.__id__ DESC LIMIT $2;

-- name: count-typed
-- How many typed rows of a key there are.
SELECT count(*) FROM __table__ WHERE key_id = $1;

-- name: delete-typed
-- Some typed rows of a key.
DELETE FROM __table__ AS t
USING (SELECT __id__ FROM __table__ WHERE key_id = $1 LIMIT $2) AS b
WHERE t.__id__ = b.__id__ AND t.key_id = $1
RETURNING t.__id__;
