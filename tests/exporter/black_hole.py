"""A proxy before PostgreSQL in which connections fall silent, in both directions and without being closed."""

import asyncio
from contextlib import suppress

from tests.faults.proxy import Proxy


class BlackHole(Proxy):
    """Forwards; the first connection that sends `word` falls silent for ever, all are while `speaking` is not set.

    `seen` says whether the server still gets what holds the word.
    """

    def __init__(self, server_url: str, word: bytes = b"", *, seen: bool = False) -> None:
        super().__init__(server_url, 1)
        self._word, self._seen = word, seen
        self.speaking = asyncio.Event()
        self.speaking.set()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        server, to_server = await asyncio.open_unix_connection(self._socket)
        mine = asyncio.Event()
        mine.set()
        both = [
            asyncio.create_task(self._pass_on(client, to_server, mine)),
            asyncio.create_task(self._pass_on(server, to_client, mine)),
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

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mine: asyncio.Event) -> None:
        while data := await reader.read(65_536):
            found = bool(self._word) and self._word in data
            if found:
                self._word = b""
                self.cuts += 1
                if not self._seen:
                    mine.clear()
            await mine.wait()
            await self.speaking.wait()
            writer.write(data)
            await writer.drain()
            if found:
                mine.clear()
        # Nor does the other side learn that this one has ended.
        await mine.wait()
        await self.speaking.wait()
