-- What reading needs: one rule for what a filter on an attribute matches, wherever it is stored; which keys may lie on
-- rows; and which traces have rows in several hours.

-- A key that may lie on the row of a record, as its values hardly repeat or one of them was long. It is told here before
-- the first such row is committed, so that who reads looks for a key that is not marked in the series alone.
ALTER TABLE attribute_keys
ADD COLUMN spans_on_row boolean NOT NULL DEFAULT false,
ADD COLUMN logs_on_row boolean NOT NULL DEFAULT false;
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

-- Promoted keys whose values lie on rows have an index there, a partial one in each partition: `is_complete` once all of
-- them have it. (7 to 18 bytes a row that has the key, against 70 to 110 for a typed row of its own.)
CREATE TABLE otel_row_indexes (
    key_hash bytea NOT NULL,
    is_complete boolean NOT NULL,
    signal text NOT NULL,
    parent text NOT NULL,
    key text NOT NULL,
    PRIMARY KEY (signal, key_hash)
);

CREATE FUNCTION otel_row_index(how text, partition_name text, key text, key_hash bytea) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN format('CREATE INDEX %s %I ON %I (jsonb_hash(attributes -> %L)) WHERE attributes ? %L', how,
    partition_name || '_k' || left(encode(key_hash, 'hex'), 16), partition_name, key, key);

-- What is still to be executed, one statement after the other and each by itself, until all partitions have the indexes
-- of these keys. An index whose making was cut off is made anew.
CREATE FUNCTION otel_row_indexes_due() RETURNS TABLE (statement text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT s.statement
    FROM otel_row_indexes AS i
    JOIN otel_partitions AS p ON p.parent = i.parent
    LEFT JOIN pg_index AS made
        ON made.indexrelid = to_regclass(format('%I', p.partition || '_k' || left(encode(i.key_hash, 'hex'), 16)))
    CROSS JOIN LATERAL (VALUES
        (1, CASE WHEN NOT made.indisvalid THEN format('DROP INDEX CONCURRENTLY %s', made.indexrelid::regclass) END),
        (2, CASE WHEN made.indisvalid IS NOT TRUE
            THEN otel_row_index('CONCURRENTLY', p.partition, i.key, i.key_hash) END)
    ) AS s (number, statement)
    WHERE s.statement IS NOT NULL
    ORDER BY p.lower_unix_nano DESC, i.key_hash, s.number;
END;

-- Makes the partitions of `signal` that hold `keys` (unix nanoseconds), as long as `interval_nano` unless neighbours
-- are nearer (the interval may have been changed). CREATE + ATTACH instead of CREATE .. PARTITION OF: the latter locks
-- out every writer of the parent. Returns how many were made.
CREATE OR REPLACE FUNCTION otel_create_partitions(signal text, keys bigint[], interval_nano bigint) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET client_min_messages = warning AS $$
DECLARE
    target record;
    lower_bound bigint;
    upper_bound bigint;
    name text;
    statement text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('otel_partitions'));
    FOR target IN
        SELECT t.parent, t.time_column, k.key
        FROM otel_partitioned_tables AS t, (SELECT DISTINCT unnest(keys) AS key) AS k
        WHERE t.signal = otel_create_partitions.signal
        ORDER BY t.parent, k.key
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM otel_partitions AS p
            WHERE p.parent = target.parent AND target.key >= lower_unix_nano AND target.key < upper_unix_nano);
        lower_bound := target.key / interval_nano * interval_nano;
        upper_bound := lower_bound + interval_nano;
        SELECT greatest(lower_bound, max(upper_unix_nano) FILTER (WHERE upper_unix_nano <= target.key)),
            least(upper_bound, min(lower_unix_nano) FILTER (WHERE lower_unix_nano > target.key))
        INTO lower_bound, upper_bound FROM otel_partitions AS p WHERE p.parent = target.parent;
        name := target.parent || to_char(
            to_timestamp(lower_bound / 1000000000) AT TIME ZONE 'UTC', '"_p"YYYYMMDD"t"HH24');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', name, target.parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
            target.parent, name, lower_bound, upper_bound);
        EXECUTE format('CREATE INDEX ON %I USING brin (%I) WITH (pages_per_range = 32, autosummarize = on)', name, target.time_column);
        FOR statement IN
            SELECT otel_row_index('', name, i.key, i.key_hash) FROM otel_row_indexes AS i WHERE i.parent = target.parent
        LOOP
            EXECUTE statement;
        END LOOP;
        INSERT INTO otel_partitions VALUES (target.parent, lower_bound, upper_bound, name);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
