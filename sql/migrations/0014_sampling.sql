-- Spans that were sampled tell by how much, in tracestate `ot=th:` (OpenTelemetry's consistent probability sampling):
-- how many each of them stands for, and minutes that know it. What is null counts as it is stored, so nothing is kept
-- where nothing is sampled.

-- Nobody computes minutes meanwhile, as the functions that do so change.
SELECT pg_advisory_xact_lock(hashtext('postel-minutes'));

-- How many spans one with this tracestate stands for, to six digits after the point: exact sums, in whatever order they
-- are added up. Null where the tracestate does not tell: there is none, or what it says of `th` is no threshold.
-- T, of 56 bits, is the share of traces that were rejected; zeros at its end are left out. Of members and of thresholds
-- that are there twice the first one counts.
-- https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
CREATE FUNCTION otel_adjusted_count(trace_state text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN trace_state LIKE '%ot=%th:%' THEN round(
    72057594037927936.000000 / (72057594037927936 - ('x' || rpad(substring(
        split_part(split_part(
            ';' || split_part(split_part(',' || translate(trace_state, E' \t', ''), ',ot=', 2), ',', 1),
            ';th:', 2), ';', 1)
        FROM '^[0-9a-fA-F]{1,14}$'), 14, '0'))::bit(56)::bigint)::numeric, 6)
END;

-- As calls, errors and counts, where one of the spans tells its threshold; else null.
ALTER TABLE otel_operation_minutes
ADD COLUMN adjusted_calls numeric, ADD COLUMN adjusted_errors numeric, ADD COLUMN adjusted_counts numeric[];
ALTER TABLE otel_edge_minutes
ADD COLUMN adjusted_calls numeric, ADD COLUMN adjusted_errors numeric, ADD COLUMN adjusted_counts numeric[];

CREATE OR REPLACE VIEW otel_span_ends AS
SELECT trace_id, span_id, parent_span_id, start_time_unix_nano, resource_id, series_id,
    otel_duration_bucket(otel_duration(coalesce(sent_start_time_unix_nano, start_time_unix_nano), end_time_unix_nano))
        AS bucket,
    coalesce(status_code_id = 2, false) AS is_error,
    trace_state
FROM otel_spans_fact;

-- The next two are those of 0010 but for what is adjusted: `more_` is what spans stand for beyond themselves.
DROP FUNCTION otel_count_operations, otel_count_edges;

-- Operations of the spans from `low` to `high` of these resources (NULL = any).
CREATE FUNCTION otel_count_operations(low bigint, high bigint, of_resources bigint[])
RETURNS TABLE (
    minute_unix_nano bigint, resource_id bigint, series_id bigint, calls int, errors int, buckets smallint[],
    counts int[], adjusted_calls numeric, adjusted_errors numeric, adjusted_counts numeric[])
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET plan_cache_mode = force_custom_plan SET enable_nestloop = off SET enable_mergejoin = off SET work_mem = '32MB'
SET jit = off SET max_parallel_workers_per_gather = 0
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH seen AS MATERIALIZED (
        SELECT
            otel_minute(s.start_time_unix_nano) AS minute, s.resource_id, s.series_id,
            otel_duration_bucket(otel_duration(
                coalesce(s.sent_start_time_unix_nano, s.start_time_unix_nano), s.end_time_unix_nano)) AS bucket,
            otel_adjusted_count(s.trace_state) - 1 AS more,
            count(*)::int AS calls, (count(*) FILTER (WHERE s.status_code_id = 2))::int AS errors
        FROM otel_spans_fact AS s
        WHERE s.start_time_unix_nano >= low AND s.start_time_unix_nano < high
            AND (of_resources IS NULL OR s.resource_id = ANY (of_resources)
                AND s.start_time_unix_nano / 1000000000 BETWEEN low / 1000000000 AND high / 1000000000)
        GROUP BY 1, 2, 3, 4, 5
    ),
    services AS MATERIALIZED (
        SELECT r.resource_id, min(r.resource_id) OVER (PARTITION BY r.service_name, r.service_namespace) AS service
        FROM (SELECT DISTINCT resource_id FROM seen) AS s
        CROSS JOIN LATERAL (SELECT * FROM otel_services AS r WHERE r.resource_id = s.resource_id OFFSET 0) AS r
    ),
    operations AS MATERIALIZED (
        SELECT d.series_id, min(d.series_id) OVER (PARTITION BY d.name, d.kind_id) AS operation
        FROM (SELECT DISTINCT series_id FROM seen) AS s
        CROSS JOIN LATERAL (SELECT * FROM otel_span_series_dim AS d WHERE d.series_id = s.series_id OFFSET 0) AS d
    ),
    counted AS (
        SELECT seen.minute, r.service, o.operation, seen.bucket, min(seen.resource_id) AS resource_id,
            min(seen.series_id) AS series_id, sum(seen.calls)::int AS calls, sum(seen.errors)::int AS errors,
            sum(seen.calls * seen.more) AS more_calls, sum(seen.errors * seen.more) AS more_errors
        FROM seen
        JOIN services AS r ON r.resource_id = seen.resource_id
        JOIN operations AS o ON o.series_id = seen.series_id
        GROUP BY 1, 2, 3, 4
    )
    SELECT c.minute, min(c.resource_id), min(c.series_id), sum(c.calls)::int, sum(c.errors)::int,
        array_agg(c.bucket ORDER BY c.bucket), array_agg(c.calls ORDER BY c.bucket),
        sum(c.calls) + sum(c.more_calls), sum(c.errors) + sum(c.more_errors),
        CASE WHEN count(c.more_calls) > 0 THEN array_agg(c.calls + coalesce(c.more_calls, 0) ORDER BY c.bucket) END
    FROM counted AS c
    GROUP BY c.minute, c.service, c.operation;
END $$;

-- Calls and messages of which the one span or the other begins from `low` to `high`, and the server's or consumer's
-- from `since` to `until`; `is_inside` tells whether that one begins from `low` to `high`, and it is the one that they
-- are adjusted by.
--
-- A call is a server's span whose parent belongs to another service; a message is a consumer's span whose parent does,
-- or one and a producer's span of another service that it has a link to. The parent or producer begins an hour before
-- at most or, as clocks differ, a minute after: further away it is not looked for.
CREATE FUNCTION otel_count_edges(low bigint, high bigint, since bigint, until bigint)
RETURNS TABLE (
    minute_unix_nano bigint, client_minute_unix_nano bigint, resource_id bigint, client_resource_id bigint, calls int,
    errors int, is_message boolean, buckets smallint[], counts int[], is_inside boolean,
    adjusted_calls numeric, adjusted_errors numeric, adjusted_counts numeric[])
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET plan_cache_mode = force_custom_plan SET enable_nestloop = off SET enable_mergejoin = off SET work_mem = '32MB'
SET jit = off SET max_parallel_workers_per_gather = 0
AS $$
#variable_conflict use_column
DECLARE
    before CONSTANT bigint := 3600000000000;
    after CONSTANT bigint := 60000000000;
BEGIN
    RETURN QUERY
    WITH inside AS MATERIALIZED (
        SELECT e.* FROM otel_span_ends AS e WHERE e.start_time_unix_nano >= low AND e.start_time_unix_nano < high
    ),
    -- Only of traces that began before or end after may a parent or a child lie outside: few, where minutes are long.
    crossing AS MATERIALIZED (
        SELECT DISTINCT i.trace_id
        FROM (SELECT DISTINCT trace_id FROM inside) AS i
        CROSS JOIN LATERAL (
            SELECT FROM otel_traces AS t
            WHERE t.trace_id = i.trace_id AND t.hour_unix_nano > low - 2 * before AND t.hour_unix_nano < high + before
                AND (t.start_time_unix_nano < low OR t.end_time_unix_nano >= high)
            OFFSET 0
        ) AS t
    ),
    around AS MATERIALIZED (
        SELECT a.*
        FROM crossing
        CROSS JOIN LATERAL (
            SELECT e.* FROM otel_span_ends AS e
            WHERE e.trace_id = crossing.trace_id
                AND e.start_time_unix_nano >= low - before AND e.start_time_unix_nano < high + before
            OFFSET 0
        ) AS a
    ),
    links AS MATERIALIZED (
        SELECT DISTINCT trace_id, span_id, start_time_unix_nano, otel_trace_key(linked_trace_id) AS client_trace,
            otel_span_key(linked_span_id) AS client_span
        FROM otel_span_links
        WHERE start_time_unix_nano >= low - after AND start_time_unix_nano < high + before
    ),
    -- IS TRUE, so that the few links are hashed and not the many spans.
    linked AS MATERIALIZED (
        SELECT trace_id, span_id FROM inside WHERE (span_id IN (SELECT client_span FROM links)) IS TRUE
    ),
    pairs AS MATERIALIZED (
        SELECT c.start_time_unix_nano AS start, c.resource_id, c.series_id, c.bucket, c.is_error, c.trace_state,
            p.start_time_unix_nano AS client_start, p.resource_id AS client_resource_id
        FROM inside AS c
        JOIN inside AS p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
        WHERE p.resource_id <> c.resource_id
        UNION ALL
        SELECT c.start_time_unix_nano, c.resource_id, c.series_id, c.bucket, c.is_error, c.trace_state,
            p.start_time_unix_nano, p.resource_id
        FROM around AS c
        JOIN around AS p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
        WHERE (p.start_time_unix_nano >= low AND p.start_time_unix_nano < high)
            <> (c.start_time_unix_nano >= low AND c.start_time_unix_nano < high)
        UNION ALL
        SELECT c.start_time_unix_nano, c.resource_id, c.series_id, c.bucket, c.is_error, c.trace_state,
            p.start_time_unix_nano, p.resource_id
        FROM (
            SELECT * FROM links WHERE start_time_unix_nano >= low AND start_time_unix_nano < high
            UNION
            SELECT links.* FROM links JOIN linked ON linked.trace_id = client_trace AND linked.span_id = client_span
        ) AS l
        CROSS JOIN LATERAL (
            SELECT e.* FROM otel_span_ends AS e
            WHERE e.trace_id = l.trace_id AND e.span_id = l.span_id AND e.start_time_unix_nano = l.start_time_unix_nano
                AND e.start_time_unix_nano >= low - after AND e.start_time_unix_nano < high + before
            OFFSET 0
        ) AS c
        CROSS JOIN LATERAL (
            SELECT e.* FROM otel_span_ends AS e
            WHERE e.trace_id = l.client_trace AND e.span_id = l.client_span
                AND e.start_time_unix_nano >= low - before AND e.start_time_unix_nano < high + before
            OFFSET 0
        ) AS p
        CROSS JOIN LATERAL (SELECT kind_id FROM otel_span_series_dim AS d WHERE d.series_id = c.series_id OFFSET 0) AS ck
        CROSS JOIN LATERAL (SELECT kind_id FROM otel_span_series_dim AS d WHERE d.series_id = p.series_id OFFSET 0) AS pk
        -- A producer that is the parent as well sent one message.
        WHERE ck.kind_id = 5 AND pk.kind_id = 4
            AND (l.client_trace = c.trace_id AND l.client_span = c.parent_span_id) IS NOT TRUE
    ),
    services AS MATERIALIZED (
        SELECT r.resource_id, min(r.resource_id) OVER (PARTITION BY r.service_name, r.service_namespace) AS service
        FROM (SELECT resource_id FROM pairs UNION SELECT client_resource_id FROM pairs) AS s
        CROSS JOIN LATERAL (SELECT * FROM otel_services AS r WHERE r.resource_id = s.resource_id OFFSET 0) AS r
    ),
    kinds AS MATERIALIZED (
        SELECT d.series_id, d.kind_id
        FROM (SELECT DISTINCT series_id FROM pairs) AS s
        CROSS JOIN LATERAL (SELECT * FROM otel_span_series_dim AS d WHERE d.series_id = s.series_id OFFSET 0) AS d
        WHERE d.kind_id IN (2, 5)
    ),
    named AS (
        SELECT p.*, k.kind_id, r.service, cr.service AS client, p.start >= low AND p.start < high AS is_inside
        FROM pairs AS p
        JOIN kinds AS k ON k.series_id = p.series_id
        JOIN services AS r ON r.resource_id = p.resource_id
        JOIN services AS cr ON cr.resource_id = p.client_resource_id
        OFFSET 0
    ),
    counted AS (
        SELECT otel_minute(n.start) AS minute, otel_minute(n.client_start) AS client_minute, n.service, n.client,
            n.kind_id = 5 AS is_message, n.is_inside, n.bucket, min(n.resource_id) AS resource_id,
            min(n.client_resource_id) AS client_resource_id, count(*)::int AS calls,
            (count(*) FILTER (WHERE n.is_error))::int AS errors,
            sum(otel_adjusted_count(n.trace_state) - 1) AS more_calls,
            sum(otel_adjusted_count(n.trace_state) - 1) FILTER (WHERE n.is_error) AS more_errors
        FROM named AS n
        WHERE n.service <> n.client AND n.start >= since AND n.start < until
            AND n.client_start BETWEEN n.start - before AND n.start + after
            AND (n.is_inside OR n.client_start >= low AND n.client_start < high)
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    )
    SELECT c.minute, c.client_minute, min(c.resource_id), min(c.client_resource_id), sum(c.calls)::int,
        sum(c.errors)::int, c.is_message, array_agg(c.bucket ORDER BY c.bucket), array_agg(c.calls ORDER BY c.bucket),
        c.is_inside, sum(c.calls) + sum(c.more_calls), sum(c.errors) + sum(c.more_errors),
        CASE WHEN count(c.more_calls) > 0 THEN array_agg(c.calls + coalesce(c.more_calls, 0) ORDER BY c.bucket) END
    FROM counted AS c
    GROUP BY c.minute, c.client_minute, c.service, c.client, c.is_message, c.is_inside;
END $$;

-- What is stored already and tells its threshold.
INSERT INTO otel_due_minutes (signal, minute_unix_nano, marked_at)
SELECT DISTINCT 'spans', otel_minute(start_time_unix_nano), to_timestamp(0)
FROM otel_spans_fact
WHERE otel_adjusted_count(trace_state) IS NOT NULL
ORDER BY 2
ON CONFLICT DO NOTHING;
