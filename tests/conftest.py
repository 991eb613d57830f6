"""A real PostgreSQL for the run, a migrated template in it, and a clone of that for each test.

One process owns the server: the one that was started first. Where it hands the tests to workers (`-n`), it tells them
the server's URL. POSTEL_TEST_SERVER_URL names another server to test against (its `postgres` database, as a superuser).
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from exporter.embedded import EmbeddedPostgres
from exporter.migrations import migrate
from tests.e2e.toolchains import REQUIRED
from tests.running import Server, serving

TEMPLATE = "postel_template"
GIVEN = os.environ.pop("POSTEL_TEST_SERVER_URL", None)
if (_required := os.environ.pop("POSTEL_REQUIRE", None)) is not None:
    # Neither is a setting. This one goes to the workers as well.
    os.environ[REQUIRED] = _required
# Nothing of it outlives the run.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"}
MEMORY = Path("/dev/shm")
ROOM_BYTES = 1 << 30

LONGEST_FILES = (
    "tests/exporter/test_side_by_side.py",
    "tests/faults/test_trouble.py",
    "tests/exporter/test_reload.py",
    "tests/exporter/test_side_by_side.py",
    "tests/queries/test_tails_in_trouble.py",
    "tests/queries/test_tails.py",
    "tests/faults/test_load.py",
    "tests/faults/test_kills.py",
    "tests/e2e/test_round_trip.py",
    "tests/queries/test_conformance.py",
    "tests/exporter/test_migrations.py",
    "tests/exporter/test_serve.py",
    "tests/e2e/test_corpus.py",
    "tests/exporter/test_embedded.py",
    "tests/e2e/test_verdict_flips.py",
    "tests/bench/test_rounds.py",
    "tests/bench/test_read.py",
    "tests/bench/test_growth.py",
    "tests/bench/test_small.py",
    "tests/exporter/test_replicas.py",
    "tests/queries/test_paging.py",
    "tests/e2e/test_same_rows.py",
    "tests/exporter/test_sidecar.py",
)
"""Files that workers take first, as what comes last should be short: then all of them end at about the same time."""


class RunServer:
    """The run's PostgreSQL server with the template, started when it is first asked for."""

    def __init__(self) -> None:
        self._url: str | None = None
        self._runner = asyncio.Runner()
        self._embedded: EmbeddedPostgres | None = None
        self._folder: Path | None = None

    def url(self) -> str:
        """The URL of its `postgres` database."""
        if self._url is None:
            self._url = GIVEN or self._start()
            self._runner.run(_execute(self._url, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}"))
            self._runner.run(migrate(database_of(self._url, TEMPLATE)))
        return self._url

    def _start(self) -> str:
        self._folder = Path(tempfile.mkdtemp(prefix="postel-test-", dir=_memory()))
        self._folder.chmod(0o755)
        self._embedded = EmbeddedPostgres(self._folder, NOT_DURABLE)
        return self._runner.run(self._embedded.start())

    def stop(self) -> None:
        """Stop what was started, and leave nothing of it."""
        with self._runner:
            if self._embedded is not None:
                self._runner.run(self._embedded.stop())
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _memory() -> Path | None:
    """A folder in memory where there is room, as a clone is 500 files: 0.02 s there, 0.2 s on a disk."""
    try:
        return MEMORY if shutil.disk_usage(MEMORY).free >= ROOM_BYTES and os.access(MEMORY, os.W_OK) else None
    except OSError:
        return None


SERVER = pytest.StashKey[RunServer]()


def pytest_configure(config: pytest.Config) -> None:
    """The process that was started first owns the server."""
    if not hasattr(config, "workerinput"):
        config.stash[SERVER] = RunServer()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the server is."""
    node.workerinput["server_url"] = node.config.stash[SERVER].url()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with the longest files."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _place(item.nodeid.partition("::")[0]))


def _place(file: str) -> int:
    return LONGEST_FILES.index(file) if file in LONGEST_FILES else len(LONGEST_FILES)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The workers are gone, or there were none."""
    server = config.stash.get(SERVER, None)
    if server is not None:
        server.stop()


@pytest.fixture(scope="session")
def server_url(pytestconfig: pytest.Config) -> str:
    """A PostgreSQL server that lives as long as the run."""
    if hasattr(pytestconfig, "workerinput"):
        return str(pytestconfig.workerinput["server_url"])
    return pytestconfig.stash[SERVER].url()


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
