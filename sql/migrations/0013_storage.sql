-- How often attributes were filtered on, summed over replicas: with what each costs, that says which to promote or drop.

-- Names of keys are what people typed, so only their hashes are kept: who reads knows the keys that are stored.
CREATE TABLE otel_attribute_filters (
    key_hash bytea NOT NULL,
    filters bigint NOT NULL,
    seconds double precision NOT NULL,
    signal text NOT NULL,
    PRIMARY KEY (signal, key_hash)
);
