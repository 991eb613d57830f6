"""A stream of records over HTTP: JSON lines or server-sent events, sent at once, until somebody ends it.

Source: WHATWG HTML, "Server-sent events"; docs/decisions/0011-tail.md.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from queries.formats import NDJSON_TYPE, SSE_TYPE
from queries.tails import Batch, Reader

HEARTBEAT_S = 10.0
"""A connection on which nothing else is sent shows so often that it lives."""


class Framing(NamedTuple):
    """How a batch is written; one without records is a sign of life."""

    media_type: str
    first: Callable[[Batch], bytes]
    frame: Callable[[Batch], bytes]


def _nothing(_batch: Batch) -> bytes:
    return b""


def _lines(batch: Batch) -> bytes:
    return msgspec.json.Encoder().encode_lines(batch.records) or b"\n"


def _events(batch: Batch) -> bytes:
    if not batch.records:
        return f":\nid: {batch.position}\n\n".encode()
    # Who comes back with the id of a record gets what was committed with it once more, unless it was the last of that.
    ids = [batch.before] * (len(batch.records) - 1) + [batch.position]
    encode = msgspec.json.encode
    return b"".join(
        b"id: %b\ndata: %b\n\n" % (str(i).encode(), encode(r)) for i, r in zip(ids, batch.records, strict=True)
    )


LINES = Framing(NDJSON_TYPE, _nothing, _lines)
EVENTS = Framing(SSE_TYPE, _events, _events)


class Stream(StreamingResponse):
    """The answer to somebody who tails."""

    def __init__(self, reader: Reader, framing: Framing) -> None:
        # Proxies are not to keep it or to wait for more of it.
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(self._chunks(), 200, headers, framing.media_type)
        self._reader, self._framing = reader, framing

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves or the reader is ended, which the client then is told."""
        works = (self.listen_for_disconnect(receive), self.stream_response(send), self._reader.ended.wait())
        tasks = [asyncio.create_task(work) for work in works]
        leaving, streaming, _ = tasks
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._reader.leave()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if leaving in done:
            return
        if streaming in done:
            streaming.result()
        else:
            await self._end(send)

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield self._framing.first(self._said())
        sent_at = monotonic()
        async for batch in self._reader.batches():
            if batch.records or monotonic() - sent_at > HEARTBEAT_S:
                yield self._framing.frame(batch)
                sent_at = monotonic()

    async def _end(self, send: Send) -> None:
        last = self._framing.frame(self._said(self._reader.problem))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._reader.last_word_s):
                await send({"type": "http.response.body", "body": last, "more_body": False})

    def _said(self, *records: Any) -> Batch:
        position = self._reader.position
        return Batch(list(records), position, position)
