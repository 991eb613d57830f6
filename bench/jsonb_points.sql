-- The JSONB table for metric points of all five types: the metric in each row, what only some types have in `data`.

CREATE TABLE points (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint,
    value_int bigint,
    value_double double precision,
    resource_id bigint NOT NULL,
    scope_id bigint NOT NULL,
    flags int,
    metric_type smallint NOT NULL,
    temporality smallint,
    is_monotonic boolean,
    metric_name text NOT NULL,
    unit text NOT NULL,
    description text NOT NULL,
    attributes jsonb NOT NULL,
    data jsonb,
    exemplars jsonb
);
CREATE INDEX ON points (metric_name, time_unix_nano);
CREATE INDEX ON points (time_unix_nano);
CREATE INDEX ON points (resource_id, time_unix_nano);
CREATE INDEX ON points USING gin (attributes jsonb_path_ops);
