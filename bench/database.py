"""An empty database on a PostgreSQL server, for as long as it is needed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg


@asynccontextmanager
async def empty_database(server_url: str, name: str | None = None) -> AsyncIterator[str]:
    """Its URL; what others wrote is on disk before, so that nobody pays for it later.

    `server_url` names the `postgres` database of the server. A database of the same name is dropped.
    """
    # A name of its own: the tests share one PostgreSQL.
    name = name or f"bench_{uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.execute("CHECKPOINT")
        yield server_url.replace("/postgres?", f"/{name}?", 1)
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.close()
