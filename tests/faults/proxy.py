"""A proxy before PostgreSQL that does what networks do: cuts off the reply to a COMMIT, falls silent, moves elsewhere.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from urllib.parse import parse_qs, urlsplit

COMMIT = b"Q\0\0\0\x0cCOMMIT;\0"
_SILENCE_POLL_S = 0.02


class Proxy:
    """Forwards TCP connections to a server's socket.

    `armed`: of every `every` COMMITs one gets no reply. `silent`: nothing passes in either direction, new connections
    are accepted all the same. `forsake`: the connections of now stay silent for good, though nobody closes them.
    `move`: new connections go to another server, those of now stay where they are.
    """

    def __init__(self, server_url: str, every: int = 1) -> None:
        self._database = urlsplit(server_url).path
        self._socket = ""
        self._every = every
        self._commits = count(1)
        self._sessions: set[asyncio.Task[None]] = set()
        self._age = 0
        self.url = ""
        self.armed = self.silent = False
        self.cuts = 0
        self.move(server_url)

    def move(self, server_url: str) -> None:
        """Take new connections to another server."""
        given = parse_qs(urlsplit(server_url).query)
        self._socket = f"{given['host'][0]}/.s.PGSQL.{given['port'][0]}"

    def forsake(self) -> None:
        """Let the connections of now hang half-open."""
        self._age += 1

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen until the block ends; `url` is the database's through this proxy."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{port}{self._database}?sslmode=disable"
        try:
            yield
        finally:
            server.close()
            for session in self._sessions:
                session.cancel()
            await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        try:
            server, to_server = await asyncio.open_unix_connection(self._socket)
        except OSError:
            self._sessions.discard(session)
            to_client.close()
            return
        both = [
            asyncio.create_task(self._forward(client, to_server, self._age)),
            asyncio.create_task(self._forward(server, to_client, self._age)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in both:
                direction.cancel()
            to_server.close()
            to_client.close()
            for direction in both:
                with suppress(OSError, asyncio.CancelledError):
                    await direction
            self._sessions.discard(session)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, age: int) -> None:
        """Forward until one side ends, or a COMMIT is to get no reply."""
        while data := await reader.read(65_536):
            while self.silent or age < self._age:
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
