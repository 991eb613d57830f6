"""Requests under way and the bytes that they hold: within a bound in all, and no client with more than half of it.

Source: docs/architecture.md, "Backpressure".
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from threading import Lock
from typing import Any

from exporter.errors import Overloaded, ShuttingDown

MEMORY_FACTOR = 4
"""Bytes held for each byte of a body, sent or decompressed, whichever are more: for the records and rows made of it."""


class Admission:
    """The requests under way. A client is whoever sends from one address (with one token, where tokens are in force).

    `max_bytes` bounds what all requests hold. A client's requests hold at most half of it, so that there is room for
    others; but the only one that it has may be of any size, so that no body is refused for ever.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._by_client: Counter[Hashable] = Counter()
        self._visits: set[Visit] = set()
        # Bodies are decompressed, and counted meanwhile, in threads.
        self._lock = Lock()
        self.held_bytes = 0

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._visits

    @asynccontextmanager
    async def visit(self, client: Hashable) -> AsyncIterator["Visit"]:
        """One request, until it is answered. Raises ShuttingDown where it is told to end before that."""
        limit = asyncio.timeout(None)
        visit = Visit(self, client, limit)
        try:
            async with limit:
                self._visits.add(visit)
                yield visit
        except TimeoutError:
            if not limit.expired():
                raise
            raise ShuttingDown("the server is shutting down") from None
        finally:
            self._visits.discard(visit)
            visit.leave()

    def end(self, *, arriving: bool) -> None:
        """Tell requests to end now: those whose body is still arriving, or all."""
        for visit in self._visits:
            if visit.arriving or not arriving:
                visit.end()

    def hold(self, visit: "Visit", size_bytes: int, *, only_ask: bool = False) -> None:
        """Let a request hold so many bytes, where it holds fewer. Raises Overloaded where it may not."""
        with self._lock:
            more = size_bytes - visit.held_bytes
            if more <= 0:
                return
            others = self._by_client[visit.client] - visit.held_bytes
            if visit.has_left or self.held_bytes + more > self._max_bytes:
                raise Overloaded("too many bytes in flight")
            if others and others + size_bytes > self._max_bytes // 2:
                raise Overloaded("too many bytes of one client in flight")
            if not only_ask:
                self._move(visit, more)

    def let_go(self, visit: "Visit") -> None:
        """A request holds nothing any longer, and will not again."""
        with self._lock:
            visit.has_left = True
            self._move(visit, -visit.held_bytes)
            if not self._by_client[visit.client]:
                del self._by_client[visit.client]

    def _move(self, visit: "Visit", more: int) -> None:
        visit.held_bytes += more
        self.held_bytes += more
        self._by_client[visit.client] += more


class Visit:
    """One request: its client, whether its body is still arriving, and the bytes that it holds."""

    def __init__(self, admission: Admission, client: Hashable, limit: asyncio.Timeout) -> None:
        self._admission, self._limit = admission, limit
        self.client = client
        self.arriving = True
        self.held_bytes = 0
        self.has_left = False
        self._kept: asyncio.Future[Any] | None = None

    def foresee(self, body_bytes: int) -> None:
        """Raises Overloaded where a body of this size would be too much at present."""
        self._admission.hold(self, body_bytes * MEMORY_FACTOR, only_ask=True)

    def hold(self, body_bytes: int) -> None:
        """Hold what a body of this size takes. Raises Overloaded. May be called in a thread."""
        self._admission.hold(self, body_bytes * MEMORY_FACTOR)

    def keep_until(self, done: "asyncio.Future[Any]") -> None:
        """Hold the bytes until then, also where the request ends before: what it brought still waits for a writer."""
        self._kept = done

    def end(self) -> None:
        """Tell the request to end now."""
        if self._limit.when() is None:
            self._limit.reschedule(0)

    def leave(self) -> None:
        """The request has ended."""
        if self._kept is None or self._kept.done():
            self._admission.let_go(self)
        else:
            self._kept.add_done_callback(lambda _: self._admission.let_go(self))
