-- Spans with their events and links, and the rollup that trace lists are answered from.
-- Columns stand in the order of their alignment. sent_start_time_unix_nano is null unless the span's own time was out
-- of range and start_time_unix_nano is the time of its receipt.

CREATE TABLE otel_spans_fact (
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    end_time_unix_nano bigint NOT NULL,
    resource_id bigint NOT NULL,
    series_id bigint NOT NULL,
    parent_span_id bigint,
    sent_start_time_unix_nano bigint,
    flags int,
    status_code_id int,
    dropped_attributes_count bigint,
    dropped_events_count bigint,
    dropped_links_count bigint,
    trace_state text,
    status_message text,
    attributes jsonb,
    PRIMARY KEY (trace_id, span_id, start_time_unix_nano)
) PARTITION BY RANGE (start_time_unix_nano);
-- Whole seconds: equal keys let the b-tree deduplicate (82 -> 26 bytes a span).
CREATE INDEX ON otel_spans_fact (series_id, (start_time_unix_nano / 1000000000));
CREATE INDEX ON otel_spans_fact (resource_id, (start_time_unix_nano / 1000000000));
CREATE INDEX ON otel_spans_fact (trace_id, span_id, sent_start_time_unix_nano)
WHERE sent_start_time_unix_nano IS NOT NULL;

CREATE TABLE otel_span_events (
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    time_unix_nano bigint NOT NULL,
    ordinal int NOT NULL,
    dropped_attributes_count bigint,
    name text NOT NULL,
    attributes jsonb,
    PRIMARY KEY (trace_id, span_id, start_time_unix_nano, ordinal)
) PARTITION BY RANGE (start_time_unix_nano);

CREATE TABLE otel_span_links (
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    ordinal int NOT NULL,
    flags int,
    dropped_attributes_count bigint,
    linked_trace_id bytea NOT NULL,
    linked_span_id bytea NOT NULL,
    trace_state text,
    attributes jsonb,
    PRIMARY KEY (trace_id, span_id, start_time_unix_nano, ordinal)
) PARTITION BY RANGE (start_time_unix_nano);

-- One row a trace and hour (of its spans' start_time_unix_nano). root_* describe the root span, or while there is
-- none the earliest one: the first by (has_root desc, root_start_time_unix_nano, root_span_id). services: the distinct
-- resource_ids. Times are effective: end before start counts as start.
CREATE TABLE otel_traces (
    trace_id uuid NOT NULL,
    hour_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint NOT NULL,
    end_time_unix_nano bigint NOT NULL,
    root_start_time_unix_nano bigint NOT NULL,
    root_span_id bigint NOT NULL,
    root_series_id bigint NOT NULL,
    root_resource_id bigint NOT NULL,
    span_count bigint NOT NULL,
    error_count bigint NOT NULL,
    has_root boolean NOT NULL,
    resource_ids bigint[] NOT NULL,
    PRIMARY KEY (trace_id, hour_unix_nano)
) PARTITION BY RANGE (hour_unix_nano);
CREATE INDEX ON otel_traces (start_time_unix_nano);
CREATE INDEX ON otel_traces (root_resource_id, start_time_unix_nano);
CREATE INDEX ON otel_traces (start_time_unix_nano) WHERE error_count > 0;
CREATE INDEX ON otel_traces ((end_time_unix_nano - start_time_unix_nano));

INSERT INTO otel_partitioned_tables VALUES
('otel_spans_fact', 'spans', 'start_time_unix_nano'),
('otel_span_events', 'spans', 'start_time_unix_nano'),
('otel_span_links', 'spans', 'start_time_unix_nano'),
('otel_traces', 'spans', 'hour_unix_nano');
