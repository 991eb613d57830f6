-- Data points of the five metric types (gauge and sum share one table) and their exemplars.
-- Everything that identifies a point but its time lies in otel_metric_series_dim. The tables keep to few columns: a
-- ninth costs a wider null bitmap in every row. Counts are uint64 as the same 64 bits.

CREATE TABLE otel_metrics_data_points_number (
    series_id bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint,
    value_int bigint,
    value_double double precision,
    sent_time_unix_nano bigint,
    flags int,
    PRIMARY KEY (series_id, time_unix_nano)
) PARTITION BY RANGE (time_unix_nano);

-- bucket_counts where every count fits an int, else bucket_counts_wide.
CREATE TABLE otel_metrics_data_points_histogram (
    series_id bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint,
    count bigint NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    sent_time_unix_nano bigint,
    flags int,
    bucket_counts int[],
    bucket_counts_wide bigint[],
    PRIMARY KEY (series_id, time_unix_nano)
) PARTITION BY RANGE (time_unix_nano);

CREATE TABLE otel_metrics_data_points_exp_histogram (
    series_id bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint,
    count bigint NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    zero_count bigint NOT NULL,
    zero_threshold double precision NOT NULL,
    sent_time_unix_nano bigint,
    scale int NOT NULL,
    flags int,
    positive_offset int,
    negative_offset int,
    positive_bucket_counts int[],
    positive_bucket_counts_wide bigint[],
    negative_bucket_counts int[],
    negative_bucket_counts_wide bigint[],
    PRIMARY KEY (series_id, time_unix_nano)
) PARTITION BY RANGE (time_unix_nano);

-- quantile_values[i] belongs to the series' quantiles[i].
CREATE TABLE otel_metrics_data_points_summary (
    series_id bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    sent_time_unix_nano bigint,
    flags int,
    quantile_values double precision[] NOT NULL,
    PRIMARY KEY (series_id, time_unix_nano)
) PARTITION BY RANGE (time_unix_nano);

DO $$
DECLARE
    kind text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['number', 'histogram', 'exp_histogram', 'summary'] LOOP
        EXECUTE format('CREATE INDEX ON %I (series_id, sent_time_unix_nano) WHERE sent_time_unix_nano IS NOT NULL',
            'otel_metrics_data_points_' || kind);
        INSERT INTO otel_partitioned_tables
        VALUES ('otel_metrics_data_points_' || kind, 'metrics', 'time_unix_nano');
    END LOOP;
END $$;

-- time_unix_nano is the point's; the exemplar's own time may be any.
CREATE TABLE otel_exemplars (
    series_id bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    exemplar_time_unix_nano bigint NOT NULL,
    value_int bigint,
    value_double double precision,
    span_id bigint,
    ordinal int NOT NULL,
    trace_id uuid,
    attributes jsonb,
    PRIMARY KEY (series_id, time_unix_nano, ordinal)
) PARTITION BY RANGE (time_unix_nano);
CREATE INDEX ON otel_exemplars (trace_id) WHERE trace_id IS NOT NULL;
INSERT INTO otel_partitioned_tables VALUES ('otel_exemplars', 'metrics', 'time_unix_nano');
