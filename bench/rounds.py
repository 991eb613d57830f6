"""Alternating rounds: each side loads the same bodies into an empty database of the same PostgreSQL server."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec

from bench.client import send_all
from bench.corpus import LOGS, POINTS, RECORDS_PER_BODY, SPANS, read_bodies
from bench.measure import Clock, Load, count_rows, database_bytes, parent_of, rss_bytes
from bench.server import serving
from exporter.errors import PostelError

POSTEL, JSONB = SIDES = ("Postel", "J2")
CONNECTIONS = 8

_SETTLE_S = 1.0
"""From ready to the first body; idle memory is read at its end."""
_PATHS = {SPANS: "/v1/traces", LOGS: "/v1/logs", POINTS: "/v1/metrics"}
_FACTS = {
    SPANS: ["otel_spans_fact"],
    LOGS: ["otel_logs_fact"],
    POINTS: [f"otel_metrics_data_points_{kind}" for kind in ("number", "histogram", "exp_histogram", "summary")],
}


class Miscounted(PostelError):
    """The database holds another number of records than were acknowledged."""


class Bench:
    """One run against a server: `server_url` names its `postgres` database, `corpus` the folder of bodies."""

    def __init__(self, server_url: str, corpus: Path) -> None:
        self._server_url, self._corpus = server_url, corpus
        self._sides: Mapping[str, Callable[[str, str], Awaitable[Load]]] = {
            POSTEL: self._load_postel,
            JSONB: self._load_jsonb,
        }

    async def load(self, side: str, signal: str, *, vacuum: bool) -> Load:
        """One side's round: load, count, measure the bytes (also after VACUUM where asked), drop the database.

        Raises Miscounted, or Unacknowledged where a body was not taken whole.
        """
        async with self._database(f"bench_{side.lower()}") as url:
            done = await self._sides[side](signal, url)
            tables = _FACTS[signal] if side == POSTEL else [signal]
            done.stored = await count_rows(url, tables)
            if done.stored != done.records:
                raise Miscounted(f"{side}: {done.records:,} {signal} were acknowledged, {done.stored:,} are stored")
            done.bytes_loaded = await database_bytes(url)
            if vacuum:
                done.bytes_vacuumed = await database_bytes(url, vacuum=True)
        return done

    async def _load_postel(self, signal: str, url: str) -> Load:
        bodies = read_bodies(self._corpus, signal)
        async with serving(url) as server:
            await asyncio.sleep(_SETTLE_S)
            idle = rss_bytes(server.pid)
            own = time.process_time()
            clock = Clock(time.monotonic(), server.pid, await self._postmaster_pid())
            answers = await send_all(server.host, server.port, _PATHS[signal], bodies, CONNECTIONS)
            for answer in answers:
                clock.mark(answer.at, RECORDS_PER_BODY)
            done = clock.load()
            done.client_cpu_s = time.process_time() - own
        done.idle_rss_bytes = idle
        done.latencies_s = [answer.latency_s for answer in answers]
        return done

    async def _load_jsonb(self, signal: str, url: str) -> Load:
        command = (sys.executable, "-m", "bench.jsonb_load", signal, str(self._corpus), url)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        if process.returncode:
            raise PostelError(f"{' '.join(command[1:4])} ended with exit code {process.returncode}")
        return msgspec.json.decode(output, type=Load)

    async def _postmaster_pid(self) -> int:
        connection = await asyncpg.connect(self._server_url)
        try:
            return parent_of(await connection.fetchval("SELECT pg_backend_pid()"))
        finally:
            await connection.close()

    @asynccontextmanager
    async def _database(self, name: str) -> AsyncIterator[str]:
        """An empty database; what others wrote is on disk before, so that nobody pays for it later."""
        connection = await asyncpg.connect(self._server_url)
        try:
            await connection.execute(f"CREATE DATABASE {name}")
            await connection.execute("CHECKPOINT")
            yield self._server_url.replace("/postgres?", f"/{name}?", 1)
        finally:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await connection.close()
