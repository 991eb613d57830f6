"""Connections that lead nowhere: who is cancelled goes at once, locks are let go, fresh connections are had."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from exporter.database import Database
from exporter.errors import Deadlock, StorageUnavailable
from tests.exporter.asking import execute, postel
from tests.exporter.black_hole import BlackHole
from tests.exporter.sending import log, logs
from tests.exporter.test_sidecar import until
from tests.sql.rows import ask

PIDS = """SELECT pid, application_name FROM pg_stat_activity
    WHERE application_name LIKE 'postel%' AND datname = current_database()"""


def within(url: str, session: Callable[[Database, BlackHole], Awaitable[None]], timeout_s: float = 30.0) -> None:
    """Run a session with a pool of one connection, through a proxy; everything of it has to end soon."""

    async def whole() -> None:
        proxy = BlackHole(url)
        async with proxy.serving(), asyncio.timeout(15):
            database = Database(proxy.url, 1, timeout_s)
            await session(database, proxy)
            await database.close()

    asyncio.run(whole())


async def run_in(database: Database, statement: str) -> object:
    async with database.transaction() as connection:
        return await connection.fetchval(statement)


def test_who_is_cancelled_waits_for_no_answer(database_url: str) -> None:
    async def session(database: Database, proxy: BlackHole) -> None:
        assert await run_in(database, "SELECT 1") == 1
        proxy.speaking.clear()
        asking, queueing = [asyncio.create_task(run_in(database, "SELECT 2")) for _ in range(2)]
        await asyncio.sleep(0.1)
        for task in (queueing, asking):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        connecting = asyncio.create_task(run_in(database, "SELECT 3"))
        await asyncio.sleep(0.1)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        proxy.speaking.set()
        assert await run_in(database, "SELECT 4") == 4

    within(database_url, session)


def test_a_connection_that_is_cut_off_between_the_steps_of_a_statement_is_trouble_of_the_database(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver: Any = asyncpg.Connection
    prepare = driver._get_statement

    async def prepare_and_cut(connection: Any, *arguments: Any, **named: Any) -> Any:
        statement = await prepare(connection, *arguments, **named)
        connection.terminate()
        return statement

    async def session(database: Database, _proxy: BlackHole) -> None:
        assert await run_in(database, "SELECT 1") == 1
        with monkeypatch.context() as patched:
            patched.setattr(driver, "_get_statement", prepare_and_cut)
            with pytest.raises(StorageUnavailable, match="InterfaceError"):
                await run_in(database, "SELECT 2")
        assert await run_in(database, "SELECT 3") == 3

    within(database_url, session)


def test_connecting_and_waiting_for_a_connection_have_limits(database_url: str) -> None:
    async def session(database: Database, proxy: BlackHole) -> None:
        async with database.transaction():
            with pytest.raises(StorageUnavailable, match="TimeoutError"):
                await run_in(database, "SELECT 1")
        await database.renew()
        proxy.speaking.clear()
        with pytest.raises(StorageUnavailable, match="TimeoutError"):
            await run_in(database, "SELECT 1")

    within(database_url, session, 0.5)


def test_the_server_does_not_wait_for_ever_for_who_vanished(database_url: str) -> None:
    async def session(database: Database, proxy: BlackHole) -> None:
        with pytest.raises(StorageUnavailable):
            async with database.transaction() as connection:
                await connection.execute("LOCK TABLE otel_logs_fact")
                proxy.speaking.clear()
                await execute(database_url, "BEGIN; LOCK TABLE otel_logs_fact")
                await connection.fetchval("SELECT 1")

    within(database_url, session, 0.5)


def test_one_connection_that_is_read_only_has_all_replaced(server_url: str, database_url: str) -> None:
    name = urlsplit(database_url).path[1:]

    async def session() -> None:
        database = Database(database_url, 2, 5.0)
        await execute(server_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        async with database.transaction():
            assert await run_in(database, "SHOW transaction_read_only") == "on"
        await execute(server_url, f"ALTER DATABASE {name} RESET default_transaction_read_only")
        with pytest.raises(StorageUnavailable, match="25006"):
            await run_in(database, "DELETE FROM otel_rejected_records")
        async with database.transaction() as connection:
            assert await connection.fetchval("SHOW transaction_read_only") == "off"
            assert await run_in(database, "SHOW transaction_read_only") == "off"
        await database.close()

    asyncio.run(session())


def test_a_server_that_is_another_one_is_so_for_every_pool(store: str) -> None:
    async def session() -> None:
        async with postel(store) as app:
            assert (await app.post("/v1/logs", logs(log("x"))[1])).status_code == 200
            assert (await app.get("/api/services")).status_code == 200
            onlooker = await asyncpg.connect(store)
            before = {row[0]: row[1] for row in await onlooker.fetch(PIDS)}
            assert set(before.values()) == {"postel control", "postel writer", "postel reader"}
            await app.sidecar.renew()
            assert (await app.get("/readyz")).status_code == 200
            assert (await app.get("/api/services")).status_code == 200
            async with asyncio.timeout(10):
                while before.keys() & {row[0] for row in await onlooker.fetch(PIDS)}:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await onlooker.close()

    asyncio.run(session())


def test_deadlocks_are_tried_again_but_not_for_ever(database_url: str) -> None:
    calls: list[int] = []

    async def work(_connection: object) -> None:
        calls.append(1)
        raise Deadlock("40P01")

    async def session(database: Database, _proxy: BlackHole) -> None:
        with pytest.raises(StorageUnavailable, match="deadlocks"):
            await database.retrying(work)

    within(database_url, session)
    assert len(calls) == 3


@pytest.mark.parametrize("seen", [False, True], ids=["between two statements", "in the middle of COPY"])
def test_a_body_lands_once_though_its_first_connection_is_silent(store: str, seen: bool) -> None:
    async def session() -> int:
        proxy = BlackHole(store, b"COPY ", seen=seen)
        async with proxy.serving(), postel(proxy.url, {"REQUEST_DEADLINE": "1500ms", "STATEMENT_TIMEOUT": "1s"}) as app:
            body = logs(log("x"))[1]
            async with asyncio.timeout(10):
                await until(200, app.post, "/v1/logs", body)
        return proxy.cuts

    assert asyncio.run(session()) == 1
    assert ask(store, "SELECT count(*) AS n FROM otel_logs_fact") == [{"n": 1}]


@pytest.mark.parametrize("known", [False, True], ids=["dimensions", "writer"])
def test_a_request_is_answered_in_time_by_a_frozen_server(store: str, known: bool) -> None:
    async def session() -> None:
        proxy = BlackHole(store)
        async with proxy.serving(), postel(proxy.url, {"REQUEST_DEADLINE": "3s", "STATEMENT_TIMEOUT": "2900ms"}) as app:
            assert (await app.post("/v1/logs", logs(log("x"))[1])).status_code == 200
            proxy.speaking.clear()
            began = time.monotonic()
            resource = {"service.name": "shop" if known else "other"}
            bodies = [logs(log(f"{i}"), resource=resource)[1] for i in range(3)]
            asked = [app.get("/readyz"), *(app.post("/v1/logs", body) for body in bodies)]
            ready, *answers = await asyncio.gather(*asked)
            assert time.monotonic() - began < 4.5
            assert {answer.status_code for answer in answers} == {503}
            assert (ready.status_code, ready.text) == (503, "the database does not answer\n")
            assert (await app.get("/healthz")).status_code == 200
            proxy.speaking.set()
            async with asyncio.timeout(10):
                for body in bodies:
                    await until(200, app.post, "/v1/logs", body)

    asyncio.run(session())
    assert ask(store, "SELECT count(*) AS n FROM otel_logs_fact") == [{"n": 4}]
