"""A real PostgreSQL for the run, a migrated template in it, and a clone of that for each test.

POSTEL_TEST_SERVER_URL names another server to test against (its `postgres` database, as a superuser).
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from exporter.embedded import EmbeddedPostgres
from exporter.migrations import migrate
from tests.running import Server, serving

TEMPLATE = "postel_template"


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL server that lives as long as the run; durability is off, as nothing here outlives it."""
    given = os.environ.pop("POSTEL_TEST_SERVER_URL", None)
    if given is not None:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="postel-test-"))
    folder.chmod(0o755)
    with asyncio.Runner() as runner:
        embedded = EmbeddedPostgres(
            folder, {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"}
        )
        try:
            yield runner.run(embedded.start())
        finally:
            runner.run(embedded.stop())
            shutil.rmtree(folder, ignore_errors=True)


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def database_of(server_url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return server_url.replace("/postgres?", f"/{name}?", 1)


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """The name of a migrated database."""
    asyncio.run(_execute(server_url, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}"))
    asyncio.run(migrate(database_of(server_url, TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{uuid4().hex[:16]}"
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    yield database_of(server_url, name)
    asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def server(database_url: str) -> Iterator[Server]:
    """`postel serve` in a process of its own, ready, on a database of the test's own."""
    with serving(database_url) as running:
        yield running
