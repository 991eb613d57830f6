"""A proxy before PostgreSQL that cuts a connection between a COMMIT and its reply: what was stored is then unknown.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
COMMIT = b"Q\0\0\0\x0cCOMMIT;\0"


class CuttingProxy:
    """Forwards TCP connections to a server's socket; while it is armed, of every `every` COMMITs one gets no reply."""

    def __init__(self, server_url: str, every: int) -> None:
        parts = urlsplit(server_url)
        given = parse_qs(parts.query)
        self._socket = f"{given['host'][0]}/.s.PGSQL.{given['port'][0]}"
        self._database = parts.path
        self._every = every
        self._commits = count(1)
        self._sessions: set[asyncio.Task[None]] = set()
        self.url = ""
        self.armed = False
        self.cuts = 0

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
        server, to_server = await asyncio.open_unix_connection(self._socket)
        both = [asyncio.create_task(direction) for direction in self._directions(client, to_client, server, to_server)]
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

    def _directions(
        self, client: Reader, to_client: Writer, server: Reader, to_server: Writer
    ) -> list[Coroutine[Any, Any, None]]:
        return [self._forward(client, to_server), self._forward(server, to_client)]

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward until one side ends, or a COMMIT is to get no reply."""
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
            if self.armed and data.endswith(COMMIT) and next(self._commits) % self._every == 0:
                self.cuts += 1
                return
