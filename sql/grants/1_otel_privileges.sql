-- What the writer and the reader may do, with every table, view and function: the one place where that is decided.
-- Partitions need nothing, as rights are asked of their parents; functions that only compute are everybody's.

CREATE OR REPLACE VIEW otel_privileges AS
SELECT o.name AS object, p.is_function, p.writer, p.reader
FROM (VALUES
    -- Facts are added, and deleted by rules of retention, never changed; what they add up to changes.
    (false, 'SELECT, INSERT, DELETE', 'SELECT', ARRAY[
        'otel_spans_fact', 'otel_span_events', 'otel_span_links', 'otel_logs_fact', 'otel_metrics_data_points_number',
        'otel_metrics_data_points_histogram', 'otel_metrics_data_points_exp_histogram',
        'otel_metrics_data_points_summary', 'otel_exemplars']),
    (false, 'SELECT, INSERT, UPDATE, DELETE', 'SELECT', ARRAY['otel_traces', 'otel_due_minutes']),
    (false, 'SELECT, INSERT, UPDATE', 'SELECT', ARRAY['attribute_keys', 'otel_attribute_filters']),
    (false, 'SELECT, INSERT, DELETE', 'SELECT', ARRAY[
        'otel_operation_minutes', 'otel_edge_minutes', 'otel_log_minutes']),
    (false, 'SELECT, UPDATE', 'SELECT', ARRAY['otel_minutes_watermark']),
    (false, 'SELECT, UPDATE', '', ARRAY['otel_rounds']),
    -- Dimensions are confirmed, and pruned.
    (false, 'SELECT, INSERT, UPDATE, DELETE', 'SELECT', ARRAY[
        'otel_resources_dim', 'otel_scopes_dim', 'otel_metrics_dim', 'otel_span_series_dim', 'otel_log_series_dim',
        'otel_metric_series_dim', 'otel_ingest_ledger']),
    (false, 'SELECT, INSERT, UPDATE', '', ARRAY['otel_ingest_totals']),
    -- What was refused may hold anything, and the key of digests is nobody's business.
    (false, 'SELECT, INSERT, DELETE', '', ARRAY['otel_rejected_records']),
    (false, 'SELECT', '', ARRAY['otel_secrets', 'postel_migrations', 'otel_partitioned_tables', 'otel_erasures']),
    (false, 'SELECT', 'SELECT', ARRAY['otel_partitions', 'otel_row_indexes', 'otel_services', 'otel_span_ends']),
    (false, '', 'SELECT', ARRAY[
        'span_kinds', 'status_codes', 'log_severity_numbers', 'metric_types', 'aggregation_temporalities',
        'log_body_types']),
    -- The public views.
    (false, '', 'SELECT', ARRAY[
        'v_otel_spans_enriched', 'v_otel_logs_enriched', 'v_otel_metrics_number', 'v_otel_metrics_enriched',
        'v_otel_exemplars', 'v_otel_traces']),
    (false, 'SELECT', 'SELECT', ARRAY['v_otel_ingest_ledger', 'v_otel_storage']),
    (false, '', '', ARRAY[
        'otel_backfills',
        'otel_roles', 'otel_namespace_grants', 'otel_granted_namespaces', 'otel_privileges', 'otel_due_privileges',
        'otel_foreign_objects']),
    -- Functions that read run with the rights of who asks; those that make and drop partitions with the owner's.
    (true, 'EXECUTE', 'EXECUTE', ARRAY[
        'otel_body_minutes', 'otel_unsettled_minutes', 'otel_count_operations', 'otel_count_edges', 'otel_count_logs']),
    (true, 'EXECUTE', '', ARRAY[
        'otel_create_partitions', 'otel_drop_partitions', 'otel_partition_ranges', 'otel_empty_range',
        'otel_drop_partition', 'otel_analyze', 'otel_count_traces']),
    (true, '', '', ARRAY[
        'otel_forget_statistics',
        'otel_create_attribute_tables', 'otel_row_indexes_due', 'otel_apply_privileges', 'otel_grant_namespaces'])
) AS p (is_function, writer, reader, names)
CROSS JOIN unnest(p.names) AS o (name)
UNION ALL
SELECT 'otel_' || owner || '_attrs_' || kind, false, 'SELECT, INSERT, DELETE', 'SELECT'
FROM unnest(ARRAY['resource', 'scope', 'span_series', 'log_series', 'metric_series']) AS owners (owner)
CROSS JOIN unnest(ARRAY['string', 'int', 'double', 'bool', 'bytes']) AS kinds (kind);

COMMENT ON VIEW otel_privileges IS
'What the roles of otel_roles may do with each object of Postel; the owner may do everything, everybody else nothing.';
