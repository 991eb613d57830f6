-- name: start-erasure
-- Enter an erasure: of these signals ($1), by criteria of this digest ($2).
INSERT INTO otel_erasures (signals, criteria_digest) VALUES ($1, $2) RETURNING erasure_id;

-- name: count-erased
-- Add to what an erasure has erased, in the transaction that erased it.
UPDATE otel_erasures SET __column__ = __column__ + $2 WHERE erasure_id = $1;

-- name: end-erasure
-- It came to its end.
UPDATE otel_erasures SET ended_at = now() WHERE erasure_id = $1;

-- name: count-rewritten
-- Rows of dimensions that were ever rewritten: when it grows, whoever remembers ids forgets them.
SELECT coalesce(sum(dimension_rows), 0)::bigint FROM otel_erasures;

-- name: match-records
-- Records filed from $1 to $2, for conditions to be put around.
SELECT __columns__ FROM __table__ AS t WHERE t.__time__ >= $1 AND t.__time__ < $2;

-- name: match-children
-- Keys of records filed from $1 to $2 of which an event, a link or an exemplar has the attribute.
SELECT __key__ FROM __table__ AS t
WHERE t.__time__ >= $1 AND t.__time__ < $2 AND otel_matches(t.attributes -> __name__::text, 'eq', __wanted__::jsonb[]);

-- name: match-nothing
-- What has no children.
SELECT __key__ FROM __table__ AS t WHERE false;

-- name: keep-carriers
-- Records that have the attribute: on their resource; around them, where their scope or their metric is their series'; on
-- the row or else in the series; or on what is theirs.
SELECT m.* FROM __matches__ AS m
WHERE m.resource_id = ANY (__resources__::bigint[])
    OR m.series_id = ANY (__around__::bigint[])
    OR CASE WHEN m.attributes ? __name__::text
        THEN otel_matches(m.attributes -> __name__::text, 'eq', __wanted__::jsonb[])
        ELSE m.series_id = ANY (__series__::bigint[]) END
    OR (__key__) IN (SELECT __key__ FROM __children__ AS c);

-- name: list-records
-- Keys of what is matched, no more than __most__.
SELECT __key__ FROM __matches__ AS m LIMIT __most__;

-- name: count-records
-- How many are matched.
SELECT count(*) FROM __matches__ AS m;

-- name: list-carriers
-- Rows of a dimension that have the attribute.
SELECT t.__id__ FROM __table__ AS t
WHERE t.__attributes__ @> ANY ($1::jsonb[]) AND otel_matches(t.__attributes__ -> $2::text, 'eq', $3::jsonb[]);

-- name: list-dependents
-- Series that point to one of these rows, and to which.
SELECT t.series_id, t.__column__ FROM __table__ AS t WHERE t.__column__ = ANY ($1::bigint[]);

-- name: list-used
-- Those of these ids that records point to.
SELECT u.id FROM unnest($1::bigint[]) AS u (id) WHERE EXISTS (SELECT FROM __table__ AS f WHERE f.__column__ = u.id);

-- name: remove-attributes
-- Take attributes away from rows of a dimension.
UPDATE __table__ SET __attributes__ = __attributes__ - $2::text[] WHERE __id__ = ANY ($1::bigint[]);

-- name: rename-services
-- A resource's service is called what its attributes say.
UPDATE otel_resources_dim SET
    service_name = CASE WHEN attributes ? 'service.name' THEN service_name END,
    service_namespace = CASE WHEN attributes ? 'service.namespace' THEN service_namespace END
WHERE resource_id = ANY ($1::bigint[]);

-- name: delete-typed-attributes
-- Promoted attributes of these rows under keys of these hashes.
DELETE FROM __table__ WHERE __id__ = ANY ($1::bigint[])
    AND key_id IN (SELECT k.key_id FROM attribute_keys AS k WHERE k.key_hash = ANY ($2::bytea[]));

-- name: replace-hashes
-- Rows of a dimension under other hashes, by which nothing finds them.
UPDATE __table__ AS t SET __hash__ = n.hash FROM unnest($1::bigint[], $2::bytea[]) AS n (id, hash) WHERE t.__id__ = n.id;

-- name: list-quarantined
-- Refused records after one of them ($1), of these signals ($2), refused in the last $3 seconds (NULL = ever), $4 at most.
SELECT rejected_id, context, record FROM otel_rejected_records
WHERE rejected_id > $1 AND signal = ANY ($2::text[])
    AND ($3::float8 IS NULL OR received_at > now() - make_interval(secs => $3))
ORDER BY rejected_id LIMIT $4;

-- name: delete-quarantined
-- Refused records of these ids.
WITH gone AS (DELETE FROM otel_rejected_records WHERE rejected_id = ANY ($1::bigint[]) RETURNING 1)
SELECT count(*) FROM gone;

-- name: list-vacuumable
-- Which of these tables, and of their partitions from $2 to $3, this role may vacuum, by what statement: what was deleted is
-- reclaimed, in indexes too, and no statistics quote it. A parent has no rows of its own but statistics over all partitions,
-- for which PostgreSQL 18 need not analyse these as well.
SELECT c.oid::regclass::text AS name, CASE
    WHEN c.relkind = 'r' THEN 'VACUUM (INDEX_CLEANUP ON, ANALYZE) '
    WHEN current_setting('server_version_num')::int >= 180000 THEN 'ANALYZE ONLY '
    ELSE 'ANALYZE '
END || c.oid::regclass AS statement
FROM pg_class AS c
WHERE c.oid IN (
    SELECT to_regclass(t.name) FROM unnest($1::text[]) AS t (name)
    UNION ALL
    SELECT to_regclass(format('%I', p.partition)) FROM otel_partitions AS p
    WHERE p.parent = ANY ($1) AND p.upper_unix_nano > $2 AND p.lower_unix_nano <= $3
) AND pg_has_role(c.relowner, 'USAGE') AND (c.relkind = 'r' OR EXISTS (
    SELECT FROM pg_stats AS s WHERE s.tablename = c.relname AND s.schemaname::regnamespace = c.relnamespace))
ORDER BY c.relkind DESC, 1;

-- name: is-there
-- Whether a partition was not dropped meanwhile.
SELECT to_regclass($1) IS NOT NULL;

-- name: forget-statistics
-- Nor any of a table without rows.
SELECT otel_forget_statistics(t.name) FROM to_regclass($1) AS t (name) WHERE t.name IS NOT NULL;
