-- Log records. trace_key is the trace id where there is one (has_trace), else a time-ordered uuid made by the writer.

CREATE TABLE otel_logs_fact (
    trace_key uuid NOT NULL,
    time_unix_nano bigint NOT NULL,
    log_id bigint NOT NULL,
    resource_id bigint NOT NULL,
    series_id bigint NOT NULL,
    observed_time_unix_nano bigint,
    span_id bigint,
    sent_time_unix_nano bigint,
    dropped_attributes_count bigint,
    flags int,
    has_trace boolean NOT NULL,
    body text,
    body_other jsonb,
    attributes jsonb,
    PRIMARY KEY (trace_key, time_unix_nano, log_id)
) PARTITION BY RANGE (time_unix_nano);
CREATE INDEX ON otel_logs_fact (series_id, (time_unix_nano / 1000000000));
CREATE INDEX ON otel_logs_fact (resource_id, (time_unix_nano / 1000000000));

INSERT INTO otel_partitioned_tables VALUES ('otel_logs_fact', 'logs', 'time_unix_nano');
