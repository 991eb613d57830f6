"""The rules that let this schema be distributed later by one further script, as far as the catalogue knows them."""

from tests.sql.rows import PARTITIONS, ask

FACTS = """
WITH facts AS (
    SELECT inhrelid::regclass AS relation, false AS is_parent FROM pg_inherits
    WHERE inhparent IN (SELECT partrelid FROM pg_partitioned_table)
        AND inhrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r')
    UNION ALL
    SELECT partrelid::regclass, true FROM pg_partitioned_table
)
"""
"""Every partitioned table and every partition of one."""

VIOLATIONS = {
    "a fact is partitioned by RANGE of one bigint column, on one level, and registered with that column": """
        SELECT p.partrelid::regclass::text
        FROM pg_partitioned_table AS p
        LEFT JOIN pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
        LEFT JOIN otel_partitioned_tables AS t ON t.parent = p.partrelid::regclass::text
        WHERE p.partstrat <> 'r' OR p.partnatts <> 1 OR a.atttypid <> 'bigint'::regtype
            OR t.time_column IS DISTINCT FROM a.attname
            OR EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = p.partrelid)
        """,
    "the primary key of a fact holds its distribution column and its partition column": """
        SELECT p.partrelid::regclass::text
        FROM pg_partitioned_table AS p
        JOIN otel_partitioned_tables AS t ON t.parent = p.partrelid::regclass::text
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint AS c
            CROSS JOIN LATERAL (
                SELECT array_agg(a.attname::text) AS columns FROM pg_attribute AS a
                WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
            ) AS key
            WHERE c.conrelid = p.partrelid AND c.contype = 'p'
                AND key.columns && ARRAY['trace_id', 'trace_key', 'series_id', 'resource_id']
                AND t.time_column = ANY (key.columns)
        )
        """,
    "no column of a fact is generated or an identity, or has a default": FACTS
    + """
        SELECT relation::text || '.' || attname FROM facts JOIN pg_attribute ON attrelid = relation
        WHERE attnum > 0 AND (attgenerated <> '' OR attidentity <> '' OR atthasdef)
        """,
    "identity columns are bigint, and no column draws from a sequence otherwise": """
        SELECT attrelid::regclass::text || '.' || attname
        FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid AND c.relnamespace = 'public'::regnamespace
        WHERE attidentity <> '' AND atttypid <> 'bigint'::regtype
        UNION ALL
        SELECT adrelid::regclass::text FROM pg_attrdef WHERE pg_get_expr(adbin, adrelid) LIKE 'nextval%'
        """,
    "no foreign key": "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'",
    "no exclusion constraint": "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'x'",
    "no trigger": "SELECT tgrelid::regclass::text FROM pg_trigger",
    "no rule beside those that make views": """
        SELECT ev_class::regclass::text FROM pg_rewrite JOIN pg_class AS c ON c.oid = ev_class
        WHERE c.relnamespace = 'public'::regnamespace AND rulename <> '_RETURN'
        """,
    "no materialized view": "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'm'",
    "a partitioned parent has b-trees only: BRIN and GIN belong to single partitions": """
        SELECT indexrelid::regclass::text FROM pg_index
        JOIN pg_partitioned_table ON partrelid = indrelid
        JOIN pg_class AS i ON i.oid = indexrelid
        JOIN pg_am ON pg_am.oid = i.relam
        WHERE amname <> 'btree'
        """,
    "a fact has no unique index but its primary key": FACTS
    + """
        SELECT indexrelid::regclass::text FROM facts JOIN pg_index ON indrelid = relation
        WHERE indisunique AND NOT indisprimary
        """,
    "every partition has a BRIN on its time": FACTS
    + """
        SELECT relation::text FROM facts WHERE NOT is_parent AND NOT EXISTS (
            SELECT FROM pg_index
            JOIN pg_class AS i ON i.oid = indexrelid
            JOIN pg_am ON pg_am.oid = i.relam
            WHERE indrelid = relation AND amname = 'brin')
        """,
    "there is no default partition": "SELECT partrelid::regclass::text FROM pg_partitioned_table WHERE partdefid <> 0",
    "the ledger's key is its digest": """
        SELECT conname::text FROM pg_constraint
        WHERE conrelid = 'otel_ingest_ledger'::regclass AND contype = 'p'
            AND pg_get_constraintdef(oid) <> 'PRIMARY KEY (body_digest)'
        """,
    "every other table has a primary key": """
        SELECT oid::regclass::text FROM pg_class AS c
        WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p')
        """,
}
"""What the rules say -> the query of what breaks them."""

BREAK = """
    CREATE TABLE bad (trace_id uuid, id int GENERATED ALWAYS AS IDENTITY, time int NOT NULL DEFAULT 1)
    PARTITION BY LIST (time);
    CREATE TABLE bad_rest PARTITION OF bad DEFAULT;
    CREATE UNIQUE INDEX ON bad (time);
    CREATE INDEX ON bad USING brin (time);
    INSERT INTO otel_partitioned_tables VALUES ('bad', 'bad', 'id');
    CREATE TABLE worse (
        id serial REFERENCES otel_resources_dim, during int4range, EXCLUDE USING gist (during WITH &&));
    CREATE RULE quiet AS ON DELETE TO worse DO INSTEAD NOTHING;
    CREATE MATERIALIZED VIEW stale AS SELECT 1;
    ALTER TABLE otel_ingest_ledger DROP CONSTRAINT otel_ingest_ledger_pkey, ADD PRIMARY KEY (committed_at);
    DROP INDEX otel_spans_fact_p20260101t00_start_time_unix_nano_idx;
"""
"""Breaks every rule."""


def test_schema_keeps_the_rules(database_url: str) -> None:
    given = PARTITIONS
    for rule, violations in VIOLATIONS.items():
        assert ask(database_url, violations, given=given) == [], rule
        given = ""


def test_rules_find_what_breaks_them(database_url: str) -> None:
    given = PARTITIONS + BREAK
    for rule, violations in VIOLATIONS.items():
        assert ask(database_url, violations, given=given), rule
        given = ""


def test_every_fact_is_registered(database_url: str) -> None:
    rows = ask(
        database_url,
        "SELECT array(SELECT parent FROM otel_partitioned_tables ORDER BY 1) AS registered, "
        "array(SELECT partrelid::regclass::text FROM pg_partitioned_table ORDER BY 1) AS partitioned",
    )
    assert rows[0]["registered"] == rows[0]["partitioned"]
    assert len(rows[0]["registered"]) == 13
