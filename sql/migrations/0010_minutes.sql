-- What spans and logs add up to, minute by minute, so that services, operations and the graph of services are answered
-- without a scan of their window. A background job makes these rows from the facts (exporter/minutes.py); a minute that
-- is due, or that the ledger's newest rows tell of, is computed from the facts when it is asked for, by the same functions.

-- Services are named by one of their resources, operations by one of their series: the least of those in the minute,
-- which stay as long as its spans do. Buckets of durations are otel_duration_bucket's, those without a call left out.
CREATE TABLE otel_operation_minutes (
    minute_unix_nano bigint NOT NULL,
    resource_id bigint NOT NULL,
    series_id bigint NOT NULL,
    calls int NOT NULL,
    errors int NOT NULL,
    buckets smallint[] NOT NULL,
    counts int[] NOT NULL,
    PRIMARY KEY (resource_id, minute_unix_nano, series_id)
) PARTITION BY RANGE (minute_unix_nano);
CREATE INDEX ON otel_operation_minutes (minute_unix_nano);

-- Calls and messages from one service to another, by the minute that the server's or consumer's span begins in, and by
-- the minute of the client's or producer's span, as both decide what there is to count. resource_id is the server's.
CREATE TABLE otel_edge_minutes (
    minute_unix_nano bigint NOT NULL,
    client_minute_unix_nano bigint NOT NULL,
    resource_id bigint NOT NULL,
    client_resource_id bigint NOT NULL,
    calls int NOT NULL,
    errors int NOT NULL,
    is_message boolean NOT NULL,
    buckets smallint[] NOT NULL,
    counts int[] NOT NULL,
    PRIMARY KEY (minute_unix_nano, resource_id, client_resource_id, client_minute_unix_nano, is_message)
) PARTITION BY RANGE (minute_unix_nano);

CREATE TABLE otel_log_minutes (
    minute_unix_nano bigint NOT NULL,
    resource_id bigint NOT NULL,
    records int NOT NULL,
    PRIMARY KEY (minute_unix_nano, resource_id)
) PARTITION BY RANGE (minute_unix_nano);

INSERT INTO otel_partitioned_tables VALUES
('otel_operation_minutes', 'spans', 'minute_unix_nano'),
('otel_edge_minutes', 'spans', 'minute_unix_nano'),
('otel_log_minutes', 'logs', 'minute_unix_nano');

-- Minutes that got records since they were computed, or never were.
CREATE TABLE otel_due_minutes (
    signal text NOT NULL,
    minute_unix_nano bigint NOT NULL,
    marked_at timestamptz NOT NULL,
    PRIMARY KEY (signal, minute_unix_nano)
);

-- One row: the minutes of ledger rows with committed_at up to committed_until are marked as due, or computed.
CREATE TABLE otel_minutes_watermark (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    committed_until timestamptz NOT NULL,
    worked_at timestamptz NOT NULL
);

CREATE FUNCTION otel_minute(key bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN key - key % 60000000000;

-- Sixteen buckets to each doubling, as an exponential histogram of scale 4: bucket b > 0 begins at 2^((b - 1) / 16)
-- nanoseconds and is 4.4 % wide; bucket 0 holds 0. The argument stands here once, or calls would not be inlined: what is
-- below 1 comes out as 0. (23.083120654223414 = 16 / ln 2)
CREATE FUNCTION otel_duration_bucket(nanos bigint) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (1 + floor(ln(greatest(nanos::double precision, 0.97)) * 23.083120654223414))::smallint;

-- Span and trace ids as links have them: NULL where they have another length than ids of stored spans.
CREATE FUNCTION otel_trace_key(id bytea) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN length(id) = 16 THEN encode(id, 'hex')::uuid END;

CREATE FUNCTION otel_span_key(id bytea) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN length(id) = 8 THEN ('x' || encode(id, 'hex'))::bit(64)::bigint END;

-- The minutes that bodies of a signal committed after `after`, until `until`, may have brought records for, as far as
-- these lie from `low` to `high`. Their stretches are put together first: bodies are many, and may reach back for weeks.
CREATE FUNCTION otel_body_minutes(of_signal text, after timestamptz, until timestamptz, low bigint, high bigint)
RETURNS TABLE (minute_unix_nano bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT m.minute_unix_nano
    FROM unnest((
        SELECT range_agg(int8range(
            otel_minute(greatest(lower(k), low)), otel_minute(least(upper(k), high) - 1) + 60000000000))
        FROM otel_ingest_ledger AS l
        CROSS JOIN unnest(coalesce(
            l.key_ranges_unix_nano, int8multirange(int8range(l.min_key_unix_nano, l.max_key_unix_nano, '[]')))) AS k
        WHERE l.committed_at > after AND l.committed_at <= until AND l.signal = of_signal AND l.stored > 0
            AND upper(k) > low AND lower(k) < high
    )) AS r
    CROSS JOIN generate_series(lower(r), upper(r) - 1, 60000000000) AS m (minute_unix_nano)
$$;

-- The minutes from `low` to `high` whose rows may not be what the facts add up to.
CREATE FUNCTION otel_unsettled_minutes(of_signal text, low bigint, high bigint) RETURNS TABLE (minute_unix_nano bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT d.minute_unix_nano FROM otel_due_minutes AS d
    WHERE d.signal = of_signal AND d.minute_unix_nano >= otel_minute(low) AND d.minute_unix_nano < high
    UNION
    SELECT b.minute_unix_nano
    FROM otel_minutes_watermark AS w
    CROSS JOIN otel_body_minutes(of_signal, w.committed_until, 'infinity', low, high) AS b
$$;

CREATE VIEW otel_services AS
SELECT resource_id, coalesce(service_name, 'unknown_service') AS service_name,
    nullif(service_namespace, '') AS service_namespace
FROM otel_resources_dim;
COMMENT ON VIEW otel_services IS
'What the service of each resource is called (private); one without a name has an invented one.';

CREATE VIEW otel_span_ends AS
SELECT trace_id, span_id, parent_span_id, start_time_unix_nano, resource_id, series_id,
    otel_duration_bucket(otel_duration(coalesce(sent_start_time_unix_nano, start_time_unix_nano), end_time_unix_nano))
        AS bucket,
    coalesce(status_code_id = 2, false) AS is_error
FROM otel_spans_fact;
COMMENT ON VIEW otel_span_ends IS 'Spans as one end of a call or a message (private).';

-- The next two say how they are to be planned, as there are no statistics of what has just arrived: a nested loop over
-- what is thought to be one row and is a hundred thousand would never end. OFFSET 0 keeps the look-ups by index that are
-- meant to be.

-- Operations of the spans from `low` to `high` of these resources (NULL = any).
CREATE FUNCTION otel_count_operations(low bigint, high bigint, of_resources bigint[])
RETURNS TABLE (
    minute_unix_nano bigint, resource_id bigint, series_id bigint, calls int, errors int, buckets smallint[],
    counts int[])
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
            count(*)::int AS calls, (count(*) FILTER (WHERE s.status_code_id = 2))::int AS errors
        FROM otel_spans_fact AS s
        WHERE s.start_time_unix_nano >= low AND s.start_time_unix_nano < high
            AND (of_resources IS NULL OR s.resource_id = ANY (of_resources)
                AND s.start_time_unix_nano / 1000000000 BETWEEN low / 1000000000 AND high / 1000000000)
        GROUP BY 1, 2, 3, 4
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
            min(seen.series_id) AS series_id, sum(seen.calls)::int AS calls, sum(seen.errors)::int AS errors
        FROM seen
        JOIN services AS r ON r.resource_id = seen.resource_id
        JOIN operations AS o ON o.series_id = seen.series_id
        GROUP BY 1, 2, 3, 4
    )
    SELECT c.minute, min(c.resource_id), min(c.series_id), sum(c.calls)::int, sum(c.errors)::int,
        array_agg(c.bucket ORDER BY c.bucket), array_agg(c.calls ORDER BY c.bucket)
    FROM counted AS c
    GROUP BY c.minute, c.service, c.operation;
END $$;

-- Calls and messages of which the one span or the other begins from `low` to `high`, and the server's or consumer's
-- from `since` to `until`; `is_inside` tells whether that one begins from `low` to `high`.
--
-- A call is a server's span whose parent belongs to another service; a message is a consumer's span whose parent does,
-- or one and a producer's span of another service that it has a link to. The parent or producer begins an hour before
-- at most or, as clocks differ, a minute after: further away it is not looked for.
CREATE FUNCTION otel_count_edges(low bigint, high bigint, since bigint, until bigint)
RETURNS TABLE (
    minute_unix_nano bigint, client_minute_unix_nano bigint, resource_id bigint, client_resource_id bigint, calls int,
    errors int, is_message boolean, buckets smallint[], counts int[], is_inside boolean)
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
        SELECT c.start_time_unix_nano AS start, c.resource_id, c.series_id, c.bucket, c.is_error,
            p.start_time_unix_nano AS client_start, p.resource_id AS client_resource_id
        FROM inside AS c
        JOIN inside AS p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
        WHERE p.resource_id <> c.resource_id
        UNION ALL
        SELECT c.start_time_unix_nano, c.resource_id, c.series_id, c.bucket, c.is_error, p.start_time_unix_nano,
            p.resource_id
        FROM around AS c
        JOIN around AS p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
        WHERE (p.start_time_unix_nano >= low AND p.start_time_unix_nano < high)
            <> (c.start_time_unix_nano >= low AND c.start_time_unix_nano < high)
        UNION ALL
        SELECT c.start_time_unix_nano, c.resource_id, c.series_id, c.bucket, c.is_error, p.start_time_unix_nano,
            p.resource_id
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
            (count(*) FILTER (WHERE n.is_error))::int AS errors
        FROM named AS n
        WHERE n.service <> n.client AND n.start >= since AND n.start < until
            AND n.client_start BETWEEN n.start - before AND n.start + after
            AND (n.is_inside OR n.client_start >= low AND n.client_start < high)
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    )
    SELECT c.minute, c.client_minute, min(c.resource_id), min(c.client_resource_id), sum(c.calls)::int,
        sum(c.errors)::int, c.is_message, array_agg(c.bucket ORDER BY c.bucket), array_agg(c.calls ORDER BY c.bucket),
        c.is_inside
    FROM counted AS c
    GROUP BY c.minute, c.client_minute, c.service, c.client, c.is_message, c.is_inside;
END $$;

-- Log records from `low` to `high`.
CREATE FUNCTION otel_count_logs(low bigint, high bigint)
RETURNS TABLE (minute_unix_nano bigint, resource_id bigint, records int)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT l.minute, min(l.resource_id), sum(l.records)::int
    FROM (
        SELECT otel_minute(time_unix_nano) AS minute, resource_id, count(*)::int AS records
        FROM otel_logs_fact
        WHERE time_unix_nano >= low AND time_unix_nano < high
        GROUP BY 1, 2
    ) AS l
    JOIN otel_services AS r ON r.resource_id = l.resource_id
    GROUP BY l.minute, r.service_name, r.service_namespace
$$;

-- What is stored already: its partitions get theirs here, its minutes are due. In an hour every body has ended that was
-- under way now, and the ledger tells of it.
SELECT otel_create_partitions(t.signal, ARRAY[p.lower_unix_nano], p.upper_unix_nano - p.lower_unix_nano)
FROM otel_partitions AS p JOIN otel_partitioned_tables AS t ON t.parent = p.parent
WHERE p.parent IN ('otel_spans_fact', 'otel_logs_fact');

INSERT INTO otel_due_minutes (signal, minute_unix_nano, marked_at)
SELECT t.signal, m.minute_unix_nano, to_timestamp(0)
FROM otel_partitions AS p
JOIN otel_partitioned_tables AS t ON t.parent = p.parent
CROSS JOIN generate_series(p.lower_unix_nano, p.upper_unix_nano - 1, 60000000000) AS m (minute_unix_nano)
WHERE p.parent IN ('otel_spans_fact', 'otel_logs_fact');

INSERT INTO otel_minutes_watermark (committed_until, worked_at) VALUES (now() - INTERVAL '1 hour', to_timestamp(0));
