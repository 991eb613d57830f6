"""What a database's schema is, as far as its catalogue tells: to compare two that were made in different ways."""

import asyncio
from typing import Any

import asyncpg

PARTS = {
    "relations": """
        SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
            c.relowner::regrole::text AS owner, c.reloptions AS options,
            (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) AS a) AS rights,
            CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END AS definition,
            pg_get_expr(c.relpartbound, c.oid) AS bounds
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('public', 'otel_team') AND c.relkind IN ('r', 'p', 'v', 'S')
        """,
    "columns": """
        SELECT attrelid::regclass::text AS relation, attname::text AS name, format_type(atttypid, atttypmod) AS type,
            attnotnull AS required, attidentity::text AS identity, attgenerated::text AS generated,
            pg_get_expr(d.adbin, d.adrelid) AS otherwise
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = attrelid AND c.relkind IN ('r', 'p', 'v')
        LEFT JOIN pg_attrdef AS d ON d.adrelid = attrelid AND d.adnum = attnum
        WHERE c.relnamespace IN ('public'::regnamespace, 'otel_team'::regnamespace) AND attnum > 0 AND NOT attisdropped
        """,
    # Names of indexes on partitions are PostgreSQL's.
    "indexes": """
        SELECT indrelid::regclass::text AS relation,
            regexp_replace(pg_get_indexdef(indexrelid), 'INDEX .* ON (ONLY )?', 'INDEX ON ') AS definition,
            indisvalid AS valid
        FROM pg_index JOIN pg_class AS c ON c.oid = indrelid WHERE c.relnamespace = 'public'::regnamespace
        """,
    "constraints": """
        SELECT conrelid::regclass::text AS relation, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        """,
    "functions": """
        SELECT pg_get_functiondef(oid) AS definition, proowner::regrole::text AS owner,
            (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(proacl) AS a) AS rights
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        """,
    "comments": """
        SELECT objoid::regclass::text AS relation, objsubid AS number, description FROM pg_description
        JOIN pg_class AS c ON c.oid = objoid AND c.relnamespace IN ('public'::regnamespace, 'otel_team'::regnamespace)
        """,
    "registered": "SELECT parent, signal, time_column FROM otel_partitioned_tables",
    "applied": "SELECT version, name, checksum FROM postel_migrations",
}
"""What is compared -> the query of it."""


def catalogue(url: str) -> dict[str, list[str]]:
    """Part of the catalogue -> its lines, sorted."""

    async def session() -> dict[str, list[str]]:
        connection: Any = await asyncpg.connect(url)
        try:
            rows = {part: await connection.fetch(statement) for part, statement in PARTS.items()}
        finally:
            await connection.close()
        return {part: sorted(str(dict(row)) for row in found) for part, found in rows.items()}

    return asyncio.run(session())
