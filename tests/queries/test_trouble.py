"""What a reader is told when the database is slow, busy or away."""

import asyncio
from typing import Any

import asyncpg
import httpx
from msgspec.structs import replace
from starlette.applications import Starlette

from exporter.settings import load
from queries.asking import Host
from queries.database import ReadDatabase
from queries.filtered import Filtered
from queries.routes import routes
from queries.tails import Tails
from tests.queries.sending import unasked


def ask(database_url: str, path: str, *, holding: str | None = None, timeout: float = 0.3) -> httpx.Response:
    """The answer to a request while another session holds a lock on the table `holding`."""

    async def session() -> httpx.Response:
        database = ReadDatabase(database_url, replace(load(environ={}), statement_timeout=timeout))
        host = Host(dict, unasked, Filtered())
        transport = httpx.ASGITransport(Starlette(routes=routes(Tails(database, 3600), host)))
        other: Any = None
        if holding is not None:
            other = await asyncpg.connect(database_url)
            await other.execute(f"BEGIN; LOCK TABLE {holding}")
        async with httpx.AsyncClient(transport=transport, base_url="http://test", verify=False) as client:
            answer = await client.get(path)
        if other is not None:
            await other.close()
        await database.close()
        return answer

    return asyncio.run(session())


def test_a_query_past_its_time(database_url: str) -> None:
    answer = ask(database_url, "/traces?since=1d", holding="otel_traces")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    error = answer.json()["error"]
    assert error["code"] == "timeout"
    assert "since=15m" in error["hint"]


def test_counts_that_take_too_long_are_left_open(database_url: str) -> None:
    async def store() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            "INSERT INTO otel_resources_dim "
            "(dropped_attributes_count, resource_hash, service_name, schema_url, attributes) "
            "VALUES (0, 'x', 'shop', '', '{}')"
        )
        await connection.close()

    asyncio.run(store())
    (service,) = ask(database_url, "/services").json()["services"]
    assert (service["span_count"], service["log_count"]) == (0, 0)
    answer = ask(database_url, "/services", holding="otel_spans_fact", timeout=5)
    assert answer.status_code == 200
    assert (answer.json()["services"][0]["span_count"], answer.json()["services"][0]["log_count"]) == (None, 0)


def test_no_database() -> None:
    answer = ask("postgresql://postgres@127.0.0.1:1/none", "/spans")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "unavailable"


def test_a_defect_has_the_shape_of_an_error(database_url: str) -> None:
    def broken() -> Any:
        raise ZeroDivisionError("planted")

    async def session() -> httpx.Response:
        database = ReadDatabase(database_url, load(environ={}))
        app = Starlette(routes=routes(Tails(database, 3600), Host(broken, unasked, Filtered())))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test", verify=False
        ) as client:
            answer = await client.get("/attributes")
        await database.close()
        return answer

    answer = asyncio.run(session())
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "planted" not in answer.text
