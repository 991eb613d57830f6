-- name: page-by-second
-- The newest of what a match-… statement finds. Whole seconds first: the indexes are ordered by them.
SELECT m.* FROM __matches__ AS m
ORDER BY m.__time__ / 1000000000 DESC, m.__time__ DESC, m.__group__ DESC, m.__id__ DESC
LIMIT $6;

-- name: page-by-time
-- The newest of what a match-… statement finds, where an index has the very time.
SELECT m.* FROM __matches__ AS m
ORDER BY m.__time__ DESC, m.__group__ DESC
LIMIT $6;

-- name: page-earliest
-- The earliest of what a match-… statement finds.
SELECT m.* FROM __matches__ AS m
ORDER BY m.__time__, m.__group__, m.__id__
LIMIT $6;

-- name: page-arrivals
-- The earliest after a key of what a match-… statement finds of these transactions; its own parameters come last.
SELECT m.* FROM __matches__ AS m
WHERE m.xmin = ANY(__transactions__::xid[])
    AND (m.__time__, m.__group__, m.__id__) > (__after_time__::bigint, __after_group__::uuid, __after_id__::bigint)
ORDER BY m.__time__, m.__group__, m.__id__
LIMIT $6;

-- name: count-matches
-- How many records a match-… statement finds, no more than $6.
SELECT count(*) FROM (SELECT FROM __matches__ AS m LIMIT $6) AS counted;

-- name: limit-statement
-- Bound the next statements of this transaction.
SELECT set_config('statement_timeout', $1, true);

-- name: end-limit
-- Bound the next statements as those of the session are: null is the value that the session began with.
SELECT set_config('statement_timeout', NULL, true);

-- name: prefer-order
-- Have an index scanned in its order ("off") or by a bitmap: a window stands in a statement twice, as nanoseconds and as
-- whole seconds, and the planner takes the one for a part of the other, so that sorting seems cheap.
SELECT set_config('enable_bitmapscan', $1, true);

-- name: find-newest-key
-- About the newest time that records of a signal are filed under, where to begin to look for the newest records, and
-- about how many of them there are in a second.
SELECT
    max(max_key_unix_nano) AS newest,
    sum(stored) * 1e9 / nullif(max(max_key_unix_nano) - min(min_key_unix_nano), 0) AS records_per_s
FROM (
    SELECT signal, stored, min_key_unix_nano, max_key_unix_nano FROM otel_ingest_ledger
    ORDER BY committed_at DESC LIMIT 200
) AS latest
WHERE signal = $1;

-- name: find-any
-- Whether a slice of time has any record.
SELECT EXISTS (SELECT FROM __table__ AS t WHERE t.__time__ >= $1 AND t.__time__ < $2);

-- name: find-oldest-partition
-- Where the partitions of a table begin that may hold records from $2 on.
SELECT min(lower_unix_nano) AS oldest FROM otel_partitions WHERE parent = $1 AND upper_unix_nano > $2;
