"""Runs a peer's server in a session of its own, and ends or kills all of its processes, whatever they are."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx

from bench.measure import children, cpu_with_reaped_s, peak_rss_bytes, rss_bytes
from bench.peers.peer import Command
from exporter.errors import StorageUnavailable

_READY_S = 240.0
"""MLflow makes its tables in a minute or two where the machine is busy."""
_STOP_S = 20.0
_SETTLE_S = 30.0
_IDLE_SHARE = 0.1
"""Of a core."""
_SAID_BYTES = 500


class Process:
    """A server that is ready: where it listens, and its processes."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self._process = process

    def tree(self) -> list[int]:
        """The server's processes, the one that was started first."""
        found = [self._process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                found += children(pid)
        return found

    def cpu_s(self) -> float:
        """CPU time so far of all its processes, also of those that it has reaped."""
        return sum(cpu_with_reaped_s(pid) for pid in self.tree())

    def rss_bytes(self) -> int:
        """Resident memory now; what processes share counts for each of them."""
        return _sum_of(rss_bytes, self.tree())

    def peak_rss_bytes(self) -> int:
        """The sum of the most that each process ever had."""
        return _sum_of(peak_rss_bytes, self.tree())

    async def settle(self) -> None:
        """Wait until it does next to nothing, as workers may still be starting; not for ever."""
        deadline, used = time.monotonic() + _SETTLE_S, self.cpu_s()
        while time.monotonic() < deadline:
            await asyncio.sleep(1.0)
            before, used = used, self.cpu_s()
            if used - before < _IDLE_SHARE:
                return

    async def kill(self) -> None:
        """SIGKILL to all its processes at once."""
        await self._end(signal.SIGKILL, _STOP_S)

    async def stop(self) -> None:
        """SIGTERM as a service manager sends it, and SIGKILL to what is left after a while."""
        await self._end(signal.SIGTERM, _STOP_S)

    async def _end(self, number: signal.Signals, patience_s: float) -> None:
        below = self.tree()[1:]
        if self._process.returncode is None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                _signal(below, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience_s)
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
        # Whom it has left behind: those that were below it, and those of its session whose parents are gone.
        _signal(below, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


@asynccontextmanager
async def running(command: Command, folder: Path, port: int, ready_path: str) -> AsyncIterator[Process]:
    """A server until the block ends, from when it answers at `ready_path`; what it says goes to `folder`/log.

    Raises StorageUnavailable with the end of that log when it ends before, or is not ready in time.
    """
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **command.environment}
    with (folder / "log").open("ab") as log:
        started = await asyncio.create_subprocess_exec(
            *command.arguments, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    process = Process(started, f"http://127.0.0.1:{port}")
    try:
        await _wait_until_ready(started, process.url + ready_path, folder / "log")
        yield process
    finally:
        await process.stop()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


async def _wait_until_ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=10) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                # The Collector has no page there, but whoever says so listens.
                if (await client.get(url)).status_code in (200, 404):
                    return
            if process.returncode is not None or time.monotonic() > deadline:
                raise StorageUnavailable(f"it did not get ready: {_end_of(log)}")
            await asyncio.sleep(0.2)


def _end_of(log: Path) -> str:
    return log.read_bytes()[-_SAID_BYTES:].decode(errors="replace").strip()


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _sum_of(measure: Callable[[int], int], pids: list[int]) -> int:
    total = 0
    for pid in pids:
        # What has ended meanwhile has no memory.
        with contextlib.suppress(OSError, LookupError):
            total += measure(pid)
    return total
