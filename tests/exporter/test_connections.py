"""Connections that are slow, idle or unread: each has an end, and none harms another."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import pytest
from hypercorn.asyncio import run, serve
from hypercorn.config import Config

from exporter.connection import Connection
from tests.exporter.asking import JSON, own_database
from tests.exporter.test_body import connected, head, received
from tests.running import Server, serving

SETTINGS = {"IDLE_TIMEOUT": "1s", "BODY_TIMEOUT": "1s", "MAX_HEADER_BYTES": "8KiB"}
FEW, MANY = 128, 400


@contextmanager
def few_descriptors() -> Iterator[None]:
    """What is started in the block starts with a low soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * MANY)), hard))


@pytest.fixture(scope="module")
def server(server_url: str, template: str) -> Iterator[Server]:
    with own_database(server_url, template) as url, ExitStack() as stack:
        with few_descriptors():
            running = stack.enter_context(serving(url, SETTINGS))
        yield running


def trickled(connection: socket.socket, first: bytes) -> bytes:
    """What comes back until the end, while a byte is sent now and then."""
    connection.settimeout(0.2)
    deadline, found = time.monotonic() + 15, b""
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(first)
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                if not (piece := connection.recv(65536)):
                    return found
                found += piece
            connection.sendall(b"x")
        raise AssertionError("never closed")
    return found


def test_a_header_that_trickles_ends_in_a_closed_connection(server: Server) -> None:
    with closing(connected(server)) as connection:
        assert trickled(connection, b"GET / HTTP/1.1\r\nhost: ") == b""


def test_a_body_that_trickles_is_given_up(server: Server) -> None:
    with closing(connected(server)) as connection:
        assert trickled(connection, head("content-length: 1000")).startswith(b"HTTP/1.1 408 ")


def test_a_header_that_is_too_large(server: Server) -> None:
    with closing(connected(server)) as connection:
        # In two packets: what arrives at once is looked at as a whole.
        connection.sendall(b"GET / HTTP/1.1\r\nx: " + b"y" * 8192)
        time.sleep(0.1)
        with suppress(OSError):
            connection.sendall(b"y" * 8192)
        assert received(connection).startswith(b"HTTP/1.1 431 ")


def test_an_answer_to_an_unread_body_arrives_and_the_connection_goes_on(server: Server) -> None:
    for _ in range(3):
        with closing(connected(server)) as connection:
            for _ in range(2):
                connection.sendall(head("content-length: 5000000").replace(b"/v1/logs", b"/v1/nothing"))
                connection.sendall(bytes(5_000_000))
                answer = b""
                while b'"code"' not in answer:
                    answer += connection.recv(65536)
                assert answer.startswith(b"HTTP/1.1 404 ")


def test_who_does_not_read_the_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.connection._LINGER_S", 0.3)
    monkeypatch.setattr(run, "TCPServer", Connection)
    size, listener = 32 << 20, socket.create_server(("127.0.0.1", 0))
    config, over, place = Config(), asyncio.Event(), listener.getsockname()
    config.bind = [f"fd://{listener.detach()}"]

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await send({"type": "http.response.body", "body": bytes(size), "more_body": True})

    def read(client: socket.socket) -> int:
        found = 0
        with suppress(ConnectionResetError):
            while piece := client.recv(1 << 20):
                found += len(piece)
        return found

    async def session() -> int:
        server = asyncio.create_task(serve(app, config, shutdown_trigger=over.wait))
        with closing(socket.create_connection(place)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.sleep(1)
            found = await asyncio.to_thread(read, client)
        over.set()
        await server
        return found

    assert 0 < asyncio.run(session()) < size


def test_many_slow_connections_harm_nobody(server: Server) -> None:
    with ExitStack() as stack:
        for i in range(MANY):
            slow = stack.enter_context(closing(connected(server)))
            slow.sendall(head("content-length: 100") + b"{" if i % 2 else b"POST /v1/logs HTTP/1.1\r\nhost:")
        assert server.post("logs", b"{}", JSON).status_code == 200
