"""What is left of a body when its answer is given early: read and dropped for a while, so that the answer arrives.

Hypercorn reads a few chunks ahead and then waits for the application to take them: who answers without reading would
leave the connection, and its task, waiting for ever. Who is still sending would not see an answer before a reset.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DROP_S = 1.0


class Unread:
    """ASGI middleware around the whole application: the answer first, then what is left, then the connection's end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_left = True

        async def received() -> Message:
            nonlocal is_left
            message = await receive()
            is_left = message.get("more_body", False)
            return message

        async def answered(message: Message) -> None:
            if is_left and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _drop(receive, send)
            else:
                await send(message)

        await self._app(scope, received, answered)


async def _drop(receive: Receive, send: Send) -> None:
    dropping = asyncio.create_task(_read_on(receive))
    try:
        await asyncio.wait({dropping}, timeout=_DROP_S)
        await send({"type": "http.response.body", "body": b""})
    finally:
        dropping.cancel()


async def _read_on(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass
