"""A `postel serve` on one port whichever process it is: it can be killed and started again under its senders."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import asyncpg
import httpx
from msgspec import Struct, field

from tests.e2e.collector import free_port
from tests.running import Server, stop, wait_until_ready

T = TypeVar("T")
PYTHON = (sys.executable, "-m", "exporter")


class Life(Struct):
    """A server with a PostgreSQL of its own in `data_dir`, or on `database_url`; `settings` are POSTEL_* variables.

    `launcher` is what runs it: Python's arguments, or a whole command before them.
    """

    port: int
    data_dir: Path | None = None
    database_url: str = ""
    settings: Mapping[str, str] = {}
    launcher: Sequence[str] = PYTHON
    process: subprocess.Popen[str] | None = None
    pids: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it takes bodies in."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it is ready."""
        where = ("--data-dir", str(self.data_dir)) if self.data_dir else ("--database-url", self.database_url)
        environment = {name: text for name, text in os.environ.items() if not name.startswith("POSTEL_")}
        environment |= {f"POSTEL_{name}": text for name, text in self.settings.items()}
        self.process = subprocess.Popen(
            [*self.launcher, "serve", "--bind", f"127.0.0.1:{self.port}", *where],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pids.append(self.process.pid)
        assert self.process.stdout is not None
        assert any("listens on" in line for line in self.process.stdout)
        if ready:
            wait_until_ready(Server(self.url, "", self.process))

    def end(self, number: signal.Signals) -> int:
        """Send it a signal, wait until it is gone, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(40)
        stop(self.process)
        return code

    def get(self, path: str, timeout_s: float = 30.0) -> httpx.Response:
        """GET a path."""
        return httpx.get(f"{self.url}{path}", timeout=timeout_s, verify=False)

    def memory(self, line: str = "VmHWM") -> int:
        """The most bytes of memory that it ever had; VmRSS: that it has."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(text.split()[1]) * 1024 for text in status.splitlines() if text.startswith(line))

    @property
    def postmaster(self) -> list[str]:
        """The lines of postmaster.pid: process, folder, start, port, socket's folder, ..."""
        assert self.data_dir is not None
        return (self.data_dir / "pgdata" / "postmaster.pid").read_text().splitlines()

    @property
    def postgres_url(self) -> str:
        """Where its database is."""
        if self.database_url:
            return self.database_url
        port, folder = self.postmaster[3:5]
        return f"postgresql://postgres@/postgres?host={folder}&port={port}"

    def ask(self, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """What a question finds in the database."""
        return asyncio.run(asked(self.postgres_url, question))

    def execute(self, *statements: str) -> None:
        """Run statements one by one."""

        async def run(connection: asyncpg.Connection) -> None:
            for statement in statements:
                await connection.execute(statement)

        self.ask(run)


async def asked(url: str, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """What a question finds in a database."""
    connection = await asyncpg.connect(url)
    try:
        return await question(connection)
    finally:
        await connection.close()


@contextmanager
def living(data_dir: Path | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Life]:
    """A server with a PostgreSQL of its own until the block ends, in a folder of its own where none is given."""
    with tempfile.TemporaryDirectory(prefix="postel-test-") as name:
        Path(name).chmod(0o755)
        with _running(Life(free_port(), data_dir or Path(name) / "data", settings=settings or {})) as life:
            yield life


@contextmanager
def living_on(
    database_url: str, settings: Mapping[str, str] | None = None, launcher: Sequence[str] = PYTHON
) -> Iterator[Life]:
    """A server on a database until the block ends."""
    with _running(Life(free_port(), None, database_url, settings or {}, launcher)) as life:
        yield life


@contextmanager
def _running(life: Life) -> Iterator[Life]:
    try:
        life.start()
        yield life
    finally:
        if life.process is not None and life.process.poll() is None:
            life.end(signal.SIGTERM)
        elif life.data_dir is not None:
            # Killed, and not started again: what it left running.
            with suppress(OSError):
                os.kill(int(life.postmaster[0]), signal.SIGINT)
