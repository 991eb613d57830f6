-- S: the seed's tables for logs, from the OTLP Schema Implementation Plan; seed_dimensions.sql says what is changed.
-- As written it has no place for event_name. The index on (log_id, key_id, value) that the plan recommends besides
-- under "Performance considerations" is left out: it would only make S slower and larger.

CREATE TABLE log_severity_numbers (severity_number smallint PRIMARY KEY);
INSERT INTO log_severity_numbers SELECT generate_series(0, 24);
CREATE TABLE log_body_types (body_type_id smallint PRIMARY KEY);
INSERT INTO log_body_types SELECT generate_series(0, 7);

CREATE TABLE otel_logs_fact (
    log_id bigserial PRIMARY KEY,
    resource_id bigint NOT NULL,
    scope_id bigint,
    time_unix_nano bigint NOT NULL,
    observed_time_unix_nano bigint NOT NULL,
    severity_number smallint,
    severity_text text,
    body_type_id smallint,
    body jsonb,
    trace_id varchar(32),
    span_id_hex varchar(16),
    trace_flags integer,
    dropped_attributes_count integer DEFAULT 0,
    flags integer DEFAULT 0
);
CREATE INDEX idx_otel_logs_time ON otel_logs_fact (time_unix_nano DESC);
CREATE INDEX idx_otel_logs_resource ON otel_logs_fact (resource_id);
CREATE INDEX idx_otel_logs_severity ON otel_logs_fact (severity_number);
CREATE INDEX idx_otel_logs_trace ON otel_logs_fact (trace_id, span_id_hex);

SELECT create_attribute_tables('otel_log_attrs', 'log_id');
