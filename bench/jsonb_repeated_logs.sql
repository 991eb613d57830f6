-- J1's table for logs: J2's (jsonb_logs.sql), but resource and scope stand in the row; service and time by expression.

CREATE TABLE logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time_unix_nano bigint NOT NULL,
    observed_time_unix_nano bigint NOT NULL,
    trace_id uuid,
    span_id bigint,
    flags int,
    dropped_attributes_count int,
    severity_number smallint NOT NULL,
    severity_text text,
    event_name text,
    body jsonb,
    resource jsonb NOT NULL,
    scope jsonb NOT NULL,
    attributes jsonb NOT NULL
);
CREATE INDEX ON logs (time_unix_nano);
CREATE INDEX ON logs ((resource #>> '{attributes,service.name}'), time_unix_nano);
CREATE INDEX ON logs (severity_number, time_unix_nano);
CREATE INDEX ON logs (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX ON logs USING gin (attributes jsonb_path_ops);
