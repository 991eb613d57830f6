"""Postel in this process, asked as over HTTP but without a socket: hundreds of small requests take seconds."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import httpx
from google.protobuf.message import Message

from exporter import promotion
from exporter.access import Tokens
from exporter.app import create_app
from exporter.otlp.http import PATHS
from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.settings import load
from exporter.sidecar import Sidecar
from tests.e2e.otlp_records import from_json
from tests.e2e.otlp_strategy import REQUESTS

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_READS = {SPANS: "/api/spans", LOGS: "/api/logs", METRICS: "/api/metrics/series"}
_GRACE_S = 5.0
_POLL_S = 0.01
_POLLS = 3000


class Postel:
    """A running sidecar with its application."""

    def __init__(
        self, runner: asyncio.Runner, sidecar: Sidecar, client: httpx.AsyncClient, database: asyncpg.Connection
    ):
        self._runner, self._client, self._database = runner, client, database
        self.sidecar = sidecar

    def send(self, signal: str, request: Message, media_type: str) -> httpx.Response:
        """POST a request in one of the encodings."""
        body = request.SerializeToString() if media_type == PROTOBUF else message_to_json(request)
        return self.post(signal, body, media_type)

    def post(self, signal: str, body: bytes, media_type: str, encoding: str = "identity") -> httpx.Response:
        """POST a body, of which nothing may be refused."""
        headers = {"content-type": media_type, "content-encoding": encoding}
        response = self._runner.run(self._client.post(PATHS[signal], content=body, headers=headers))
        assert (response.status_code, response.content) == (200, b"{}" if media_type == JSON else b""), response.text
        return response

    def read(self, signal: str, limit: int = 1000, start_time: int = 0) -> Message:
        """See `read_all`."""
        return self._runner.run(read_all(self._client, signal, limit, start_time))

    def forget(self) -> None:
        """See `forget_all`."""
        self._runner.run(forget_all(self._database))

    def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """What a statement finds in the database."""
        return self._runner.run(self._database.fetch(statement, *arguments))


async def read_all(client: httpx.AsyncClient, signal: str, limit: int = 1000, start_time: int = 0) -> Message:
    """Every record of a signal that a server has filed since `start_time`, page by page, as one request."""
    found = REQUESTS[signal]()
    asked = {"start_time": start_time, "end_time": 2**63 - 1, "limit": limit, "format": "otlp"}
    url: str | None = str(httpx.URL(_READS[signal], params=asked))
    while url is not None:
        response = await client.get(url)
        assert response.status_code == 200, response.text
        found.MergeFrom(from_json(REQUESTS[signal](), response.json()))
        url = response.links.get("next", {}).get("url")
    return found


async def forget_all(database: asyncpg.Connection) -> None:
    """Delete every record, and that any body was ever sent; what repeats stays known."""
    rows = await database.fetch("SELECT parent FROM otel_partitioned_tables")
    tables = [*(row[0] for row in rows), "otel_ingest_ledger"]
    await database.execute("; ".join(f"DELETE FROM {table}" for table in tables))


@contextmanager
def postel(database_url: str, settings: Mapping[str, str] | None = None) -> Iterator[Postel]:
    """Postel on a database until the block ends; `settings` by their dotted keys."""
    with asyncio.Runner() as runner:
        running = _running(runner, database_url, settings)
        server = runner.run(running.__aenter__())
        try:
            yield server
        finally:
            runner.run(running.__aexit__(None, None, None))


@asynccontextmanager
async def _running(
    runner: asyncio.Runner, database_url: str, settings: Mapping[str, str] | None
) -> AsyncIterator[Postel]:
    sidecar = Sidecar(load(environ={}, flags=settings), promotion.load(), database_url)
    app = create_app(sidecar, Tokens(sidecar.settings))
    async with app.router.lifespan_context(app):
        for _ in range(_POLLS):
            if not (obstacle := await sidecar.readiness()):
                break
            await asyncio.sleep(_POLL_S)
        assert not obstacle
        database = await asyncpg.connect(database_url)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://postel", verify=False
        ) as client:
            yield Postel(runner, sidecar, client, database)
        await database.close()
        await sidecar.stop(_GRACE_S)
