"""One server a module: a test asks about a service of its own, so that tests do not see each other's records."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import asyncpg
import pytest

from tests.conftest import database_of
from tests.running import Server, serving


@pytest.fixture(scope="module")
def shared(server_url: str, template: str) -> Iterator[Server]:
    """A running server that all tests of a module share."""
    name = f"test_{uuid4().hex[:16]}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(server_url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    with serving(database_of(server_url, name)) as server:
        yield server
    asyncio.run(execute(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def service() -> str:
    """A service name of the test's own."""
    return f"shop-{uuid4().hex[:12]}"
