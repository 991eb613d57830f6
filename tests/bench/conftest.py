"""A small corpus, and empty databases to load it into."""

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from bench.corpus import SIGNALS, make_corpus, read_bodies
from tests.conftest import database_of

RECORDS = 2_000


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bodies a signal, as protobuf and as JSON."""
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, dict.fromkeys(SIGNALS, RECORDS))
    return folder


@pytest.fixture(scope="session")
def bodies(corpus: Path) -> dict[str, list[bytes]]:
    """Signal -> serialized requests of the corpus."""
    return {signal: [gzip.decompress(body) for body in read_bodies(corpus, signal)] for signal in SIGNALS}


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """The URL of a database without any table."""
    name = f"test_{uuid4().hex[:16]}"
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name}"))
    yield database_of(server_url, name)
    asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
