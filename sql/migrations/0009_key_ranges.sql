-- Where a body's records lie in time, where that is more than one stretch: one late record among those of now would
-- have a tail look through all that lies between. Null: one stretch, from min_key_unix_nano to max_key_unix_nano.

ALTER TABLE otel_ingest_ledger ADD COLUMN key_ranges_unix_nano int8multirange;
