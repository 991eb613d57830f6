"""Every ingest test ends with the integrity check, which stands in for foreign keys."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from exporter.integrity import check


@pytest.fixture
def store(database_url: str) -> Iterator[str]:
    """The URL of a migrated database of the test's own; what was stored in it must be sound in the end."""
    yield database_url
    assert asyncio.run(violations(database_url)) == []


async def violations(database_url: str) -> list[str]:
    """What the integrity check finds."""
    connection = await asyncpg.connect(database_url)
    try:
        return await check(connection)
    finally:
        await connection.close()
