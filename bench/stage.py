"""What the further benchmarks stand on: a PostgreSQL of their own, databases in it, and measured sending."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import uvloop
from msgspec import Struct

# What `make bench` has in one place already: bodies go to the same paths, rows are counted in the same tables, and
# PostgreSQL and its folder are the same.
from bench.__main__ import _DURABLE as DURABLE
from bench.__main__ import _folder as folder
from bench.client import send_all, send_paced
from bench.machine import describe
from bench.measure import Clock, Load, count_rows, parent_of, rss_bytes
from bench.rounds import _FACTS as FACTS
from bench.rounds import _PATHS as PATHS
from bench.rounds import _SETTLE_S as SETTLE_S
from bench.rounds import Miscounted
from bench.server import Server, serving
from exporter.embedded import EmbeddedPostgres
from exporter.errors import PostelError


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
            return cls(folder, url, parent_of(await connection.fetchval("SELECT pg_backend_pid()")))
        finally:
            await connection.close()

    @asynccontextmanager
    async def serving(self, launcher: Sequence[str] = ()) -> AsyncIterator["Served"]:
        """A server on an empty database of its own, ready and settled; what others wrote is on disk before."""
        # A name of its own: the tests share one PostgreSQL.
        name = f"bench_{uuid4().hex[:16]}"
        url = self.url.replace("/postgres?", f"/{name}?", 1)
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(f"CREATE DATABASE {name}")
            await connection.execute("CHECKPOINT")
            async with serving(url, launcher) as server:
                await asyncio.sleep(SETTLE_S)
                yield Served(server, url, self.postmaster_pid, rss_bytes(server.pid))
        finally:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await connection.close()


class Served(Struct):
    """A server, its database, the postmaster, its resident memory before any work, and what was acknowledged so far."""

    server: Server
    url: str
    postmaster_pid: int
    idle_rss_bytes: int
    acknowledged: dict[str, int] = {}

    async def load(
        self,
        signal: str,
        bodies: Sequence[bytes],
        connections: int,
        *,
        records_per_body: int,
        bodies_per_s: float | None = None,
    ) -> Load:
        """Sends bodies, at an even pace where one is given. Raises Unacknowledged where one is not taken whole."""
        host, port, path = self.server.host, self.server.port, PATHS[signal]
        own = time.process_time()
        clock = Clock(time.monotonic(), self.server.pid, self.postmaster_pid)
        if bodies_per_s is None:
            answers = await send_all(host, port, path, bodies, connections)
        else:
            answers = await send_paced(host, port, path, bodies, connections, bodies_per_s)
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
        stored = 0
        for signal, expected in self.acknowledged.items():
            found = await count_rows(self.url, FACTS[signal])
            if found != expected:
                raise Miscounted(f"{expected:,} {signal} were acknowledged, {found:,} are stored")
            stored += found
        return stored


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A temporary folder and a PostgreSQL in it with everything on that makes a commit durable."""
    with folder() as place:
        embedded = EmbeddedPostgres(place / "postgres", DURABLE)
        try:
            yield await Stage.at(place, await embedded.start())
        finally:
            await embedded.stop()


class Findings(Struct):
    """What a benchmark found: Markdown, and the targets that were missed, each in a line."""

    text: str
    missed: Sequence[str] = ()


def publish(name: str, args: argparse.Namespace, measure: Callable[[Stage], Awaitable[Findings]]) -> int:
    """Measure, print with what the machine was, and write where `args.out` says; the exit code.

    1 where the run fails or, with `args.check`, a target is missed.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            findings = runner.run(_measured(measure))
    except (PostelError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    print(findings.text)
    if args.out is not None:
        args.out.write_text(findings.text)
    for problem in findings.missed:
        print(f"missed: {problem}", file=sys.stderr)
    return 1 if findings.missed and args.check else 0


async def _measured(measure: Callable[[Stage], Awaitable[Findings]]) -> Findings:
    load_before = os.getloadavg()[0]
    async with stage() as place:
        findings = await measure(place)
        machine = await describe(place.url, load_before)
    return Findings(f"{findings.text}\n\n{machine}\n", findings.missed)


def parser_of(prog: str, description: str | None, *, has_targets: bool = True) -> argparse.ArgumentParser:
    """The flags that every one of them has; `check` is there anyway, False without targets."""
    parser = argparse.ArgumentParser(prog=f"make {prog} ARGS=...", description=description, allow_abbrev=False)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown there too")
    parser.set_defaults(check=False)
    if has_targets:
        parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser


def say(text: str) -> None:
    """Progress, beside the result."""
    print(text, file=sys.stderr, flush=True)
