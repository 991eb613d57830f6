-- name: list-unsettled-minutes
-- The minutes from $2 to $3 whose rows may not be what the records add up to.
SELECT minute_unix_nano FROM otel_unsettled_minutes($1, $2, $3);

-- name: match-operation-minutes
-- Operations of whole minutes from $1 to $2 of these resources ($3), but for some minutes ($6).
SELECT series_id, errors, buckets, counts, adjusted_errors, adjusted_counts FROM otel_operation_minutes
WHERE minute_unix_nano >= $1 AND minute_unix_nano < $2 AND resource_id = ANY($3::bigint[])
    AND minute_unix_nano <> ALL($6::bigint[]);

-- name: count-operations
-- The same from the records.
SELECT series_id, errors, buckets, counts, adjusted_errors, adjusted_counts
FROM otel_count_operations($1, $2, $3::bigint[]);

-- name: adjust-operations
-- What is matched, as many as its spans stand for.
SELECT m.series_id, coalesce(m.adjusted_errors, m.errors) AS errors, m.buckets,
    coalesce(m.adjusted_counts, m.counts::numeric[]) AS counts
FROM __matches__ AS m;

-- name: sum-operations
-- What is matched by name and kind, of these names ($4) and kinds ($5); null = any.
WITH summed AS MATERIALIZED (
    SELECT m.series_id, u.bucket, sum(u.count) AS calls, sum(m.errors) FILTER (WHERE u.ordinal = 1) AS errors
    FROM __matches__ AS m
    CROSS JOIN unnest(m.buckets, m.counts) WITH ORDINALITY AS u (bucket, count, ordinal)
    GROUP BY m.series_id, u.bucket
)
SELECT o.name, o.kind_id, sum(o.errors)::__number__ AS errors, array_agg(o.bucket) AS buckets,
    array_agg(o.calls::__number__) AS counts
FROM (
    SELECT d.name, d.kind_id, s.bucket, sum(s.calls) AS calls, coalesce(sum(s.errors), 0) AS errors
    FROM summed AS s
    JOIN otel_span_series_dim AS d ON d.series_id = s.series_id
    WHERE ($4::text[] IS NULL OR d.name = ANY($4)) AND ($5::int[] IS NULL OR d.kind_id = ANY($5))
    GROUP BY d.name, d.kind_id, s.bucket
) AS o
GROUP BY o.name, o.kind_id;

-- name: match-edge-minutes
-- Calls and messages of whole minutes from $1 to $2, but for those of which one end lies in some minutes ($4).
SELECT resource_id, client_resource_id, is_message, errors, buckets, counts, adjusted_errors, adjusted_counts
FROM otel_edge_minutes
WHERE minute_unix_nano >= $1 AND minute_unix_nano < $2
    AND minute_unix_nano <> ALL($4::bigint[]) AND client_minute_unix_nano <> ALL($4);

-- name: count-edges
-- The same from the records, of minutes from $1 to $2 in a window from $4 to $5; what other minutes ($6) are asked for
-- as well tells itself.
SELECT resource_id, client_resource_id, is_message, errors, buckets, counts, adjusted_errors, adjusted_counts
FROM otel_count_edges($1, $2, $4, $5)
WHERE is_inside OR minute_unix_nano <> ALL($6::bigint[]);

-- name: adjust-edges
-- What is matched, as many as the servers' and consumers' spans stand for.
SELECT m.resource_id, m.client_resource_id, m.is_message, coalesce(m.adjusted_errors, m.errors) AS errors, m.buckets,
    coalesce(m.adjusted_counts, m.counts::numeric[]) AS counts
FROM __matches__ AS m;

-- name: sum-edges
-- What is matched by client, server and kind, of these resources ($3) on either side; null = any.
WITH summed AS MATERIALIZED (
    SELECT m.resource_id, m.client_resource_id, m.is_message, u.bucket, sum(u.count) AS calls,
        sum(m.errors) FILTER (WHERE u.ordinal = 1) AS errors
    FROM __matches__ AS m
    CROSS JOIN unnest(m.buckets, m.counts) WITH ORDINALITY AS u (bucket, count, ordinal)
    WHERE $3::bigint[] IS NULL OR m.resource_id = ANY($3) OR m.client_resource_id = ANY($3)
    GROUP BY m.resource_id, m.client_resource_id, m.is_message, u.bucket
)
SELECT e.client_name, e.client_namespace, e.server_name, e.server_namespace, e.is_message,
    sum(e.errors)::__number__ AS errors, array_agg(e.bucket) AS buckets, array_agg(e.calls::__number__) AS counts
FROM (
    SELECT c.service_name AS client_name, c.service_namespace AS client_namespace, r.service_name AS server_name,
        r.service_namespace AS server_namespace, s.is_message, s.bucket, sum(s.calls) AS calls,
        coalesce(sum(s.errors), 0) AS errors
    FROM summed AS s
    JOIN otel_services AS r ON r.resource_id = s.resource_id
    JOIN otel_services AS c ON c.resource_id = s.client_resource_id
    GROUP BY 1, 2, 3, 4, 5, 6
) AS e
GROUP BY e.client_name, e.client_namespace, e.server_name, e.server_namespace, e.is_message;

-- name: sum-records
-- Records by resource in whole minutes from $1 to $2, but for some minutes ($3), and the last of these minutes.
SELECT resource_id, sum(__count__)::bigint AS records, max(minute_unix_nano) AS latest FROM __minutes__
WHERE minute_unix_nano >= $1 AND minute_unix_nano < $2 AND minute_unix_nano <> ALL($3::bigint[])
GROUP BY resource_id;

-- name: sum-adjusted-spans
-- The same of spans, as many as they stand for.
SELECT resource_id, sum(coalesce(adjusted_calls, calls)) AS records, max(minute_unix_nano) AS latest
FROM otel_operation_minutes
WHERE minute_unix_nano >= $1 AND minute_unix_nano < $2 AND minute_unix_nano <> ALL($3::bigint[])
GROUP BY resource_id;

-- name: count-records
-- The same from the records, and the time of the last one.
SELECT resource_id, count(*) AS records, max(t.__time__) AS latest FROM __table__ AS t
WHERE t.__time__ >= $1 AND t.__time__ < $2
GROUP BY resource_id;

-- name: count-adjusted-spans
-- The same of spans, as many as they stand for.
SELECT resource_id, sum(coalesce(otel_adjusted_count(s.trace_state), 1)) AS records, max(s.start_time_unix_nano) AS latest
FROM otel_spans_fact AS s
WHERE s.start_time_unix_nano >= $1 AND s.start_time_unix_nano < $2
GROUP BY resource_id;
