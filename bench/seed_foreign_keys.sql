-- S+FK: the foreign keys of the seed's tables, as in the OTLP Schema Implementation Plan, on whatever tables are there.

DO $$
DECLARE
    reference record;
BEGIN
    FOR reference IN
        SELECT c.relname AS child, a.attname AS child_column, p.relname AS parent, r.parent_column, r.on_delete
        FROM (VALUES
            ('key_id', 'attribute_keys', 'key_id', ''),
            ('resource_id', 'otel_resources_dim', 'resource_id', ''),
            ('scope_id', 'otel_scopes_dim', 'scope_id', ''),
            ('metric_id', 'otel_metrics_dim', 'metric_id', ''),
            ('log_id', 'otel_logs_fact', 'log_id', ''),
            ('span_id', 'otel_spans_fact', 'span_id', 'ON DELETE CASCADE'),
            ('event_id', 'otel_span_events', 'event_id', ''),
            ('link_id', 'otel_span_links', 'link_id', ''),
            ('severity_number', 'log_severity_numbers', 'severity_number', ''),
            ('body_type_id', 'log_body_types', 'body_type_id', ''),
            ('kind_id', 'span_kinds', 'kind_id', ''),
            ('status_code_id', 'status_codes', 'status_code_id', ''),
            ('metric_type_id', 'metric_types', 'metric_type_id', ''),
            ('aggregation_temporality_id', 'aggregation_temporalities', 'temporality_id', ''),
            ('data_point_id', 'otel_metrics_data_points_number', 'data_point_id', ''),
            ('data_point_id', 'otel_metrics_data_points_histogram', 'data_point_id', ''),
            ('data_point_id', 'otel_metrics_data_points_exp_histogram', 'data_point_id', ''),
            ('data_point_id', 'otel_metrics_data_points_summary', 'data_point_id', '')
        ) AS r (child_column, parent, parent_column, on_delete)
        JOIN pg_class AS p ON p.relname = r.parent AND p.relnamespace = 'public'::regnamespace
        JOIN pg_attribute AS a ON a.attname = r.child_column
        JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
        WHERE c.oid <> p.oid
            AND (r.child_column <> 'data_point_id'
                OR c.relname LIKE replace(p.relname, 'otel_metrics_data_points_', 'otel_metric_') || '\_attrs\_%')
    LOOP
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (%I) REFERENCES %I (%I) %s',
            reference.child, reference.child_column, reference.parent, reference.parent_column, reference.on_delete);
    END LOOP;
END $$;
