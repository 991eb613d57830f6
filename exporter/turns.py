"""Whose turn it is: clients that wait are served one after another, so that a busy one does not starve the others.

Source: docs/architecture.md, "Backpressure".
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Generic, TypeVar

from exporter.batch import Batch
from exporter.errors import ShuttingDown

T = TypeVar("T")


class Turns(Generic[T]):
    """What waits, by client: each client's things in the order of their arrival, one thing of a client at a time."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, deque[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, client: Hashable, thing: T) -> None:
        """Append a thing of a client, which may be a new one: its turn comes last."""
        things = self._waiting.get(client)
        if things is None:
            things = self._waiting[client] = deque()
        things.append(thing)

    def heads(self) -> list[T]:
        """The oldest thing of each client."""
        return [things[0] for things in self._waiting.values()]

    def take(self) -> T:
        """The oldest thing of the client whose turn it is. Raises KeyError where nothing waits."""
        client, things = self._waiting.popitem(last=False)
        thing = things.popleft()
        if things:
            self._waiting[client] = things
        return thing


class Turnstile:
    """A lock that clients have in turns."""

    def __init__(self) -> None:
        self._waiting: Turns[asyncio.Future[None]] = Turns()
        self._taken = False

    @asynccontextmanager
    async def turn(self, client: Hashable) -> AsyncIterator[None]:
        """The lock, until the block ends."""
        await self._acquire(client)
        try:
            yield
        finally:
            self._pass_on()

    async def _acquire(self, client: Hashable) -> None:
        if not self._taken:
            self._taken = True
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.put(client, mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                # It had just become ours.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            following = self._waiting.take()
            if not following.done():
                following.set_result(None)
                return
        self._taken = False


class Queue:
    """Batches that wait for a writer; clients take turns."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._batches: Turns[Batch] = Turns()
        self._arrived = asyncio.Condition()
        self._closed = False

    async def put(self, batch: Batch, client: Hashable = None) -> None:
        """Append a batch of a client. Raises ShuttingDown."""
        async with self._arrived:
            if self._closed:
                raise ShuttingDown("the server is shutting down")
            self._batches.put(client, batch)
            self._arrived.notify()

    def age(self) -> float:
        """How long (seconds) the oldest batch has been there; 0 where none waits."""
        return max((monotonic() - batch.made_at for batch in self._batches.heads()), default=0.0)

    async def take(self) -> list[Batch] | None:
        """What is there, up to a group's bounds (one batch at least); None when closed and empty."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._batches or self._closed)
            if not self._batches:
                return None
            group: list[Batch] = []
            rows = size = 0
            while self._batches and (not group or (rows < self._max_rows and size < self._max_bytes)):
                batch = self._batches.take()
                group.append(batch)
                rows += batch.stored
                size += batch.size_bytes
            return group

    async def close(self) -> None:
        """Take nothing more; what waits is still written."""
        async with self._arrived:
            self._closed = True
            self._arrived.notify_all()
