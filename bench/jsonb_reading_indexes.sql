-- What J2 has besides its own indexes where it is asked: what one would add for these very questions.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- Lists of traces: their root spans by time, and what is asked of their other spans without looking at these.
CREATE INDEX ON spans (start_time_unix_nano) WHERE parent_span_id IS NULL;
CREATE INDEX ON spans (trace_id) INCLUDE (resource_id, status_code, end_time_unix_nano);
CREATE INDEX ON spans (trace_id) WHERE status_code = 2;

-- Text within bodies.
CREATE INDEX ON logs USING gin ((body #>> '{}') gin_trgm_ops);

-- Series and labels, without looking at the points.
CREATE INDEX ON points (metric_name, time_unix_nano) INCLUDE (attributes, value_int, value_double);
