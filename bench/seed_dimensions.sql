-- S: the seed's dimensions and its one pattern of attribute tables, from the OTLP Schema Implementation Plan. Without
-- foreign keys: seed_foreign_keys.sql adds them. Changed where the plan's DDL refuses legal data, and nowhere else:
-- - VARCHAR(n) of keys, names and units is TEXT: OTLP limits no length. (Stored alike.)
-- - An index on a text or bytea value holds its first 600 characters or 2,400 bytes: a b-tree takes 2,704 bytes.
-- The plan gives no DDL of the tables of enum names; they are as small as can be.

CREATE TABLE attribute_keys (
    key_id bigserial PRIMARY KEY,
    key text NOT NULL UNIQUE
);
CREATE UNIQUE INDEX idx_attribute_keys_key ON attribute_keys (key);

CREATE TABLE otel_resources_dim (
    resource_id bigserial PRIMARY KEY,
    resource_hash varchar(64) NOT NULL UNIQUE,
    service_name text,
    service_namespace text,
    schema_url text,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    dropped_attributes_count integer NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX idx_otel_resources_hash ON otel_resources_dim (resource_hash);
CREATE INDEX idx_otel_resources_service ON otel_resources_dim (service_name, service_namespace);

CREATE TABLE otel_scopes_dim (
    scope_id bigserial PRIMARY KEY,
    scope_hash varchar(64) NOT NULL UNIQUE,
    name text NOT NULL,
    version text,
    schema_url text,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    dropped_attributes_count integer NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX idx_otel_scopes_hash ON otel_scopes_dim (scope_hash);
CREATE INDEX idx_otel_scopes_name ON otel_scopes_dim (name);

-- The plan spells the pattern out for resources; every other owner's tables are "the same".
CREATE FUNCTION create_attribute_tables(prefix text, owner_id text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    kind text[];
BEGIN
    FOREACH kind SLICE 1 IN ARRAY ARRAY[
        ['string', 'text', 'left(value, 600)'], ['int', 'bigint', 'value'], ['double', 'double precision', 'value'],
        ['bool', 'boolean', 'value'], ['bytes', 'bytea', 'substring(value, 1, 2400)']]
    LOOP
        EXECUTE format(
            'CREATE TABLE %1$I (%2$I bigint NOT NULL, key_id bigint NOT NULL, value %3$s NOT NULL, '
            'PRIMARY KEY (%2$I, key_id))', prefix || '_' || kind[1], owner_id, kind[2]);
        EXECUTE format('CREATE INDEX ON %I (key_id, (%s))', prefix || '_' || kind[1], kind[3]);
    END LOOP;
    EXECUTE format('CREATE TABLE %I (%I bigint PRIMARY KEY, attributes jsonb NOT NULL)', prefix || '_other', owner_id);
    EXECUTE format('CREATE INDEX ON %I USING gin (attributes)', prefix || '_other');
END $$;

SELECT create_attribute_tables('otel_resource_attrs', 'resource_id');
SELECT create_attribute_tables('otel_scope_attrs', 'scope_id');
