-- name: plan-each-time
-- Plan the statements of this transaction for the very windows and ids that they are about, with room to hash keys of
-- children: looked through one by one they would take for ever.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('work_mem', '64MB', true);

-- name: list-windows
-- Partitions of a table that hold anything from $2 to $3, oldest first.
SELECT lower_unix_nano, upper_unix_nano FROM otel_partitions
WHERE parent = $1 AND upper_unix_nano > $2 AND lower_unix_nano < $3
ORDER BY lower_unix_nano;

-- name: mark-minutes
-- Minutes that are to be computed again, at once. Who computes one of them now is waited for, or waits for us.
INSERT INTO otel_due_minutes (signal, minute_unix_nano, marked_at)
SELECT $1, u.minute, to_timestamp(0) FROM unnest($2::bigint[]) AS u (minute) ORDER BY u.minute
ON CONFLICT (signal, minute_unix_nano) DO UPDATE SET marked_at = excluded.marked_at;

-- name: lock-traces
-- The rows of these traces and hours, in a writer's order: who added to them has committed, who will adds to what follows.
SELECT t.trace_id, t.hour_unix_nano FROM otel_traces AS t
JOIN unnest($1::uuid[], $2::bigint[]) AS k (trace_id, hour_unix_nano) USING (trace_id, hour_unix_nano)
WHERE t.hour_unix_nano BETWEEN $3 AND $4
ORDER BY t.trace_id, t.hour_unix_nano
FOR UPDATE OF t;

-- name: delete-rows
-- Rows of these keys, filed from __low__ to __high__.
WITH gone AS (
    DELETE FROM __table__ AS t USING unnest(__arrays__) AS k (__key__)
    WHERE __equal__ AND t.__time__ BETWEEN __low__ AND __high__
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: recompute-traces
-- Rows of these traces and hours, from $3 to $4, as their spans add up now. It has to be a later statement than the one that
-- locked them.
UPDATE otel_traces AS t SET
    start_time_unix_nano = c.start_time_unix_nano,
    end_time_unix_nano = c.end_time_unix_nano,
    root_start_time_unix_nano = c.root_start_time_unix_nano,
    root_span_id = c.root_span_id,
    root_series_id = c.root_series_id,
    root_resource_id = c.root_resource_id,
    span_count = c.span_count,
    error_count = c.error_count,
    has_root = c.has_root,
    resource_ids = c.resource_ids
FROM otel_count_traces($1::uuid[], $3, $4::bigint + 3600000000000) AS c
JOIN unnest($1::uuid[], $2::bigint[]) AS k (trace_id, hour_unix_nano) USING (trace_id, hour_unix_nano)
WHERE t.trace_id = c.trace_id AND t.hour_unix_nano = c.hour_unix_nano AND t.hour_unix_nano BETWEEN $3 AND $4;

-- name: delete-empty-traces
-- Rows of these traces and hours, from $3 to $4, that have no span left.
DELETE FROM otel_traces AS t USING unnest($1::uuid[], $2::bigint[]) AS k (trace_id, hour_unix_nano)
WHERE t.trace_id = k.trace_id AND t.hour_unix_nano = k.hour_unix_nano AND t.hour_unix_nano BETWEEN $3 AND $4
    AND NOT EXISTS (
        SELECT FROM otel_spans_fact AS s
        WHERE s.trace_id = t.trace_id
            AND s.start_time_unix_nano >= t.hour_unix_nano
            AND s.start_time_unix_nano < t.hour_unix_nano + 3600000000000
            AND s.start_time_unix_nano BETWEEN $3 AND $4::bigint + 3600000000000);

-- name: claim-round
-- Whether nobody was at some work in the last $2 seconds.
UPDATE otel_rounds SET worked_at = now() WHERE work = $1 AND worked_at <= now() - make_interval(secs => $2)
RETURNING true;

-- name: go-on
-- Say that we are at it.
UPDATE otel_rounds SET worked_at = now() WHERE work = $1;

-- name: list-services
-- Resources of a service ($1), in a namespace ($2); null = any.
SELECT resource_id FROM otel_services
WHERE ($1::text IS NULL OR service_name = $1) AND ($2::text IS NULL OR service_namespace = $2);

-- name: list-severities
-- Series of log records with a severity below a number.
SELECT series_id FROM otel_log_series_dim WHERE severity_number > 0 AND severity_number < $1;

-- name: list-expired-records
-- Keys of records filed from $1 to $2, of these resources ($3) and series ($4), no more than $5; null = any.
SELECT __key__ FROM __table__ AS t
WHERE t.__time__ >= $1 AND t.__time__ < $2 AND t.__time__ / 1000000000 BETWEEN $1 / 1000000000 AND $2 / 1000000000
    AND ($3::bigint[] IS NULL OR __resource__ = ANY ($3))
    AND ($4::bigint[] IS NULL OR t.series_id = ANY ($4))
LIMIT $5;
