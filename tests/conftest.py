"""A real PostgreSQL for the run, a migrated template in it, and a clone of that for each test.

POSTEL_TEST_SERVER_URL names another server to test against (its `postgres` database, as a superuser).
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


class Clones:
    """Clones of the template, the next one made while a test runs, used ones dropped meanwhile: each takes a while."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url, self._template = server_url, template
        self._worker = ThreadPoolExecutor(1)
        self._next = self._worker.submit(self._make)

    def take(self) -> str:
        """The name of a fresh clone."""
        taken, self._next = self._next, self._worker.submit(self._make)
        return taken.result()

    def drop(self, name: str) -> None:
        """Drop a clone, some time soon."""
        statement = f"DROP DATABASE {name} WITH (FORCE)"
        self._worker.submit(asyncio.run, _execute(self._server_url, statement))

    def close(self) -> None:
        """Wait for what is under way."""
        self._worker.shutdown()

    def _make(self) -> str:
        name = f"test_{uuid4().hex[:16]}"
        asyncio.run(_execute(self._server_url, f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY file_copy"))
        return name


@pytest.fixture(scope="session")
def clones(server_url: str, template: str) -> Iterator[Clones]:
    """The run's source of databases."""
    made = Clones(server_url, template)
    yield made
    made.close()


@pytest.fixture
def database_url(server_url: str, clones: Clones) -> Iterator[str]:
    """A migrated database of the test's own."""
    name = clones.take()
    yield database_of(server_url, name)
    clones.drop(name)


@pytest.fixture
def server(database_url: str) -> Iterator[Server]:
    """`postel serve` in a process of its own, ready, on a database of the test's own."""
    with serving(database_url) as running:
        yield running
