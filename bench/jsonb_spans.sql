-- The JSONB table for spans: ids as uuid and bigint (20 bytes less in the row and in its key than as hex text),
-- columns in the order of their alignment, events and links in the row.

CREATE TABLE spans (
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    parent_span_id bigint,
    start_time_unix_nano bigint NOT NULL,
    end_time_unix_nano bigint NOT NULL,
    resource_id bigint NOT NULL,
    scope_id bigint NOT NULL,
    flags int,
    dropped_attributes_count int,
    dropped_events_count int,
    dropped_links_count int,
    kind smallint NOT NULL,
    status_code smallint NOT NULL,
    name text NOT NULL,
    trace_state text,
    status_message text,
    attributes jsonb NOT NULL,
    events jsonb,
    links jsonb,
    PRIMARY KEY (trace_id, span_id)
);
CREATE INDEX ON spans (start_time_unix_nano);
CREATE INDEX ON spans (resource_id, start_time_unix_nano);
CREATE INDEX ON spans USING gin (attributes jsonb_path_ops);
