-- J1's table for points: J2's (jsonb_points.sql), but resource and scope stand in the row; service and time by expression.

CREATE TABLE points (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time_unix_nano bigint NOT NULL,
    start_time_unix_nano bigint,
    value_int bigint,
    value_double double precision,
    flags int,
    metric_type smallint NOT NULL,
    temporality smallint,
    is_monotonic boolean,
    metric_name text NOT NULL,
    unit text NOT NULL,
    description text NOT NULL,
    resource jsonb NOT NULL,
    scope jsonb NOT NULL,
    attributes jsonb NOT NULL,
    data jsonb,
    exemplars jsonb
);
CREATE INDEX ON points (metric_name, time_unix_nano);
CREATE INDEX ON points (time_unix_nano);
CREATE INDEX ON points ((resource #>> '{attributes,service.name}'), time_unix_nano);
CREATE INDEX ON points USING gin (attributes jsonb_path_ops);
