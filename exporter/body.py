"""A request's body, read against its limits and deadlines, and decompressed.

Source: docs/ingest.md, "HTTP".
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request

from exporter.errors import BodyStalled, BodyTooLarge
from exporter.otlp.compression import codings, decompress

_OFF_LOOP_BYTES = 16 * 1024
"""A longer compressed body is decompressed and digested in a thread: zlib and BLAKE2 let go of the lock."""
_DRAIN_FACTOR = 2
_DRAIN_S = 5.0


async def read(
    request: Request, max_bytes: int, stall_s: float, digest: Callable[[bytes], bytes]
) -> tuple[bytes, bytes]:
    """The body as it was before compression, and its digest.

    Raises UnsupportedMediaType, BodyTooLarge, BodyStalled, UndecodableBody; ClientDisconnect where it is cut off.
    """
    undo = codings(request.headers.get("content-encoding", ""))
    body = await _receive(request, max_bytes, stall_s)

    def finish() -> tuple[bytes, bytes]:
        content = decompress(body, undo, max_bytes)
        return content, digest(content)

    return finish() if len(body) < _OFF_LOOP_BYTES else await asyncio.to_thread(finish)


async def _receive(request: Request, max_bytes: int, stall_s: float) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        chunk, more = await _chunk(request, stall_s)
        size += len(chunk)
        if size > max_bytes:
            chunks.clear()
            await _drain(request, more, max_bytes * _DRAIN_FACTOR)
            raise BodyTooLarge(f"the body has more than max_body_bytes ({max_bytes}) bytes")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _chunk(request: Request, stall_s: float) -> tuple[bytes, bool]:
    try:
        async with asyncio.timeout(stall_s):
            message = await request.receive()
    except TimeoutError:
        raise BodyStalled(f"no byte of the body arrived for {stall_s:g} s") from None
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


async def _drain(request: Request, more: bool, max_bytes: int) -> None:
    """Read on for a while: a client that is still sending would not see the answer."""
    with suppress(BodyStalled, ClientDisconnect, TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while more and max_bytes > 0:
                chunk, more = await _chunk(request, _DRAIN_S)
                max_bytes -= len(chunk)
