-- What reading needs: one rule for what a filter on an attribute matches, wherever it is stored; which keys may lie on
-- rows; and which traces have rows in several hours.

-- A key that may lie on the row of a record, as its values hardly repeat or one of them was long. It is told here before
-- the first such row is committed, so that who reads looks for a key that is not marked in the series alone.
ALTER TABLE attribute_keys
ADD COLUMN spans_on_row boolean NOT NULL DEFAULT false,
ADD COLUMN logs_on_row boolean NOT NULL DEFAULT false,
-- Whether the values on rows have an index: a partial one for each such key, made where the key is promoted.
ADD COLUMN spans_on_row_indexed boolean NOT NULL DEFAULT false,
ADD COLUMN logs_on_row_indexed boolean NOT NULL DEFAULT false;
UPDATE attribute_keys SET spans_on_row = spans_high_cardinality, logs_on_row = logs_high_cardinality;

-- The number that a stored value stands for: an int, a double, or a string that is written like one. NaN is none.
CREATE FUNCTION otel_number(value jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(value)
    WHEN 'number' THEN value::numeric
    WHEN 'string' THEN CASE
        WHEN length(value #>> '{}') <= 1000
            AND value #>> '{}' ~ '^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$'
            THEN (value #>> '{}')::numeric
    END
    WHEN 'object' THEN CASE
        WHEN value IN ('{"doubleValue": "Infinity"}', '{"doubleValue": "-Infinity"}', '{"doubleValue": "-0"}')
            THEN (value ->> 'doubleValue')::numeric
    END
END;

-- What a stored value compares as with text: null for bytes, arrays and maps.
CREATE FUNCTION otel_text(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(value) IN ('string', 'number', 'boolean') THEN value #>> '{}' END;

-- -1, 0 or 1 as a stored value is before, equal to or after a wanted one: as numbers where that is one, else as text.
CREATE FUNCTION otel_compare(value jsonb, wanted jsonb) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN jsonb_typeof(wanted) = 'number' THEN sign(otel_number(value) - wanted::numeric)::int
    WHEN jsonb_typeof(value) IS DISTINCT FROM 'string' THEN NULL
    WHEN (value #>> '{}') COLLATE "C" < (wanted #>> '{}') THEN -1
    WHEN (value #>> '{}') COLLATE "C" = (wanted #>> '{}') THEN 0
    ELSE 1
END;

-- Whether the value of an attribute, null where there is none, is what a filter asks for. Of eq and ne `wanted` are all
-- the stored forms of what was given; a missing attribute matches nothing but "missing".
CREATE FUNCTION otel_matches(value jsonb, operator text, wanted jsonb[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE operator
    WHEN 'eq' THEN value = ANY(wanted)
    WHEN 'ne' THEN value <> ALL(wanted)
    WHEN 'gt' THEN otel_compare(value, wanted[1]) > 0
    WHEN 'gte' THEN otel_compare(value, wanted[1]) >= 0
    WHEN 'lt' THEN otel_compare(value, wanted[1]) < 0
    WHEN 'lte' THEN otel_compare(value, wanted[1]) <= 0
    WHEN 'like' THEN otel_text(value) LIKE (wanted[1] #>> '{}')
    WHEN 'exists' THEN value IS NOT NULL
    WHEN 'missing' THEN value IS NULL
END;

-- Whether the trace has rows in other hours, within a day of this one: only these have to be put together in a list.
ALTER TABLE otel_traces ADD COLUMN is_split boolean;
UPDATE otel_traces SET is_split = true
WHERE trace_id IN (SELECT trace_id FROM otel_traces GROUP BY trace_id HAVING count(*) > 1);
CREATE INDEX ON otel_traces (start_time_unix_nano) WHERE is_split;
