"""Many bodies at once, large ones and small ones: what is held stays within its bound, and every client is served."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import asyncpg
import httpx

from exporter.otlp.http import PATHS
from exporter.otlp.records import SPANS
from tests.exporter.asking import PROTOBUF, Postel, postel
from tests.exporter.sending import log, logs, span, spans
from tests.exporter.test_sidecar import IMPATIENT, assert_try_again
from tests.running import serving
from tests.sql.rows import ask

SMALL = {"MAX_BODY_BYTES": "64KiB", "MAX_INFLIGHT_BYTES": "256KiB"}
BOUND = 256 * 1024
LARGE = 50_000


@asynccontextmanager
async def locked(store: str, table: str = "otel_logs_fact") -> AsyncIterator[None]:
    """Nobody can write to a table until the block ends."""
    other = await asyncpg.connect(store)
    try:
        await other.execute(f"BEGIN; LOCK TABLE {table}")
        yield
    finally:
        await other.close()


def body(number: int, size_bytes: int = LARGE) -> bytes:
    """A body of one log of about this size."""
    return logs(log(Random(number).randbytes(size_bytes // 2).hex()))[1]


def elsewhere(app: Postel) -> Postel:
    """The same application, for a client with another address."""
    transport = httpx.ASGITransport(app.application, client=("127.0.0.2", 1))
    client = httpx.AsyncClient(transport=transport, base_url="http://postel", timeout=30, verify=False)
    return Postel(app.sidecar, app.application, client)


async def until_held(app: Postel, at_least: float) -> None:
    async with asyncio.timeout(10):
        while await app.counted("in_flight_bytes") < at_least:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def stored_in_the_end(app: Postel, make: Callable[[], Any], **headers: str) -> int:
    """How often a body was refused until it was stored."""
    refused = 0
    while (answer := await app.post("/v1/logs", make(), **headers)).status_code != 200:
        assert_try_again(answer)
        assert app.sidecar.admission.held_bytes <= BOUND
        refused += 1
        await asyncio.sleep(0.05)
    return refused


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 8192):
        yield content[start : start + 8192]
        await asyncio.sleep(0)


def test_large_bodies_at_once_are_all_stored_in_the_end(store: str) -> None:
    """Of all kinds: with a Content-Length, in chunks, and compressed so that only inflating tells their size."""

    async def session() -> None:
        async with postel(store, SMALL) as app:
            packed = [gzip.compress(logs(log(f"{i}" * LARGE))[1]) for i in range(1, 6)]
            refused = await asyncio.gather(
                *(stored_in_the_end(app, partial(body, i)) for i in range(5)),
                *(stored_in_the_end(app, partial(chunks, body(i))) for i in range(20, 25)),
                *(stored_in_the_end(app, partial(bytes, content), content_encoding="gzip") for content in packed),
            )
            assert sum(refused) > 10
            assert await app.counted("in_flight_bytes") == 0

    asyncio.run(session())
    assert ask(store, "SELECT count(*) AS n FROM otel_logs_fact") == [{"n": 15}]


def test_a_body_that_cannot_be_taken_now_is_refused_before_it_is_read(store: str) -> None:
    read: list[int] = []

    async def large() -> AsyncIterator[bytes]:
        read.append(1)
        yield bytes(LARGE)

    async def session() -> None:
        async with postel(store, SMALL) as app:
            async with locked(store):
                waiting = asyncio.create_task(app.post("/v1/logs", body(1)))
                await until_held(app, LARGE * 4)
                assert_try_again(await app.post("/v1/logs", large(), content_length=f"{LARGE}"))
                assert read == []
            assert (await waiting).status_code == 200
            assert (await app.post("/v1/logs", body(2))).status_code == 200

    asyncio.run(session())


def test_a_compressed_body_counts_as_it_is_inflated(store: str) -> None:
    packed = gzip.compress(logs(log("x" * LARGE))[1])

    async def session() -> None:
        async with postel(store, SMALL) as app:
            async with locked(store):
                waiting = asyncio.create_task(app.post("/v1/logs", body(1)))
                await until_held(app, LARGE * 4)
                assert len(packed) * 4 < BOUND - app.sidecar.admission.held_bytes
                assert "in flight" in assert_try_again(
                    await elsewhere(app).post("/v1/logs", packed, content_encoding="gzip")
                )
            assert (await waiting).status_code == 200
            assert (await app.post("/v1/logs", packed, content_encoding="gzip")).status_code == 200

    asyncio.run(session())


def test_what_waits_for_a_writer_is_held_though_its_request_has_ended(store: str) -> None:
    async def session() -> None:
        async with postel(store, {**SMALL, **IMPATIENT}) as app:
            assert (await app.post("/v1/logs", body(0))).status_code == 200
            async with locked(store):
                assert_try_again(await app.post("/v1/logs", body(1)))
                assert app.sidecar.admission.is_idle
                assert await app.counted("in_flight_bytes") > LARGE * 4
                assert "in flight" in assert_try_again(await app.post("/v1/logs", body(2)))
            async with asyncio.timeout(20):
                while await app.counted("in_flight_bytes"):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert (await app.post("/v1/logs", body(2))).status_code == 200

    asyncio.run(session())


def test_a_noisy_client_leaves_room_for_a_quiet_one(store: str) -> None:
    async def session() -> None:
        async with postel(store, SMALL) as app:
            async with locked(store):
                noisy = [asyncio.create_task(app.post("/v1/logs", body(i, 5000))) for i in range(40)]
                await until_held(app, BOUND * 0.4)
                quiet = elsewhere(app)
                waiting = [asyncio.create_task(quiet.post("/v1/logs", body(100 + i, 5000))) for i in range(5)]
                await until_held(app, BOUND * 0.75)
            assert {(await answer).status_code for answer in waiting} == {200}
            statuses = [(await answer).status_code for answer in noisy]
            assert statuses.count(503) > statuses.count(200) > 0

    asyncio.run(session())


def test_a_quiet_client_does_not_wait_for_the_backlog_of_a_noisy_one(store: str) -> None:
    order: list[str] = []

    async def send(client: httpx.AsyncClient, number: int, name: str) -> None:
        content = spans(*(span(number, i + 1) for i in range(20)))[1]
        answer = await client.post(PATHS[SPANS], content=content, headers={"content-type": PROTOBUF})
        assert answer.status_code == 200
        order.append(name)

    async def session(url: str) -> None:
        async with AsyncExitStack() as stack:

            async def client(address: str) -> httpx.AsyncClient:
                transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
                return await stack.enter_async_context(
                    httpx.AsyncClient(transport=transport, base_url=url, timeout=30, verify=False)
                )

            noisy, quiet = await client("127.0.0.1"), await client("127.0.0.2")
            await send(noisy, 99, "first")
            async with locked(store, "otel_spans_fact"):
                sending = [asyncio.create_task(send(noisy, 100 + i, "noisy")) for i in range(40)]
                await asyncio.sleep(0.7)  # until most of them wait; with fewer, the quiet one comes all the sooner
                sending.append(asyncio.create_task(send(quiet, 200, "quiet")))
                await asyncio.sleep(0.3)
            await asyncio.gather(*sending)

    with serving(store, {"MAX_GROUP_ROWS": "1"}) as server:
        asyncio.run(session(server.url))
    # Two groups of one body each were with the writers; then it was the quiet client's turn.
    assert order.index("quiet") < 12, order
