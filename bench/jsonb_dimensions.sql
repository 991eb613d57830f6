-- What the JSONB tables refer to by id: one row for each distinct resource and scope.

CREATE TABLE resources (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schema_url text NOT NULL,
    attributes jsonb NOT NULL
);
CREATE INDEX ON resources ((attributes ->> 'service.name'));

CREATE TABLE scopes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    schema_url text NOT NULL,
    attributes jsonb NOT NULL
);
