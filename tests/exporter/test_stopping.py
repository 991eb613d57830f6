"""SIGTERM while PostgreSQL is frozen and bodies are arriving: everybody is answered, and the process ends in time."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS
from tests.exporter.asking import PROTOBUF
from tests.exporter.black_hole import BlackHole
from tests.exporter.sending import log, logs
from tests.exporter.test_body import connected, head, received
from tests.exporter.test_serve import GRACE_S, made, postmaster_file, serve
from tests.exporter.test_sidecar import assert_try_again
from tests.running import Server, serving

assert made  # a fixture


async def send(server: Server, text: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.url, timeout=30, verify=False) as client:
        body = logs(log(text), resource={"service.name": text})[1]
        return await client.post(PATHS[LOGS], content=body, headers={"content-type": PROTOBUF})


def slowly(server: Server) -> bytes:
    """What is answered to a body that does not go on."""
    with closing(connected(server)) as connection:
        connection.sendall(head("content-length: 1000") + b"{")
        return received(connection)


async def told_again_and_again(server: Server) -> int:
    """The exit code of a server that gets signal after signal until its end."""
    while (code := server.process.poll()) is None:
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.001)
    return code


def test_everybody_is_answered_though_the_database_is_frozen(database_url: str) -> None:
    async def session() -> None:
        proxy = BlackHole(database_url)
        async with proxy.serving():
            context = serving(proxy.url, {"SHUTDOWN_GRACE": f"{GRACE_S:.0f}s"})
            server = await asyncio.to_thread(context.__enter__)
            try:
                assert (await send(server, "known")).status_code == 200
                proxy.speaking.clear()
                waiting = [asyncio.create_task(send(server, text)) for text in ("known", "new", "newer")]
                arriving = [asyncio.create_task(asyncio.to_thread(slowly, server)) for _ in range(3)]
                await asyncio.sleep(0.3)
                began = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.1)
                ended = asyncio.create_task(told_again_and_again(server))
                assert_try_again(await send(server, "late"))
                for answer in arriving:
                    assert (await answer).startswith(b"HTTP/1.1 503 ")
                assert not any(task.done() for task in waiting)
                for task in waiting:
                    assert "shutting down" in assert_try_again(await task)
                assert await ended == 0
                assert time.monotonic() - began < GRACE_S
            finally:
                await asyncio.to_thread(context.__exit__, None, None, None)

    asyncio.run(session())


@contextmanager
def frozen(postmaster: int) -> Iterator[None]:
    """A postmaster and its children stand still until the block ends; then they are ended."""
    children = [int(pid) for pid in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]
    for pid in (postmaster, *children):
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in (postmaster, *children):
        os.kill(pid, signal.SIGCONT)
    while Path(f"/proc/{postmaster}").exists():
        time.sleep(0.02)


def test_it_ends_in_time_though_its_own_postgresql_does_not(made: Path) -> None:
    with serve(made) as run:
        assert run.server.post("logs", logs(log("x"))[1]).status_code == 200
        with frozen(int(postmaster_file(made).read_text().split()[0])):
            code, took_s = run.ended(signal.SIGTERM)
            assert (code, took_s < GRACE_S) == (0, True)
        assert "PostgreSQL has not stopped in time" in run.log.read_text()
