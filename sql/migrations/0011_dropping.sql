-- Dropping what is old so that nobody who writes waits for it: the partitions of a stretch of time are emptied together,
-- which locks none of their parents, then detached and dropped one by one, whenever the lock on a parent is to be had.

-- Emptied: to be dropped, whatever became of the reason.
ALTER TABLE otel_partitions ADD COLUMN is_leaving boolean;

-- Stretches of time by which a signal's partitions go: facts, children and rollups together, also where the interval was
-- changed or a table came later, so that the partitions of one table begin in the middle of another's.
CREATE FUNCTION otel_partition_ranges() RETURNS TABLE (
    signal text, lower_unix_nano bigint, upper_unix_nano bigint, is_leaving boolean, partitions text[])
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH placed AS (
        SELECT t.signal, p.parent, p.lower_unix_nano, p.upper_unix_nano, p.partition, p.is_leaving,
            max(p.upper_unix_nano) OVER (
                PARTITION BY t.signal ORDER BY p.lower_unix_nano, p.upper_unix_nano, p.parent
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ended_unix_nano
        FROM otel_partitions AS p JOIN otel_partitioned_tables AS t ON t.parent = p.parent
    ),
    numbered AS (
        SELECT placed.*, count(*) FILTER (WHERE ended_unix_nano IS NULL OR lower_unix_nano >= ended_unix_nano) OVER (
            PARTITION BY placed.signal ORDER BY lower_unix_nano, upper_unix_nano, parent) AS number
        FROM placed
    )
    SELECT n.signal, min(n.lower_unix_nano), max(n.upper_unix_nano), bool_and(n.is_leaving IS TRUE),
        array_agg(n.partition ORDER BY n.parent)
    FROM numbered AS n
    GROUP BY n.signal, n.number;
END;

-- Empties the partitions of the range of `signal` that ends at `until`, and marks them as leaving. Returns the bytes they
-- held; null where somebody uses one of them, which is not waited for. Nothing but these partitions is locked. Edges of
-- later minutes whose client's span goes are counted nowhere any more.
CREATE FUNCTION otel_empty_range(signal text, until bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '10ms' AS $$
DECLARE
    names text[];
    listed text;
    held bigint;
BEGIN
    -- Who computes minutes must not write what it has read here.
    IF NOT pg_try_advisory_xact_lock(hashtext('postel-minutes')) THEN
        RETURN NULL;
    END IF;
    SELECT r.partitions, (SELECT string_agg(format('%I', name), ', ') FROM unnest(r.partitions) AS name)
    INTO names, listed
    FROM otel_partition_ranges() AS r
    WHERE r.signal = otel_empty_range.signal AND r.upper_unix_nano = until AND NOT r.is_leaving;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', listed);
    SELECT sum(pg_total_relation_size(leaf)), string_agg(leaf::text, ', ') FILTER (WHERE pg_relation_size(leaf) > 0)
    INTO held, listed FROM unnest(names) AS name, to_regclass(format('%I', name)) AS leaf;
    IF listed IS NOT NULL THEN
        EXECUTE format('TRUNCATE %s', listed);
    END IF;
    IF signal = 'spans' THEN
        DELETE FROM otel_edge_minutes AS e
        WHERE e.client_minute_unix_nano < until
            AND e.minute_unix_nano >= until AND e.minute_unix_nano < until + 3660000000000;
    END IF;
    UPDATE otel_partitions AS p SET is_leaving = true WHERE p.partition = ANY (names);
    RETURN held;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END $$;

-- Drops one partition that is leaving. Returns whether it did; null where there is nothing to drop, because somebody else
-- did or because rows have come since. False: locks were not to be had, of which the one on the parent makes writers wait
-- behind it. (Not DETACH .. CONCURRENTLY, which no function may do: docs/decisions/0016.)
CREATE FUNCTION otel_drop_partition(partition_name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '40ms' AS $$
DECLARE
    old record;
    is_used boolean;
BEGIN
    -- Their statements hold the parents for as long as a second: not worth queueing for.
    IF NOT pg_try_advisory_xact_lock(hashtext('postel-minutes')) THEN
        RETURN false;
    END IF;
    SELECT p.parent INTO old FROM otel_partitions AS p
    WHERE p.partition = partition_name AND p.is_leaving FOR UPDATE NOWAIT;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- The partition first: while we wait for who reads it, nobody waits for its parent.
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE NOWAIT', partition_name);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', partition_name) INTO is_used;
    IF is_used THEN
        UPDATE otel_partitions AS p SET is_leaving = NULL WHERE p.partition = partition_name;
        RETURN NULL;
    END IF;
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', old.parent, partition_name);
    EXECUTE format('DROP TABLE %I', partition_name);
    DELETE FROM otel_partitions AS p WHERE p.partition = partition_name;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

-- Analyses a partitioned table, as autovacuum analyses partitions alone; returns whether it did: false where somebody
-- else is at it. Before PostgreSQL 18 that is each partition once more. ATTACH has to wait for the end of it, so who needs
-- a partition at once cancels it (sql/queries/partitions.sql, cancel-analyze).
CREATE FUNCTION otel_analyze(parent text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '40ms' AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('postel-analyze'))
        OR NOT EXISTS (SELECT FROM otel_partitioned_tables AS t WHERE t.parent = otel_analyze.parent) THEN
        RETURN false;
    END IF;
    EXECUTE format('ANALYZE %s %I',
        CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'ONLY' END, parent);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

REVOKE EXECUTE ON FUNCTION otel_empty_range, otel_drop_partition, otel_analyze FROM PUBLIC;
