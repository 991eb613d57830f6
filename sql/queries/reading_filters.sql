-- name: keep-seconds
-- The same records, by the whole seconds that the indexes on resource and series have.
SELECT m.* FROM __matches__ AS m WHERE m.__time__ / 1000000000 BETWEEN $1 / 1000000000 AND $2 / 1000000000;

-- name: keep-after
-- What comes after a key, where the earliest come first.
SELECT m.* FROM __matches__ AS m
WHERE (m.__time__, m.__group__, m.__id__) > (__after_time__::bigint, __after_group__::uuid, __after_id__::bigint);

-- name: keep-one
-- Records of one resource or series.
SELECT m.* FROM __matches__ AS m WHERE m.__driver__ = __id__::bigint;

-- name: keep-matching
-- What an attribute filter leaves of dimension rows, or of a span's events.
SELECT m.* FROM __matches__ AS m
WHERE otel_matches(m.attributes -> __key__::text, __operator__::text, __wanted__::jsonb[]);

-- name: keep-equal
-- The same of a filter for equality, by an index where there is one: __contained__ are objects of the key and each value.
SELECT m.* FROM __matches__ AS m
WHERE m.attributes @> ANY(__contained__::jsonb[]) AND m.attributes -> __key__::text = ANY(__wanted__::jsonb[]);

-- name: keep-of-series
-- Records of the series that the statement inside finds: many. OFFSET has each record's looked up; the planner expects
-- few of them, and would look for the records of each one.
SELECT m.* FROM __matches__ AS m WHERE EXISTS (SELECT FROM __inside__ AS s WHERE s.series_id = m.series_id OFFSET 0);

-- name: keep-records
-- What an attribute filter leaves of records whose key may lie on the row: __series__ are the series that match.
SELECT m.* FROM __matches__ AS m
WHERE CASE
    WHEN m.attributes ? __key__::text
        THEN otel_matches(m.attributes -> __key__::text, __operator__::text, __wanted__::jsonb[])
    ELSE m.series_id = ANY(__series__::bigint[])
END;

-- name: keep-records-of-series
-- The same where too many series match to be named: the statement inside finds them.
SELECT m.* FROM __matches__ AS m
WHERE CASE
    WHEN m.attributes ? __key__::text
        THEN otel_matches(m.attributes -> __key__::text, __operator__::text, __wanted__::jsonb[])
    ELSE EXISTS (SELECT FROM __inside__ AS s WHERE s.series_id = m.series_id)
END;

-- name: keep-hashed
-- What has a value on its row, of a key that has an index there.
SELECT m.* FROM __matches__ AS m
WHERE m.attributes ? __key__::text
    AND jsonb_hash(m.attributes -> __key__::text) = ANY(ARRAY(SELECT jsonb_hash(w) FROM unnest(__wanted__::jsonb[]) AS u (w)));

-- name: keep-of-type
-- Spans without a key of an earlier semantic type, and with one of this type on the row or in their series, which the
-- statement inside finds.
SELECT m.* FROM __matches__ AS m JOIN __inside__ AS s ON s.series_id = m.series_id
WHERE jsonb_path_exists(m.attributes, __earlier__::text::jsonpath) IS NOT TRUE
    AND (s.fits OR jsonb_path_exists(m.attributes, __own__::text::jsonpath));

-- name: keep-off-row
-- What has no such key on its row.
SELECT m.* FROM __matches__ AS m WHERE (m.attributes ? __key__::text) IS NOT TRUE;

-- name: keep-with-event
-- Spans of which one event is found by the statement inside.
SELECT m.* FROM __matches__ AS m WHERE EXISTS (SELECT FROM __inside__ AS found);

-- name: keep-with-span
-- Traces of which one span is found by the statement inside.
SELECT m.* FROM __matches__ AS m WHERE EXISTS (SELECT FROM __inside__ AS s WHERE s.trace_id = m.trace_id);

-- name: match-span-events
-- The events of a span, for filters to be put around.
SELECT e.attributes FROM otel_span_events AS e
WHERE e.trace_id = m.trace_id AND e.span_id = m.span_id AND e.start_time_unix_nano = m.start_time_unix_nano
    AND e.start_time_unix_nano >= $1 AND e.start_time_unix_nano < $2;

-- name: list-ids
-- The ids of dimension rows, no more than __most__.
SELECT m.__id__ FROM __matches__ AS m LIMIT __most__;

-- name: find-row-keys
-- Keys of these hashes that may lie on rows, and whether these have an index.
SELECT k.key_hash, i.is_complete AS is_indexed
FROM attribute_keys AS k LEFT JOIN otel_row_indexes AS i ON i.signal = $2 AND i.key_hash = k.key_hash
WHERE k.key_hash = ANY($1::bytea[]) AND k.__signal___on_row;
