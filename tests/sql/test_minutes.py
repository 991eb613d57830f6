"""The migration that brings minutes: what is stored already has partitions for them, and is due."""

import asyncio
from uuid import uuid4

import asyncpg

from exporter.database import Database
from exporter.integrity import check
from exporter.minutes import AT_ONCE, Minutes
from exporter.partitions import Partitions
from sql import scripts
from tests.conftest import database_of
from tests.sql.rows import DAY, DIMENSIONS, HOUR, TRACE, T, insert, span

BOUNDS = """SELECT parent, array_agg(int8range(lower_unix_nano, upper_unix_nano) ORDER BY lower_unix_nano) AS bounds
FROM otel_partitions WHERE parent = ANY($1) GROUP BY parent"""
TRACES = f"""
INSERT INTO otel_traces VALUES ('{TRACE}', {T}, {T}, {T + 9}, {T}, 1, 2, 1, 2, 0, true, '{{1, 2}}');
"""


def test_what_is_stored_is_computed_after_the_migration(server_url: str) -> None:
    async def session(name: str) -> None:
        url = database_of(server_url, name)
        connection = await asyncpg.connect(url)
        before = [text for script, text in scripts("migrations") if script < "0010"]
        minutes, *later = [text for script, text in scripts("migrations") if script >= "0010"]
        for text in (*before, DIMENSIONS):
            await connection.execute(text)
        logged = {"trace_key": TRACE, "has_trace": True, "body": "x", "resource_id": 1, "series_id": 1}
        await connection.execute(
            span(1, T, T + 9, series=2)
            + span(2, T + 1, T + 8, resource=2, parent_span_id=1)
            + TRACES
            + insert("otel_logs_fact", time_unix_nano=T + HOUR, log_id=1, **logged)
        )
        await connection.execute(minutes)
        parents = ["otel_spans_fact", "otel_operation_minutes", "otel_edge_minutes", "otel_log_minutes"]
        bounds = [row["bounds"] for row in await connection.fetch(BOUNDS, parents)]
        assert len(bounds) == 4 and all(each == bounds[0] for each in bounds)
        due = await connection.fetchval("SELECT count(*) FROM otel_due_minutes")
        assert due == 2 * len(bounds[0]) * DAY // 60_000_000_000
        for text in later:
            await connection.execute(text)
        database = Database(url, 1, 60.0)
        assert await Minutes(database, Partitions(database, DAY / 1e9, 2), AT_ONCE).roll_up() == due
        await database.close()
        tables = ("otel_operation_minutes", "otel_edge_minutes", "otel_log_minutes")
        assert [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables] == [2, 1, 1]
        assert await check(connection) == []
        await connection.close()

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(server_url)
        await connection.execute(statement)
        await connection.close()

    name = f"test_{uuid4().hex[:16]}"
    asyncio.run(execute(f"CREATE DATABASE {name}"))
    asyncio.run(session(name))
    asyncio.run(execute(f"DROP DATABASE {name} WITH (FORCE)"))
