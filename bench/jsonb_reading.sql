-- name: page-matches
-- The newest of what a match-… statement finds, whole.
SELECT m.*, r.attributes AS resource, c.name AS scope_name, c.version AS scope_version
FROM (SELECT * FROM __matches__ AS s ORDER BY s.__time__ DESC LIMIT $3) AS m
JOIN resources AS r ON r.id = m.resource_id
JOIN scopes AS c ON c.id = m.scope_id
ORDER BY m.__time__ DESC;

-- name: page-traces
-- The newest of the traces whose root spans a match-… statement finds, with what a list shows of each.
SELECT m.trace_id, m.span_id, m.name, m.kind, m.__time__, r.attributes AS resource, t.*
FROM (SELECT * FROM __matches__ AS s ORDER BY s.__time__ DESC LIMIT $3) AS m
JOIN resources AS r ON r.id = m.resource_id
CROSS JOIN LATERAL (
    SELECT count(*) AS span_count, count(*) FILTER (WHERE s.status_code = 2) AS error_count,
        max(s.end_time_unix_nano) AS end_time_unix_nano,
        array_agg(DISTINCT o.attributes ->> 'service.name') AS services
    FROM spans AS s JOIN resources AS o ON o.id = s.resource_id
    WHERE s.trace_id = m.trace_id) AS t
ORDER BY m.__time__ DESC;

-- name: count-matches
-- How many records a match-… statement finds, no more than $3.
SELECT count(*) FROM (SELECT FROM __matches__ AS s LIMIT $3) AS counted;

-- name: match-spans-by-attribute
-- Spans of a window with an attribute, as a string or ($5, else null) as a number.
SELECT s.* FROM spans AS s
WHERE s.start_time_unix_nano >= $1 AND s.start_time_unix_nano < $2
    AND (s.attributes @> $4::jsonb OR s.attributes @> $5::jsonb);

-- name: match-traces-of-service
-- Root spans of a window in whose traces a service took part.
SELECT s.* FROM spans AS s
WHERE s.parent_span_id IS NULL AND s.start_time_unix_nano >= $1 AND s.start_time_unix_nano < $2
    AND EXISTS (
        SELECT FROM spans AS o
        WHERE o.trace_id = s.trace_id
            AND o.resource_id = ANY(ARRAY(SELECT r.id FROM resources AS r WHERE r.attributes ->> 'service.name' = $4)));

-- name: match-slow-traces
-- Root spans of a window whose traces took so long or longer.
SELECT s.* FROM spans AS s
WHERE s.parent_span_id IS NULL AND s.start_time_unix_nano >= $1 AND s.start_time_unix_nano < $2
    AND s.start_time_unix_nano + $4::bigint <= (
        SELECT max(o.end_time_unix_nano) FROM spans AS o WHERE o.trace_id = s.trace_id);

-- name: match-failed-traces
-- Root spans of a window in whose traces a span failed.
SELECT s.* FROM spans AS s
WHERE s.parent_span_id IS NULL AND s.start_time_unix_nano >= $1 AND s.start_time_unix_nano < $2
    AND EXISTS (SELECT FROM spans AS o WHERE o.trace_id = s.trace_id AND o.status_code = 2);

-- name: match-logs-of-service
-- Log records of a window of a service.
SELECT s.* FROM logs AS s
WHERE s.time_unix_nano >= $1 AND s.time_unix_nano < $2
    AND s.resource_id = ANY(ARRAY(SELECT r.id FROM resources AS r WHERE r.attributes ->> 'service.name' = $4));

-- name: match-logs-by-severity
-- Log records of a window from a severity on.
SELECT s.* FROM logs AS s
WHERE s.time_unix_nano >= $1 AND s.time_unix_nano < $2 AND s.severity_number >= $4;

-- name: match-logs-of-trace
-- Log records of a trace.
SELECT s.* FROM logs AS s
WHERE s.time_unix_nano >= $1 AND s.time_unix_nano < $2 AND s.trace_id = $4;

-- name: match-logs-by-attribute
-- Log records of a window with an attribute, as a string or ($5, else null) as a number.
SELECT s.* FROM logs AS s
WHERE s.time_unix_nano >= $1 AND s.time_unix_nano < $2
    AND (s.attributes @> $4::jsonb OR s.attributes @> $5::jsonb);

-- name: match-logs-by-body
-- Log records of a window with a text in their body, which is a pattern here.
SELECT s.* FROM logs AS s
WHERE s.time_unix_nano >= $1 AND s.time_unix_nano < $2 AND s.body #>> '{}' ILIKE $4;

-- name: find-trace
-- The spans of a trace, whole.
SELECT s.*, r.attributes AS resource, c.name AS scope_name, c.version AS scope_version
FROM spans AS s
JOIN resources AS r ON r.id = s.resource_id
JOIN scopes AS c ON c.id = s.scope_id
WHERE s.trace_id = $1
ORDER BY s.start_time_unix_nano
LIMIT 10000;

-- name: find-logs-by-span
-- The log records of a trace by span, with its name.
SELECT s.*, o.name AS span_name, r.attributes AS resource
FROM logs AS s
JOIN resources AS r ON r.id = s.resource_id
LEFT JOIN spans AS o ON o.trace_id = s.trace_id AND o.span_id = s.span_id
WHERE s.trace_id = $1
ORDER BY o.start_time_unix_nano, s.span_id, s.time_unix_nano
LIMIT 1000;

-- name: list-label-keys
-- The attribute keys of a metric's points in a window.
SELECT DISTINCT jsonb_object_keys(p.attributes) FROM points AS p
WHERE p.metric_name = $3 AND p.time_unix_nano >= $1 AND p.time_unix_nano < $2;

-- name: list-label-values
-- The values of an attribute of a metric's points in a window.
SELECT DISTINCT p.attributes ->> $4 FROM points AS p
WHERE p.metric_name = $3 AND p.time_unix_nano >= $1 AND p.time_unix_nano < $2 AND p.attributes ? $4;

-- name: average-points
-- The average of a metric's points in a window by the value of an attribute and by minute.
SELECT p.attributes ->> $4 AS value, p.time_unix_nano / 60000000000 * 60000000000 AS step,
    avg(coalesce(p.value_double, p.value_int)) AS average
FROM points AS p
WHERE p.metric_name = $3 AND p.time_unix_nano >= $1 AND p.time_unix_nano < $2
GROUP BY 1, 2
ORDER BY 1, 2;
