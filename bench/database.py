"""Databases on a PostgreSQL server: an empty one for as long as it is needed, and one that stays."""

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
    try:
        yield await make_database(server_url, name)
    finally:
        await _execute(server_url, _drop(name))


async def make_database(server_url: str, name: str) -> str:
    """Make an empty database in place of the one of that name; its URL."""
    await _execute(server_url, _drop(name), f"CREATE DATABASE {name}", "CHECKPOINT")
    return url_of(server_url, name)


def url_of(server_url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return server_url.replace("/postgres?", f"/{name}?", 1)


def _drop(name: str) -> str:
    return f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
