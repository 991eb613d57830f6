-- S: the seed's tables for metric points, from the OTLP Schema Implementation Plan; seed_dimensions.sql says what is
-- changed, and here chk_value_one_of: a point without a value is legal ("no recorded value"). As written the facts have
-- no index but their key, so that a metric's points are found by reading all, and no place for zero_threshold.

CREATE TABLE metric_types (metric_type_id smallint PRIMARY KEY);
INSERT INTO metric_types SELECT generate_series(1, 5);
CREATE TABLE aggregation_temporalities (temporality_id smallint PRIMARY KEY);
INSERT INTO aggregation_temporalities SELECT generate_series(0, 2);

CREATE TABLE otel_metrics_dim (
    metric_id bigserial PRIMARY KEY,
    metric_hash varchar(64) NOT NULL UNIQUE,
    metric_identity_hash varchar(64) NOT NULL,
    name text NOT NULL,
    metric_type_id smallint NOT NULL,
    unit text,
    aggregation_temporality_id smallint,
    is_monotonic boolean,
    description text,
    schema_url text,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL
);
CREATE UNIQUE INDEX idx_otel_metrics_hash ON otel_metrics_dim (metric_hash);
CREATE INDEX idx_otel_metrics_identity ON otel_metrics_dim (metric_identity_hash);
CREATE INDEX idx_otel_metrics_name ON otel_metrics_dim (name);

CREATE TABLE otel_metrics_data_points_number (
    data_point_id bigserial PRIMARY KEY,
    metric_id bigint NOT NULL,
    resource_id bigint NOT NULL,
    scope_id bigint,
    start_time_unix_nano bigint,
    time_unix_nano bigint NOT NULL,
    value_int bigint,
    value_double double precision,
    flags integer DEFAULT 0,
    exemplars jsonb,
    CONSTRAINT chk_value_one_of CHECK (value_int IS NULL OR value_double IS NULL)
);

CREATE TABLE otel_metrics_data_points_histogram (
    data_point_id bigserial PRIMARY KEY,
    metric_id bigint NOT NULL,
    resource_id bigint NOT NULL,
    scope_id bigint,
    start_time_unix_nano bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    count bigint NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    explicit_bounds double precision[] NOT NULL,
    bucket_counts bigint[] NOT NULL,
    flags integer DEFAULT 0,
    exemplars jsonb
);

CREATE TABLE otel_metrics_data_points_exp_histogram (
    data_point_id bigserial PRIMARY KEY,
    metric_id bigint NOT NULL,
    resource_id bigint NOT NULL,
    scope_id bigint,
    start_time_unix_nano bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    count bigint NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    scale integer NOT NULL,
    zero_count bigint NOT NULL,
    positive_offset integer,
    positive_bucket_counts bigint[],
    negative_offset integer,
    negative_bucket_counts bigint[],
    flags integer DEFAULT 0,
    exemplars jsonb
);

CREATE TABLE otel_metrics_data_points_summary (
    data_point_id bigserial PRIMARY KEY,
    metric_id bigint NOT NULL,
    resource_id bigint NOT NULL,
    scope_id bigint,
    start_time_unix_nano bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    quantile_values jsonb NOT NULL,
    flags integer DEFAULT 0
);

SELECT create_attribute_tables(format('otel_metric_%s_attrs', kind), 'data_point_id')
FROM unnest(ARRAY['number', 'histogram', 'exp_histogram', 'summary']) AS kind;
