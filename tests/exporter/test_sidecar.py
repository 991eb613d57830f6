"""What senders, probes and Prometheus are told in every state of the database, and what is kept meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest

from exporter.errors import Deadlock
from exporter.migrations import newest
from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.conftest import database_of
from tests.exporter.asking import JSON, NOWHERE, PROTOBUF, Postel, execute, postel, status_of
from tests.exporter.sending import gauge, log, logs, metrics, point, span, spans

UNAVAILABLE = 14
IMPATIENT = {"REQUEST_DEADLINE": "1500ms", "STATEMENT_TIMEOUT": "1s"}


def assert_try_again(answer: httpx.Response, media_type: str = PROTOBUF) -> str:
    """A 503 as senders understand it; returns its message."""
    assert answer.status_code == 503, answer.content
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    code, message = status_of(answer, media_type)
    assert code == UNAVAILABLE
    return message


async def until(status: int, ask: Callable[..., Awaitable[httpx.Response]], *arguments: Any) -> httpx.Response:
    """Ask until the answer has this status."""
    async with asyncio.timeout(20):
        while (answer := await ask(*arguments)).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return answer


async def until_unready(app: Postel, reason: str) -> None:
    """Ask until this is what is in the way: just after a change it may be "starting", or that a connection broke."""
    async with asyncio.timeout(20):
        while reason not in (await until(503, app.get, "/readyz")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def until_told(app: Postel, request: tuple[str, bytes], reason: str) -> None:
    """Send until the answer, 503 every time, says this: where the deadline comes first, it says only that."""
    async with asyncio.timeout(20):
        while reason not in assert_try_again(await app.post(*request)):
            pass


def test_without_a_database_it_lives_and_says_so() -> None:
    async def session() -> None:
        async with postel(NOWHERE, ready=False) as app:
            assert (await app.get("/healthz")).text == "ok\n"
            for path in PATHS.values():
                for media_type in (PROTOBUF, JSON):
                    assert_try_again(await app.post(path, b"", media_type), media_type)
            await until_unready(app, "ConnectionRefused")
            assert await app.counted('http_requests_total{path="/v1/logs",status="503"}') == 2
            answer = await app.get("/api/traces")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")

    asyncio.run(session())


@contextmanager
def role_without_rights(server_url: str) -> Iterator[str]:
    """The server's URL as a role that may only connect."""
    name = f"role_{uuid4().hex[:12]}"
    asyncio.run(execute(server_url, f"CREATE ROLE {name} LOGIN"))
    yield server_url.replace("://postgres@", f"://{name}@")
    asyncio.run(execute(server_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}"))


def test_where_it_may_not_migrate_it_waits_for_the_schema(server_url: str) -> None:
    name = f"test_{uuid4().hex[:16]}"

    async def session(url: str) -> None:
        async with postel(url, ready=False) as app:
            await until_unready(app, f"schema version is 0, {newest()} is needed: run `postel migrate`\n")
            assert "postel migrate" in assert_try_again(await app.post("/v1/logs", b""))

    with role_without_rights(server_url) as url:
        asyncio.run(execute(server_url, f"CREATE DATABASE {name}"))
        asyncio.run(session(database_of(url, name)))
        asyncio.run(execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


def test_where_it_may_it_migrates_by_itself(server_url: str) -> None:
    name = f"test_{uuid4().hex[:16]}"

    async def session() -> None:
        async with postel(database_of(server_url, name)) as app:
            assert (await app.get("/readyz")).text == "ready\n"
            assert (await app.post(*_request(logs(log("x"))))).status_code == 200

    asyncio.run(execute(server_url, f"CREATE DATABASE {name}"))
    asyncio.run(session())
    asyncio.run(execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


def test_whatever_goes_wrong_at_the_start_is_tried_again(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    async def stand_in_the_way(url: str) -> None:
        calls.append(url)
        if len(calls) == 1:
            raise Deadlock("40P01 DeadlockDetectedError")

    async def session() -> str:
        async with postel(store) as app:
            return (await app.get("/readyz")).text

    monkeypatch.setattr("exporter.migrations.migrate", stand_in_the_way)
    assert asyncio.run(session()) == "ready\n"
    assert len(calls) == 2


def test_readiness_names_what_is_in_the_way(store: str) -> None:
    async def session() -> None:
        async with postel(store, IMPATIENT) as app:
            assert (await app.get("/readyz")).text == "ready\n"
            await execute(store, "UPDATE postel_migrations SET version = -version")
            answer = await app.get("/readyz")
            assert answer.status_code == 503
            assert answer.text == "the schema is older than this version needs: run `postel migrate`\n"
            await execute(store, "UPDATE postel_migrations SET version = -version")
            await execute(store, "DELETE FROM otel_partitions")
            answer = await app.get("/readyz")
            assert (answer.status_code, answer.text) == (503, "no partition for now: logs, metrics, spans\n")

    asyncio.run(session())


def test_readiness_tells_that_writing_fails(store: str) -> None:
    async def session() -> None:
        async with postel(store, IMPATIENT) as app:
            assert (await app.post(*_request(logs(log("first"))))).status_code == 200
            other = await asyncpg.connect(store)
            await other.execute("BEGIN; LOCK TABLE otel_logs_fact")
            assert_try_again(await app.post(*_request(logs(log("second")))))
            assert (await app.get("/readyz")).text == "the last write failed: TimeoutError\n"
            await other.close()
            await until(200, app.post, *_request(logs(log("second"))))
            assert (await app.get("/readyz")).text == "ready\n"

    asyncio.run(session())


def test_an_error_that_nobody_expects_stays_with_the_sender(store: str) -> None:
    refused = logs(log("x"), resource={"service.name": "shop", "more": 1})

    async def session() -> None:
        async with postel(store) as app:
            await execute(store, "CREATE UNIQUE INDEX ON otel_resources_dim (service_name)")
            assert (await app.post(*_request(logs(log("y"))))).status_code == 200
            assert "logged" in assert_try_again(await app.post(*_request(refused)))

    asyncio.run(session())


async def _cut_off(server_url: str, store: str, *statements: str) -> None:
    name = urlsplit(store).path[1:]
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    await execute(server_url, *(statement.format(name) for statement in statements), cut)


def test_read_only(server_url: str, store: str) -> None:
    async def session() -> None:
        async with postel(store, IMPATIENT) as app:
            assert (await app.post(*_request(logs(log("first"))))).status_code == 200
            await _cut_off(server_url, store, "ALTER DATABASE {} SET default_transaction_read_only = on")
            await until_unready(app, "the database is read-only\n")
            await until_told(app, _request(logs(log("second"))), "25006")
            await _cut_off(server_url, store, "ALTER DATABASE {} RESET default_transaction_read_only")
            assert (await until(200, app.post, *_request(logs(log("second"))))).content == b""
            assert (await until(200, app.get, "/readyz")).text == "ready\n"
            assert await app.counted('accepted_records_total{signal="logs"}') == 2

    asyncio.run(session())


def test_a_database_that_goes_away_and_comes_back(server_url: str, store: str) -> None:
    async def session() -> None:
        async with postel(store, IMPATIENT) as app:
            assert (await app.post(*_request(spans(span(1, 1))))).status_code == 200
            await _cut_off(server_url, store, "ALTER DATABASE {} ALLOW_CONNECTIONS false")
            sent = [_request(spans(span(2, 1))), _request(logs(log("x"))), _request(metrics(gauge("g", point(1))))]
            for answer in await asyncio.gather(*(app.post(*request) for request in sent)):
                assert_try_again(answer)
            answer = await app.get("/readyz")
            assert answer.status_code == 503
            assert answer.text.startswith("the database cannot be reached: ")
            assert (await app.get("/healthz")).status_code == 200
            await _cut_off(server_url, store, "ALTER DATABASE {} ALLOW_CONNECTIONS true")
            for request in sent:
                assert (await until(200, app.post, *request)).content == b""
            await until(200, app.get, "/readyz")
            found = (await app.get("/api/services", since="3h")).json()["services"][0]
            assert (found["span_count"], found["log_count"]) == (2, 1)

    asyncio.run(session())


def test_past_the_deadline_it_is_stored_all_the_same(store: str) -> None:
    async def session() -> None:
        async with postel(store, IMPATIENT) as app:
            assert (await app.post(*_request(logs(log("warm"))))).status_code == 200
            other = await asyncpg.connect(store)
            await other.execute("BEGIN; LOCK TABLE otel_logs_fact")
            request = _request(logs(log("late")))
            assert_try_again(await app.post(*request))
            await other.close()
            assert (await until(200, app.post, *request)).content == b""
            records = await app.get("/api/logs", since="3h")
            assert sorted(found["body"] for found in records.json()["logs"]) == ["late", "warm"]

    asyncio.run(session())


def test_while_it_stops_it_takes_nothing(store: str) -> None:
    async def session() -> None:
        async with postel(store) as app:
            await app.sidecar.stop(1)
            assert_try_again(await app.post(*_request(logs(log("x")))))
            answer = await app.get("/readyz")
            assert (answer.status_code, answer.text) == (503, "shutting down\n")

    asyncio.run(session())


def _request(sent: tuple[str, bytes]) -> tuple[str, bytes]:
    signal, body = sent
    return PATHS[signal], body


@pytest.mark.parametrize("signal", [SPANS, LOGS, METRICS])
def test_simultaneous_equal_bodies_are_stored_once(store: str, signal: str) -> None:
    _, body = {SPANS: spans(span(1, 1)), LOGS: logs(log("x")), METRICS: metrics(gauge("g", point(1)))}[signal]

    async def session() -> tuple[float, float]:
        async with postel(store) as app:
            answers = await asyncio.gather(*(app.post(PATHS[signal], body) for _ in range(10)))
            assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"")}
            counters = ("accepted", "deduplicated")
            accepted, known = [await app.counted(f'{c}_records_total{{signal="{signal}"}}') for c in counters]
            return accepted, known

    assert asyncio.run(session()) == (1, 9)
