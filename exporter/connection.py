"""A connection as Hypercorn serves it, but let go when its client has closed it, or does not read the end.

Hypercorn (0.18) waits for the idle time-out where the client has closed it: who connects anew for every request, as
probes and curl do, would leave thousands of connections half closed. For one who does not read it waits for ever.
"""

import asyncio

from hypercorn.asyncio import run
from hypercorn.asyncio.tcp_server import TCPServer

_LINGER_S = 30.0


class Connection(TCPServer):
    """One connection of a client."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

    async def _close(self) -> None:
        async with asyncio.timeout(_LINGER_S) as limit:
            # Until the client has what was sent, which it may never read.
            await super()._close()
        if limit.expired():
            self.writer.transport.abort()


def use() -> None:
    """Have Hypercorn serve such connections from now on: it has no setting for it."""
    run.TCPServer = Connection  # type: ignore[attr-defined]
