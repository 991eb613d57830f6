-- Old data in line with promotion lists that were changed, and what is known of a key that left the series.

-- How far `postel promote` has come with a key, so that one that was cut off goes on: the dimension's rows up to
-- last_id have their typed rows. No row: nothing is under way.
CREATE TABLE otel_backfills (
    key_hash bytea NOT NULL,
    last_id bigint NOT NULL,
    owner text NOT NULL,
    types text[] NOT NULL,
    PRIMARY KEY (owner, key_hash)
);

-- When a key left the series of a signal, and how many values it had had by then: which key made too many series.
-- (Null of a key that left before this version, or in a replica of an earlier one.)
ALTER TABLE attribute_keys
ADD COLUMN spans_left_at timestamptz,
ADD COLUMN logs_left_at timestamptz,
ADD COLUMN spans_left_values bigint,
ADD COLUMN logs_left_values bigint;
