-- What became of the records that were received.

CREATE OR REPLACE VIEW v_otel_ingest_ledger AS
SELECT
    day,
    signal,
    sum(received)::bigint AS received,
    sum(stored)::bigint AS stored,
    sum(deduplicated)::bigint AS deduplicated,
    sum(dropped)::bigint AS dropped,
    sum(rejected)::bigint AS rejected
FROM (
    SELECT (committed_at AT TIME ZONE 'UTC')::date AS day, signal, received, stored, deduplicated, dropped, rejected
    FROM otel_ingest_ledger
    UNION ALL
    SELECT day, signal, received, stored, deduplicated, dropped, rejected FROM otel_ingest_totals
) AS l
GROUP BY day, signal;

COMMENT ON VIEW v_otel_ingest_ledger IS
'One row a day (of the commit, UTC) and signal: received = stored + deduplicated + dropped + rejected. A body that came again within dedup_window is not received again.';
