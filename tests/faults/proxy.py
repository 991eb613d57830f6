"""A proxy before PostgreSQL that does what networks do: loses a reply, falls silent, forgets connections, moves on."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from tests.exporter.cutting import COMMIT, CuttingProxy

_SILENCE_POLL_S = 0.02


class Proxy(CuttingProxy):
    """Forwards; besides cutting off replies to COMMIT it may be told, from another thread, to do worse.

    `silent`: nothing passes in either direction, though new connections are accepted.
    """

    def __init__(self, server_url: str, every: int = 1) -> None:
        super().__init__(server_url, every)
        self._age = 0
        self.silent = False

    def move(self, server_url: str) -> None:
        """Take new connections to another server, as a name does that changes; those of now stay where they are."""
        given = parse_qs(urlsplit(server_url).query)
        self._socket = f"{given['host'][0]}/.s.PGSQL.{given['port'][0]}"

    def forsake(self) -> None:
        """Let the connections of now hang half-open: silent for good, and closed by nobody."""
        self._age += 1

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        age = self._age
        while data := await reader.read(65_536):
            while self.silent or age < self._age:  # noqa: ASYNC110
                await asyncio.sleep(_SILENCE_POLL_S)
            writer.write(data)
            await writer.drain()
            if self.armed and data.endswith(COMMIT) and next(self._commits) % self._every == 0:
                self.cuts += 1
                return


@contextmanager
def proxying(server_url: str, every: int = 1) -> Iterator[Proxy]:
    """A proxy in a thread of its own until the block ends."""
    proxy = Proxy(server_url, every)
    listening, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with proxy.serving():
            listening.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert listening.wait(10)
    try:
        yield proxy
    finally:
        over.set()
        thread.join(10)
