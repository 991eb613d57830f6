-- J1's table for spans: J2's (jsonb_spans.sql), but resource and scope stand in the row; service and time by expression.

CREATE TABLE spans (
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    parent_span_id bigint,
    start_time_unix_nano bigint NOT NULL,
    end_time_unix_nano bigint NOT NULL,
    flags int,
    dropped_attributes_count int,
    dropped_events_count int,
    dropped_links_count int,
    kind smallint NOT NULL,
    status_code smallint NOT NULL,
    name text NOT NULL,
    trace_state text,
    status_message text,
    resource jsonb NOT NULL,
    scope jsonb NOT NULL,
    attributes jsonb NOT NULL,
    events jsonb,
    links jsonb,
    PRIMARY KEY (trace_id, span_id)
);
CREATE INDEX ON spans (start_time_unix_nano);
CREATE INDEX ON spans ((resource #>> '{attributes,service.name}'), start_time_unix_nano);
CREATE INDEX ON spans USING gin (attributes jsonb_path_ops);
