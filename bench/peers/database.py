"""The PostgreSQL server of all peers: an empty database for each, what is in it, and when it got there."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import asyncpg
from msgspec import Struct

from bench.database import empty_database
from bench.measure import postgres_cpu_s, postmaster_of

_TABLES = files("bench.peers").joinpath("tables_select.sql").read_text()
_POLL_S = 0.1


class Postgres:
    """A server on a socket; `url` names its `postgres` database."""

    def __init__(self, url: str, postmaster_pid: int) -> None:
        self._url, self._postmaster_pid = url, postmaster_pid
        query = parse_qs(urlsplit(url).query)
        self.socket_dir, self.socket_port = query["host"][0], int(query["port"][0])

    def cpu_s(self) -> float:
        """CPU time so far of the server with all its processes."""
        return postgres_cpu_s(self._postmaster_pid)

    def empty(self, name: str) -> AbstractAsyncContextManager[str]:
        """The URL of an empty database of that name."""
        return empty_database(self._url, name)


async def connect(url: str) -> Postgres:
    """The server whose `postgres` database `url` names."""
    connection = await asyncpg.connect(url)
    try:
        return Postgres(url, await postmaster_of(connection))
    finally:
        await connection.close()


class Seen(Struct):
    """How many rows were there in the end, and since when (monotonic seconds)."""

    rows: int
    at: float


async def wait_for_rows(
    count: Callable[[], Awaitable[int]], expected: int, *, since: float, quiet_s: float, at_most_s: float
) -> Seen:
    """Count until `expected` rows are visible, none has come for `quiet_s`, or `at_most_s` are over.

    What the first count sees was there at `since`; every later row when the count that saw it was begun.
    """
    began = time.monotonic()
    seen = Seen(await count(), since)
    changed = began
    while seen.rows < expected:
        await asyncio.sleep(_POLL_S)
        now = time.monotonic()
        rows = await count()
        if rows != seen.rows:
            seen, changed = Seen(rows, now), now
        if now - changed > quiet_s or now - began > at_most_s:
            break
    return seen


async def dump(url: str) -> Counter[str]:
    """Every row of every table as JSON, with how many times it is there."""
    connection = await asyncpg.connect(url)
    try:
        found: Counter[str] = Counter()
        for table in await connection.fetch(_TABLES):
            rows = await connection.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table['name']} t")
            found.update(row["row"] for row in rows)
        return found
    finally:
        await connection.close()
