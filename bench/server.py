"""Runs `postel serve` as a process of its own, the way a user does."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct

from exporter.errors import StorageUnavailable

_READY_S = 60.0
_STOP_S = 40.0


class Server(Struct):
    """A sidecar that is ready."""

    pid: int
    host: str
    port: int


@asynccontextmanager
async def serving(database_url: str, launcher: Sequence[str] = ()) -> AsyncIterator[Server]:
    """A sidecar with its default settings on a free port of this machine, ready, until the block ends.

    `launcher` is a command that becomes the one behind it, as `nice` does.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTEL_")}
    serve = (sys.executable, "-m", "exporter", "serve", "--bind", "127.0.0.1:0", "--database-url", database_url)
    command = (*launcher, *serve)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(_READY_S):
            host, port = await _address(process)
            while not await _is_ready(host, port):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield Server(process.pid, host, port)
    finally:
        await _stop(process)


async def _address(process: asyncio.subprocess.Process) -> tuple[str, int]:
    assert process.stdout is not None
    async for line in process.stdout:
        found = re.search(rb"listens on http://([0-9.]+):(\d+)", line)
        if found is not None:
            return found.group(1).decode(), int(found.group(2))
    raise StorageUnavailable("postel serve ended before it listened")


async def _is_ready(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return b" 200" in await reader.readline()
    finally:
        writer.close()


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
