"""A request's body, read against its limits and deadlines, counted as it arrives, and decompressed.

Source: docs/ingest.md, "HTTP".
"""

import asyncio
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request

from exporter.admission import Visit
from exporter.errors import BodyStalled, BodyTooLarge
from exporter.otlp.compression import codings, decompress
from exporter.settings import Settings

_OFF_LOOP_BYTES = 16 * 1024
"""A longer compressed body is decompressed and digested in a thread: zlib and BLAKE2 let go of the lock."""


async def read(
    request: Request, settings: Settings, visit: Visit, digest: Callable[[bytes], bytes]
) -> tuple[bytes, bytes]:
    """The body as it was before compression, and its digest; `visit` holds its bytes from the first one on.

    Raises UnsupportedMediaType, BodyTooLarge, BodyStalled, UndecodableBody, Overloaded; ClientDisconnect where it is
    cut off.
    """
    undo = codings(request.headers.get("content-encoding", ""))
    declared = request.headers.get("content-length", "")
    if declared.isdecimal():
        _check(int(declared), settings.max_body_bytes)
        visit.foresee(int(declared))
    body = await _receive(request, settings, visit)
    visit.arriving = False

    def finish() -> tuple[bytes, bytes]:
        content = decompress(body, undo, settings.max_body_bytes, visit.hold)
        return content, digest(content)

    return finish() if len(body) < _OFF_LOOP_BYTES else await asyncio.to_thread(finish)


def _check(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise BodyTooLarge(f"the body has more than max_body_bytes ({max_bytes}) bytes")


async def _receive(request: Request, settings: Settings, visit: Visit) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(settings.body_timeout):
            while more:
                chunk, more = await _chunk(request, settings.body_stall_timeout)
                size += len(chunk)
                _check(size, settings.max_body_bytes)
                visit.hold(size)
                chunks.append(chunk)
    except TimeoutError:
        raise BodyStalled(f"the body did not arrive within body_timeout ({settings.body_timeout:g} s)") from None
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
