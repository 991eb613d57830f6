"""From every version to the newest with data in it, by several at once, and what is refused."""

import asyncio
import io
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import asyncpg
import pytest

from exporter import cli, migrations, roles
from exporter.database import Database
from exporter.errors import ChangedMigration
from exporter.minutes import AT_ONCE, Minutes
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.partitions import Partitions
from exporter.settings import load
from sql import query, scripts
from tests.exporter.asking import postel
from tests.exporter.conftest import violations
from tests.exporter.sending import DAY, NOW, log, logs, sent, span, spans
from tests.queries import samples
from tests.roles import Deployment, deployment
from tests.sql.catalogue import catalogue
from tests.sql.rows import ask

VERSIONS = [int(name[:4]) for name, _ in scripts("migrations")]
FIRST = 7
"""The first version that all signals had their tables in, and a ledger."""

EMPTY = {
    "otel_ingest_totals",
    "otel_due_minutes",
    "otel_row_indexes",
    "otel_roles",
    "otel_namespace_grants",
    "otel_erasures",
    "otel_attribute_filters",
    "otel_backfills",
}
"""Tables that a short while of ingest leaves empty."""

TABLES = """
SELECT c.relname::text AS name, array_agg(a.attname::text ORDER BY attnum) AS columns
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
GROUP BY 1 ORDER BY 1
"""
PARTITIONS = """
SELECT DISTINCT t.signal, p.lower_unix_nano, p.upper_unix_nano
FROM otel_partitions AS p JOIN otel_partitioned_tables AS t USING (parent)
"""


def bodies() -> list[tuple[str, bytes]]:
    """Every field of every signal, a call, keys on rows, and a refused record."""
    everything = ((SPANS, samples.spans), (LOGS, samples.logs), (METRICS, samples.metrics))
    return [
        *((signal, request("shop").SerializeToString()) for signal, request in everything),
        spans(*(span(900, i + 1, start=NOW - i * DAY // 20, has={"user.id": f"u{i}", "n": i % 3}) for i in range(300))),
        logs(*(log(f"x{i}", at=NOW - i * DAY) for i in range(3)), resource={"service.namespace": "payments"}),
        spans(span(902, 1, kind=3), resource={"service.name": "cart"}),
        spans(span(902, 2, kind=2, parent_span_id=(1).to_bytes(8, "big"))),
        spans(span(0, 1)),
    ]


@pytest.fixture(scope="module")
def source(server_url: str, template: str) -> Iterator[Deployment]:
    """A database of the newest version that telemetry came to, with roles, and all minutes computed."""
    with deployment(server_url, template) as made:
        made.create()
        sent(made.url, *bodies())
        # Minutes wait for writers that cannot be seen.
        made.run("UPDATE otel_ingest_ledger SET committed_at = committed_at - INTERVAL '1 minute'")

        async def compute() -> None:
            database = Database(made.url, 1, 60.0)
            settings = load(environ={})
            partitions = Partitions(database, settings.intervals, 1)
            await Minutes(database, partitions, AT_ONCE).roll_up()
            await database.close()

        asyncio.run(compute())
        yield made


async def migrate_to(connection: Any, version: int) -> None:
    """What `postel migrate` of that version did to an empty database, but for the views."""
    await connection.execute(query("migrations", "create-migrations"))
    for name, text in scripts("migrations"):
        if int(name[:4]) <= version:
            await connection.execute(text)
            checksum = sha256(text.encode()).hexdigest()
            await connection.execute(query("migrations", "record-migration"), int(name[:4]), name, checksum)


async def columns_of(connection: Any) -> dict[str, list[str]]:
    """Table -> its columns."""
    return {row["name"]: row["columns"] for row in await connection.fetch(TABLES)}


async def make_partitions(connection: Any, source: Any) -> None:
    """The partitions that the source has, by the function of the version that there is."""
    for row in await source.fetch(PARTITIONS):
        arguments = row[0], [row[1]], row[2] - row[1]
        await connection.execute("SELECT otel_create_partitions($1, $2::bigint[], $3)", *arguments)


async def fill(connection: Any, source: Any) -> dict[str, list[str]]:
    """Put the source's rows into every table that its migrations left empty; returns these, with their columns."""
    await make_partitions(connection, source)
    there = await columns_of(source)
    filled = {}
    for table, columns in (await columns_of(connection)).items():
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):
            continue
        chosen = [name for name in columns if name in there[table]]
        rows = io.BytesIO()
        await source.copy_from_query(f"SELECT {', '.join(chosen)} FROM {table}", output=rows, format="binary")
        rows.seek(0)
        await connection.copy_to_table(table, source=rows, columns=chosen, format="binary")
        filled[table] = chosen
    return filled


async def told(connection: Any, table: str, columns: list[str]) -> list[str]:
    """The rows of a table as text, sorted."""
    rows = await connection.fetch(f"SELECT t::text FROM (SELECT {', '.join(columns)} FROM {table}) AS t")
    return sorted(row[0] for row in rows)


@pytest.mark.parametrize("version", [version for version in VERSIONS if FIRST <= version < VERSIONS[-1]])
def test_from_every_version_with_data_in_it(server_url: str, source: Deployment, version: int) -> None:
    async def session(made: Deployment) -> None:
        connection: Any = await asyncpg.connect(made.url)
        old: Any = await asyncpg.connect(source.url)
        await migrate_to(connection, version)
        filled = await fill(connection, old)
        kept = {table: await told(connection, table, columns) for table, columns in filled.items()}
        facts = {table for table, rows in kept.items() if rows and "_attrs_" not in table}
        assert facts >= {table for table in filled if "_attrs_" not in table} - EMPTY, "there is something to be kept"
        await migrations.migrate(made.url)
        for table, columns in filled.items():
            if table != "otel_due_minutes":
                assert await told(connection, table, columns) == kept[table], table
        for name, _ in scripts("views"):
            view = name.removesuffix(".sql")
            count = f"SELECT count(*) FROM (SELECT * FROM {view} OFFSET 0) AS v"
            assert await connection.fetchval(count) == await old.fetchval(count), view
        await connection.close()
        await old.close()

    async def fresh(made: Deployment) -> None:
        await migrations.migrate(made.url)
        connection, old = await asyncpg.connect(made.url), await asyncpg.connect(source.url)
        await make_partitions(connection, old)
        await connection.close()
        await old.close()

    with deployment(server_url, None) as upgraded, deployment(server_url, None) as made:
        asyncio.run(session(upgraded))
        assert asyncio.run(violations(upgraded.url)) == []
        asyncio.run(fresh(made))
        for database in (upgraded, made):
            asyncio.run(roles.create(database.url, source.prefix, 8.0))
        assert_same(catalogue(upgraded.url), catalogue(made.url))
        sent(upgraded.writer.replace(upgraded.prefix, source.prefix), logs(log("goes on")), spans(span(901, 1)))
        assert asyncio.run(violations(upgraded.url)) == []


def assert_same(upgraded: dict[str, list[str]], made: dict[str, list[str]]) -> None:
    """Two catalogues are the same; names the first lines that differ."""
    for part, lines in made.items():
        assert lines, part
        assert set(upgraded[part]) ^ set(lines) == set(), part
        assert len(upgraded[part]) == len(lines), part


def test_a_difference_of_catalogues_is_seen(source: Deployment) -> None:
    found = catalogue(source.url)
    source.run("CREATE INDEX extra ON otel_logs_fact (log_id)")
    try:
        with pytest.raises(AssertionError, match="indexes"):
            assert_same(catalogue(source.url), found)
    finally:
        source.run("DROP INDEX extra")


def edited(folder: str) -> list[tuple[str, str]]:
    """The scripts, the first migration other than it was."""
    return [(name, text + "-- and more\n" if name.startswith("0004") else text) for name, text in scripts(folder)]


def test_an_applied_script_that_was_changed_is_an_error(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(migrations, "scripts", edited)
    said = "sql/migrations/0004_spans.sql is not what was applied here as version 4"
    with pytest.raises(ChangedMigration, match=said):
        asyncio.run(migrations.migrate(store))
    # It would be the same for ever.
    assert cli.main(["migrate", "--wait", "--database-url", store]) == 1
    assert capsys.readouterr().err == f"postel migrate: {said}\n"

    async def readiness() -> str:
        async with postel(store, ready=False) as app:
            for _ in range(200):
                if said in (answer := (await app.get("/readyz")).text):
                    break
                await asyncio.sleep(0.02)
            return answer

    assert asyncio.run(readiness()) == f"{said}\n"


def test_several_jobs_at_once(server_url: str) -> None:
    with deployment(server_url, None) as made:
        command = [
            sys.executable,
            "-m",
            "exporter",
            "migrate",
            "--create-roles",
            made.prefix,
            "--database-url",
            made.url,
        ]
        jobs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        said = [job.communicate(timeout=120)[1] for job in jobs]
        assert [job.returncode for job in jobs] == [0, 0, 0], said
        applied = ask(made.url, "SELECT version FROM postel_migrations ORDER BY version")
        assert [row["version"] for row in applied] == VERSIONS
        assert ask(made.url, "SELECT * FROM otel_due_privileges") == []
        sent(made.writer, logs(log("x")))


def test_views_of_a_newer_version_stay(store: str) -> None:
    ask(store, "SELECT 1", given="DROP VIEW v_otel_traces; CREATE VIEW v_otel_traces AS SELECT 1 AS newer;")
    ask(
        store,
        "SELECT 1",
        given="INSERT INTO postel_migrations (version, name, checksum) VALUES (9999, '9999_newer.sql', '')",
    )
    asyncio.run(migrations.migrate(store))
    assert ask(store, "SELECT * FROM v_otel_traces") == [{"newer": 1}]
