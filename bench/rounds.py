"""Alternating rounds: each side loads the same bodies into an empty database of the same PostgreSQL server."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec

from bench.client import JSON, PROTOBUF, send_all
from bench.corpus import LOGS, POINTS, RECORDS_PER_BODY, SPANS, read_bodies
from bench.floor import FACTS
from bench.measure import Clock, Load, count_rows, database_bytes, parent_of, rss_bytes
from bench.server import serving
from bench.sides import FLOOR, JSONB, POSTEL, POSTEL_JSON, REPEATED
from exporter.errors import PostelError

DEFAULT_CONNECTIONS = 16

SETTLE_S = 1.0
"""From ready to the first body; idle memory is read at its end."""
_PATHS = {SPANS: "/v1/traces", LOGS: "/v1/logs", POINTS: "/v1/metrics"}


class Miscounted(PostelError):
    """The database holds another number of records than were acknowledged."""


class Bench:
    """One run against a server: `server_url` names its `postgres` database, `corpus` the folder of bodies.

    `connections` are what Postel's client has, each with one request under way. With `keep_rows`, what Postel stored in
    its first round of a signal is kept in that folder: P0 loads it.
    """

    def __init__(
        self,
        server_url: str,
        corpus: Path,
        connections: int = DEFAULT_CONNECTIONS,
        *,
        settle_s: float = SETTLE_S,
        keep_rows: bool = True,
    ) -> None:
        self._server_url, self._corpus = server_url, corpus
        self._connections, self._settle_s, self._keep_rows = connections, settle_s, keep_rows

    async def load(self, side: str, signal: str, *, vacuum: bool) -> Load:
        """One side's round: load, count, measure the bytes (also after VACUUM where asked), drop the database.

        Raises Miscounted, or Unacknowledged where a body was not taken whole.
        """
        async with self._database() as url:
            done = await self._load(side, signal, url)
            done.stored = await count_rows(url, fact_tables(side, signal))
            if done.stored != done.records:
                raise Miscounted(f"{side}: {done.records:,} {signal} were acknowledged, {done.stored:,} are stored")
            done.bytes_loaded = await database_bytes(url)
            if vacuum:
                done.bytes_vacuumed = await database_bytes(url, vacuum=True)
            if side == POSTEL and self._keep_rows and not self._rows(signal).exists():
                await _run("bench.floor", signal, url, str(self._rows(signal)))
        return done

    async def _load(self, side: str, signal: str, url: str) -> Load:
        if side in (POSTEL, POSTEL_JSON):
            return await self._load_postel(signal, url, as_json=side == POSTEL_JSON)
        if side == FLOOR and not self._rows(signal).exists():
            raise PostelError(f"{FLOOR} loads the rows of a round of {POSTEL}: let that be a side as well, before it")
        source = self._rows(signal) if side == FLOOR else self._corpus
        return msgspec.json.decode(await _run("bench.baseline_load", side, signal, str(source), url), type=Load)

    def _rows(self, signal: str) -> Path:
        return self._corpus / f"{signal}.rows"

    async def _load_postel(self, signal: str, url: str, *, as_json: bool) -> Load:
        bodies = read_bodies(self._corpus, signal, as_json=as_json)
        form = JSON if as_json else PROTOBUF
        async with serving(url) as server:
            await asyncio.sleep(self._settle_s)
            idle = rss_bytes(server.pid)
            own = time.process_time()
            clock = Clock(time.monotonic(), server.pid, await self._postmaster_pid())
            answers = await send_all(server.host, server.port, _PATHS[signal], bodies, self._connections, form)
            for answer in answers:
                clock.mark(answer.at, RECORDS_PER_BODY)
            done = clock.load()
            done.client_cpu_s = time.process_time() - own
        done.idle_rss_bytes = idle
        done.latencies_s = [answer.latency_s for answer in answers]
        return done

    async def _postmaster_pid(self) -> int:
        connection = await asyncpg.connect(self._server_url)
        try:
            return parent_of(await connection.fetchval("SELECT pg_backend_pid()"))
        finally:
            await connection.close()

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[str]:
        """An empty database; what others wrote is on disk before, so that nobody pays for it later."""
        name = f"bench_{uuid4().hex}"
        connection = await asyncpg.connect(self._server_url)
        try:
            await connection.execute(f"CREATE DATABASE {name}")
            await connection.execute("CHECKPOINT")
            yield self._server_url.replace("/postgres?", f"/{name}?", 1)
        finally:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await connection.close()


def fact_tables(side: str, signal: str) -> list[str]:
    """The tables of a side that have one row a record. The seed's have the names that Postel's have."""
    return [signal] if side in (REPEATED, JSONB) else [table.name for table in FACTS[signal]]


async def _run(module: str, *arguments: str) -> bytes:
    """What a module prints, run in a process of its own. Raises PostelError where it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise PostelError(f"{' '.join((module, *arguments[:2]))} ended with exit code {process.returncode}")
    return output
