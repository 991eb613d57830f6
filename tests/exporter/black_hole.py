"""A proxy before PostgreSQL in which connections fall silent, in both directions and without being closed."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.exporter.cutting import CuttingProxy, Reader, Writer


class BlackHole(CuttingProxy):
    """Forwards; the first connection that sends `word` falls silent for ever, all are while `speaking` is not set.

    `seen` says whether the server still gets what holds the word.
    """

    def __init__(self, server_url: str, word: bytes = b"", *, seen: bool = False) -> None:
        super().__init__(server_url, 1)
        self._word, self._seen = word, seen
        self.speaking = asyncio.Event()
        self.speaking.set()

    def _directions(
        self, client: Reader, to_client: Writer, server: Reader, to_server: Writer
    ) -> list[Coroutine[Any, Any, None]]:
        mine = asyncio.Event()
        mine.set()
        return [self._pass_on(client, to_server, mine), self._pass_on(server, to_client, mine)]

    async def _pass_on(self, reader: Reader, writer: Writer, mine: asyncio.Event) -> None:
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
