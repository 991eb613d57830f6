-- S: the seed's tables for spans, from the OTLP Schema Implementation Plan; seed_dimensions.sql says what is changed.
-- As written it has no index to find the events or links of a span by, and keeps neither a link's flags nor the order.

CREATE TABLE span_kinds (kind_id smallint PRIMARY KEY);
INSERT INTO span_kinds SELECT generate_series(0, 5);
CREATE TABLE status_codes (status_code_id smallint PRIMARY KEY);
INSERT INTO status_codes SELECT generate_series(0, 2);

CREATE TABLE otel_spans_fact (
    span_id bigserial PRIMARY KEY,
    resource_id bigint NOT NULL,
    scope_id bigint,
    trace_id varchar(32) NOT NULL,
    span_id_hex varchar(16) NOT NULL,
    parent_span_id_hex varchar(16),
    trace_state text,
    name text NOT NULL,
    kind_id smallint,
    start_time_unix_nano bigint NOT NULL,
    end_time_unix_nano bigint NOT NULL,
    status_code_id smallint,
    status_message text,
    dropped_attributes_count integer DEFAULT 0,
    dropped_events_count integer DEFAULT 0,
    dropped_links_count integer DEFAULT 0,
    flags integer DEFAULT 0
);
CREATE UNIQUE INDEX idx_otel_spans_trace_span ON otel_spans_fact (trace_id, span_id_hex);
CREATE INDEX idx_otel_spans_trace ON otel_spans_fact (trace_id);
CREATE INDEX idx_otel_spans_resource ON otel_spans_fact (resource_id);
CREATE INDEX idx_otel_spans_time ON otel_spans_fact (start_time_unix_nano DESC);
CREATE INDEX idx_otel_spans_parent ON otel_spans_fact (parent_span_id_hex) WHERE parent_span_id_hex IS NOT NULL;

CREATE TABLE otel_span_events (
    event_id bigserial PRIMARY KEY,
    span_id bigint NOT NULL,
    name text NOT NULL,
    time_unix_nano bigint NOT NULL,
    dropped_attributes_count integer DEFAULT 0
);

CREATE TABLE otel_span_links (
    link_id bigserial PRIMARY KEY,
    span_id bigint NOT NULL,
    linked_trace_id varchar(32) NOT NULL,
    linked_span_id_hex varchar(16) NOT NULL,
    trace_state text,
    dropped_attributes_count integer DEFAULT 0
);

SELECT create_attribute_tables('otel_span_attrs', 'span_id');
SELECT create_attribute_tables('otel_span_event_attrs', 'event_id');
SELECT create_attribute_tables('otel_span_link_attrs', 'link_id');
