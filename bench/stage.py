"""What every run stands on: a PostgreSQL of its own, empty databases in it, and measured sending to a server."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import asyncpg
from msgspec import Struct

from bench.client import PROTOBUF, Form, send_all, send_paced
from bench.command import Findings
from bench.corpus import LOGS, POINTS, RECORDS_PER_BODY, SPANS
from bench.database import empty_database
from bench.floor import fact_names
from bench.machine import describe
from bench.measure import Clock, Load, count_rows, postmaster_of, rss_bytes
from bench.server import Server, serving
from exporter.embedded import EmbeddedPostgres
from exporter.errors import PostelError

DEFAULT_CONNECTIONS = 16
"""Of Postel's client, with a request each under way."""
SETTLE_S = 1.0
"""From ready to the first body; idle memory is read at its end."""
_PATHS = {SPANS: "/v1/traces", LOGS: "/v1/logs", POINTS: "/v1/metrics"}
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

_T = TypeVar("_T")


class Miscounted(PostelError):
    """The database holds another number of records than were acknowledged."""


class Stage(Struct, frozen=True):
    """A folder for bodies, a PostgreSQL (the URL of its `postgres` database), and its postmaster's process id."""

    folder: Path
    url: str
    postmaster_pid: int

    @classmethod
    async def at(cls, folder: Path, url: str) -> "Stage":
        """On a PostgreSQL that runs."""
        connection = await asyncpg.connect(url)
        try:
            return cls(folder, url, await postmaster_of(connection))
        finally:
            await connection.close()

    @asynccontextmanager
    async def served(
        self, url: str, launcher: Sequence[str] = (), *, settle_s: float = SETTLE_S
    ) -> AsyncIterator["Served"]:
        """A server on the database at `url`, ready and settled."""
        async with serving(url, launcher) as server:
            await asyncio.sleep(settle_s)
            yield Served(server, url, self.postmaster_pid, rss_bytes(server.pid), {})

    @asynccontextmanager
    async def serving(self, launcher: Sequence[str] = ()) -> AsyncIterator["Served"]:
        """A server on an empty database of its own, ready and settled."""
        async with empty_database(self.url) as url, self.served(url, launcher) as served:
            yield served


class Served(Struct):
    """A server, its database, the postmaster, its resident memory before any work, and what was acknowledged so far."""

    server: Server
    url: str
    postmaster_pid: int
    idle_rss_bytes: int
    acknowledged: dict[str, int]

    async def load(
        self,
        signal: str,
        bodies: Sequence[bytes],
        connections: int = DEFAULT_CONNECTIONS,
        *,
        records_per_body: int = RECORDS_PER_BODY,
        bodies_per_s: float | None = None,
        form: Form = PROTOBUF,
    ) -> Load:
        """Sends bodies, at an even pace where one is given. Raises Unacknowledged where one is not taken whole."""
        host, port, path = self.server.host, self.server.port, _PATHS[signal]
        own = time.process_time()
        clock = Clock(time.monotonic(), self.server.pid, self.postmaster_pid)
        if bodies_per_s is None:
            answers = await send_all(host, port, path, bodies, connections, form)
        else:
            answers = await send_paced(host, port, path, bodies, connections, bodies_per_s, form)
        for answer in answers:
            clock.mark(answer.at, records_per_body)
        done = clock.load()
        done.client_cpu_s = time.process_time() - own
        done.idle_rss_bytes = self.idle_rss_bytes
        done.latencies_s = [answer.latency_s for answer in answers]
        self.acknowledged[signal] = self.acknowledged.get(signal, 0) + done.records
        return done

    async def count(self) -> int:
        """How many records are stored. Raises Miscounted where they are not those that were acknowledged."""
        return sum(
            [
                await count_all(self.url, fact_names(signal), expected, signal)
                for signal, expected in self.acknowledged.items()
            ]
        )


async def count_all(url: str, tables: Sequence[str], acknowledged: int, what: str) -> int:
    """How many rows some tables hold together. Raises Miscounted where these are not those that were acknowledged."""
    stored = await count_rows(url, tables)
    if stored != acknowledged:
        raise Miscounted(f"{acknowledged:,} {what} were acknowledged, {stored:,} are stored")
    return stored


async def on_stage(
    measure: Callable[[Stage], Awaitable[_T]], settings: Mapping[str, str] | None = None, kept: Path | None = None
) -> tuple[_T, str]:
    """What is measured on a PostgreSQL with everything on that makes a commit durable, and what the machine was.

    `settings` are others that PostgreSQL is to have; `kept` is a folder that stays with all that is in it, and where a
    PostgreSQL may be already, even a running one.
    """
    load_before = os.getloadavg()[0]
    with _folder(kept) as folder:
        embedded = EmbeddedPostgres(folder / "postgres", {**_DURABLE, **(settings or {})})
        try:
            stage = await Stage.at(folder, await embedded.start())
            return await measure(stage), await describe(stage.url, load_before)
        finally:
            await embedded.leave()


async def findings(measure: Callable[[Stage], Awaitable[Findings]], kept: Path | None = None) -> Findings:
    """What is found on a stage, with what the machine was below it; `kept` as there."""
    found, machine = await on_stage(measure, kept=kept)
    return Findings(f"{found.text}\n\n{machine}\n", found.missed)


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is None:
        folder = Path(tempfile.mkdtemp(prefix="postel-bench-"))
    else:
        folder = kept.absolute()
        folder.mkdir(parents=True, exist_ok=True)
    # As root, PostgreSQL runs as another account, which has to get through to its own folder.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)
