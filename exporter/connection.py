"""A connection as Hypercorn serves it, but let go when its client has closed it.

Hypercorn (0.18) waits for the idle time-out even then: who connects anew for every request, as probes and curl do,
would leave thousands of connections half closed.
"""

from hypercorn.asyncio import run
from hypercorn.asyncio.tcp_server import TCPServer


class Connection(TCPServer):
    """One connection of a client."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


def use() -> None:
    """Have Hypercorn serve such connections from now on: it has no setting for it."""
    run.TCPServer = Connection  # type: ignore[attr-defined]
