-- The points of all types in one shape; what only some types have is null for the others. JSON is made above the joins,
-- so that it is made for the points that are answered only.
CREATE OR REPLACE VIEW v_otel_metrics_enriched AS
SELECT
    p.series_id || ':' || p.time_unix_nano AS data_point_id,
    m.metric_id,
    m.name AS metric_name,
    m.unit,
    mt.name AS metric_type,
    p.time_unix_nano,
    otel_unsigned(p.start_time_unix_nano) AS start_time_unix_nano,
    coalesce(p.value_int, p.value_double) AS value,
    coalesce(r.service_name, 'unknown_service') AS service_name,
    r.service_namespace,
    ms.attributes,
    p.value_int,
    p.value_double,
    p.series_id,
    ms.identity_hash,
    otel_unsigned(p.sent_time_unix_nano) AS sent_time_unix_nano,
    coalesce(p.flags & 4294967295, 0) AS flags,
    m.metric_type_id,
    m.description,
    m.aggregation_temporality_id,
    at.name AS aggregation_temporality,
    m.is_monotonic,
    m.metadata,
    r.resource_id,
    r.attributes AS resource_attributes,
    r.schema_url AS resource_schema_url,
    sc.scope_id,
    sc.name AS scope_name,
    sc.version AS scope_version,
    sc.attributes AS scope_attributes,
    sc.schema_url AS scope_schema_url,
    otel_unsigned(p.count) AS count,
    p.sum,
    p.min,
    p.max,
    -- Histogram: [{"upper_bound", "count"}], the last without a bound. Exponential: as it was sent, never expanded.
    CASE p.shape
        WHEN 'histogram' THEN coalesce((
            SELECT jsonb_agg(
                jsonb_build_object('upper_bound', b.upper_bound, 'count', otel_unsigned(b.count)) ORDER BY b.n)
            FROM unnest(ms.explicit_bounds, coalesce(p.bucket_counts_wide, p.bucket_counts))
                WITH ORDINALITY AS b (upper_bound, count, n)
        ), '[]')
        WHEN 'exponential' THEN jsonb_build_object(
            'scale', p.scale,
            'zero_count', otel_unsigned(p.zero_count),
            'zero_threshold', coalesce(p.zero_threshold, 0),
            'positive', CASE WHEN p.positive_offset IS NOT NULL THEN jsonb_build_object(
                'offset', p.positive_offset,
                'bucket_counts', coalesce((
                    SELECT jsonb_agg(otel_unsigned(b.count) ORDER BY b.n)
                    FROM unnest(coalesce(p.positive_bucket_counts_wide, p.positive_bucket_counts))
                        WITH ORDINALITY AS b (count, n)
                ), '[]')) END,
            'negative', CASE WHEN p.negative_offset IS NOT NULL THEN jsonb_build_object(
                'offset', p.negative_offset,
                'bucket_counts', coalesce((
                    SELECT jsonb_agg(otel_unsigned(b.count) ORDER BY b.n)
                    FROM unnest(coalesce(p.negative_bucket_counts_wide, p.negative_bucket_counts))
                        WITH ORDINALITY AS b (count, n)
                ), '[]')) END)
    END AS buckets,
    CASE p.shape
        WHEN 'summary' THEN coalesce((
            SELECT jsonb_agg(jsonb_build_object('quantile', q.quantile, 'value', q.value) ORDER BY q.n)
            FROM unnest(ms.quantiles, p.quantile_values) WITH ORDINALITY AS q (quantile, value, n)
        ), '[]')
    END AS quantiles
FROM (
    SELECT
        'number' AS shape, series_id, time_unix_nano, start_time_unix_nano, sent_time_unix_nano, flags,
        value_int, value_double,
        NULL::bigint AS count, NULL::double precision AS sum, NULL::double precision AS min,
        NULL::double precision AS max,
        NULL::int[] AS bucket_counts, NULL::bigint[] AS bucket_counts_wide,
        NULL::int AS scale, NULL::bigint AS zero_count, NULL::double precision AS zero_threshold,
        NULL::int AS positive_offset, NULL::int[] AS positive_bucket_counts,
        NULL::bigint[] AS positive_bucket_counts_wide,
        NULL::int AS negative_offset, NULL::int[] AS negative_bucket_counts,
        NULL::bigint[] AS negative_bucket_counts_wide,
        NULL::double precision[] AS quantile_values
    FROM otel_metrics_data_points_number
    UNION ALL
    SELECT
        'histogram', series_id, time_unix_nano, start_time_unix_nano, sent_time_unix_nano, flags,
        NULL, NULL, count, sum, min, max, bucket_counts, bucket_counts_wide,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM otel_metrics_data_points_histogram
    UNION ALL
    SELECT
        'exponential', series_id, time_unix_nano, start_time_unix_nano, sent_time_unix_nano, flags,
        NULL, NULL, count, sum, min, max, NULL, NULL,
        scale, zero_count, zero_threshold, positive_offset, positive_bucket_counts, positive_bucket_counts_wide,
        negative_offset, negative_bucket_counts, negative_bucket_counts_wide, NULL
    FROM otel_metrics_data_points_exp_histogram
    UNION ALL
    SELECT
        'summary', series_id, time_unix_nano, start_time_unix_nano, sent_time_unix_nano, flags,
        NULL, NULL, count, sum, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, quantile_values
    FROM otel_metrics_data_points_summary
) AS p
JOIN otel_metric_series_dim AS ms ON ms.series_id = p.series_id
JOIN otel_metrics_dim AS m ON m.metric_id = ms.metric_id
JOIN otel_resources_dim AS r ON r.resource_id = ms.resource_id
JOIN otel_scopes_dim AS sc ON sc.scope_id = ms.scope_id
LEFT JOIN metric_types AS mt ON mt.metric_type_id = m.metric_type_id
LEFT JOIN aggregation_temporalities AS at ON at.temporality_id = m.aggregation_temporality_id;

COMMENT ON VIEW v_otel_metrics_enriched IS
'One row a data point of any metric type: the columns of v_otel_metrics_number, then count, sum, min, max, and buckets '
'and quantiles as JSON.';
