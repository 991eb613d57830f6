-- Partitions by time: which tables have them, made without blocking writers, dropped when nothing is kept so long.

CREATE TABLE otel_partitioned_tables (
    parent text PRIMARY KEY,
    signal text NOT NULL,
    time_column text NOT NULL
);

CREATE TABLE otel_partitions (
    parent text NOT NULL,
    lower_unix_nano bigint NOT NULL,
    upper_unix_nano bigint NOT NULL,
    partition text NOT NULL,
    PRIMARY KEY (parent, lower_unix_nano)
);

-- Makes the partitions of `signal` that hold `keys` (unix nanoseconds), as long as `interval_nano` unless neighbours
-- are nearer (the interval may have been changed). CREATE + ATTACH instead of CREATE .. PARTITION OF: the latter locks
-- out every writer of the parent. Returns how many were made.
CREATE FUNCTION otel_create_partitions(signal text, keys bigint[], interval_nano bigint) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET client_min_messages = warning AS $$
DECLARE
    target record;
    lower_bound bigint;
    upper_bound bigint;
    name text;
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
        INSERT INTO otel_partitions VALUES (target.parent, lower_bound, upper_bound, name);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drops the partitions of `signal` that end at or before `before_unix_nano`; returns their names. A lock that is not
-- to be had at once is an error (55P03): the next round tries again, and no writer waits behind us.
CREATE FUNCTION otel_drop_partitions(signal text, before_unix_nano bigint) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '100ms' AS $$
DECLARE
    old record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('otel_partitions'));
    FOR old IN
        SELECT p.parent, p.partition FROM otel_partitions AS p JOIN otel_partitioned_tables AS t USING (parent)
        WHERE t.signal = otel_drop_partitions.signal AND p.upper_unix_nano <= before_unix_nano
        ORDER BY p.parent, p.lower_unix_nano
    LOOP
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', old.parent, old.partition);
        EXECUTE format('DROP TABLE %I', old.partition);
        DELETE FROM otel_partitions AS p WHERE p.parent = old.parent AND p.partition = old.partition;
        RETURN NEXT old.partition;
    END LOOP;
END $$;

REVOKE EXECUTE ON FUNCTION otel_create_partitions, otel_drop_partitions FROM PUBLIC;
