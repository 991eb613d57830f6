"""The application in the test's own process, asked as over HTTP but without a socket."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import httpx
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from msgspec import Struct
from starlette.applications import Starlette

from exporter import promotion
from exporter.access import Tokens
from exporter.app import create_app
from exporter.integrity import check
from exporter.settings import load
from exporter.sidecar import Sidecar
from tests.conftest import database_of
from tests.exporter.sending import is_ready

T = TypeVar("T")
PROTOBUF, JSON = "application/x-protobuf", "application/json"
NOWHERE = "postgresql://postgres@127.0.0.1:1/none"
"""The URL of a database that is not there."""


class Postel(Struct):
    """A running application: what it consists of, and a client for it."""

    sidecar: Sidecar
    application: Starlette
    client: httpx.AsyncClient

    async def post(self, path: str, content: Any, media_type: str = PROTOBUF, **headers: str) -> httpx.Response:
        """POST a body."""
        sent = {"content-type": media_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.client.post(path, content=content, headers=sent)

    async def get(self, path: str, **parameters: str) -> httpx.Response:
        """GET a path."""
        return await self.client.get(path, params=parameters)

    async def counted(self, line: str) -> float:
        """One of the counters: its line at /metrics without the number; 0 where there is none."""
        lines = dict(found.rsplit(" ", 1) for found in (await self.get("/metrics")).text.splitlines())
        return float(lines.get(f"postel_{line}", 0))


@asynccontextmanager
async def postel(url: str, settings: Mapping[str, str] | None = None, *, ready: bool = True) -> AsyncIterator[Postel]:
    """The application on a database until the block ends; `settings` are POSTEL_* variables without the prefix."""
    chosen = load(environ={f"POSTEL_{name}": text for name, text in (settings or {}).items()})
    sidecar = Sidecar(chosen, promotion.load(overrides=chosen.attribute_overrides), url)
    app = create_app(sidecar, Tokens(sidecar.settings))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://postel", timeout=30, verify=False) as client,
    ):
        try:
            async with asyncio.timeout(30):
                while ready and not is_ready(sidecar):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield Postel(sidecar, app, client)
        finally:
            await sidecar.stop(3)


class Asker(Struct):
    """An application that several tests ask, one after another."""

    runner: asyncio.Runner
    postel: Postel

    def run(self, question: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns that asks it."""
        return self.runner.run(question)

    def post(self, path: str, content: Any, media_type: str = PROTOBUF, **headers: str) -> httpx.Response:
        """POST a body."""
        return self.run(self.postel.post(path, content, media_type, **headers))

    def get(self, path: str, **parameters: str) -> httpx.Response:
        """GET a path."""
        return self.run(self.postel.get(path, **parameters))


@contextmanager
def asker(url: str, settings: Mapping[str, str] | None = None) -> Iterator[Asker]:
    """An application that is ready, until the block ends."""
    with asyncio.Runner() as runner:
        context = postel(url, settings)
        running = runner.run(context.__aenter__())
        try:
            yield Asker(runner, running)
        finally:
            runner.run(context.__aexit__(None, None, None))


@contextmanager
def own_database(server_url: str, template: str) -> Iterator[str]:
    """A migrated database until the block ends, when it must be sound: for the tests of a module together."""
    name = f"test_{uuid4().hex[:16]}"
    url = database_of(server_url, name)
    asyncio.run(execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    yield url
    assert asyncio.run(_violations(url)) == []
    asyncio.run(execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def execute(url: str, *statements: str) -> None:
    """Run statements, each by itself."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _violations(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return await check(connection)
    finally:
        await connection.close()


def status_of(answer: httpx.Response, media_type: str = PROTOBUF) -> tuple[int, str]:
    """(code, message) of the google.rpc.Status that an answer is."""
    assert answer.headers["content-type"] == media_type
    assert len(answer.content) < 4096
    if media_type == JSON:
        found = answer.json()
        assert set(found) == {"code", "message"}
        return found["code"], found["message"]
    status = Status.FromString(answer.content)
    assert not status.details
    return status.code, status.message


def parsed(kind: type[Message], answer: httpx.Response) -> Any:
    """The protobuf message of a 200."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF), answer.content
    return kind.FromString(answer.content)
