"""A lean HTTP client: it shares the cores with what it measures, so it does no more than one connection needs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, NoReturn

from msgspec import Struct

from exporter.errors import PostelError

_LONGEST_HEAD_BYTES = 64 * 1024


class Unacknowledged(PostelError):
    """A body was answered with anything but full success."""


class Acknowledged:
    """One body: when it was answered (monotonic seconds), and how long after it was sent or, paced, was to be sent."""

    __slots__ = ("at", "latency_s")

    def __init__(self, at: float, latency_s: float) -> None:
        self.at, self.latency_s = at, latency_s


class Answer(Struct):
    """What a GET was answered, and how long after it was sent."""

    status: int
    content: bytes
    latency_s: float


class Schedule:
    """When each body is to be sent: at once, or at an even pace from the first on, whatever becomes of the others."""

    def __init__(self, bodies_per_s: float | None = None) -> None:
        self._interval_s = None if bodies_per_s is None else 1 / bodies_per_s
        self._began = time.monotonic()

    async def wait(self, number: int) -> float:
        """Waits for the moment of body `number`, counted from 0; returns that moment, which may be long past."""
        now = time.monotonic()
        if self._interval_s is None:
            return now
        due = self._began + number * self._interval_s
        if due > now:
            await asyncio.sleep(due - now)
        return due


class Form(NamedTuple):
    """How bodies are written: the Content-Type, and the message that means full success."""

    content_type: str
    success: bytes


PROTOBUF = Form("application/x-protobuf", b"")
JSON = Form("application/json", b"{}")


async def send_all(
    host: str, port: int, path: str, bodies: Sequence[bytes], connections: int, form: Form = PROTOBUF
) -> list[Acknowledged]:
    """POST gzip'd bodies over that many keep-alive connections; in the order of their answers.

    Raises Unacknowledged at the first answer that is not 200 with the message of full success.
    """
    return await _send_by(Schedule(), host, port, path, bodies, connections, form)


async def send_paced(
    host: str,
    port: int,
    path: str,
    bodies: Sequence[bytes],
    connections: int,
    bodies_per_s: float,
    form: Form = PROTOBUF,
) -> list[Acknowledged]:
    """Like `send_all`, each body at its own moment; a latency is counted from that moment.

    A body that finds every connection busy is late, and its wait counts: else a slow server would be asked less often
    just when it is slow, and look fast.
    """
    return await _send_by(Schedule(bodies_per_s), host, port, path, bodies, connections, form)


@asynccontextmanager
async def asking(host: str, port: int) -> AsyncIterator["Asker"]:
    """One keep-alive connection to ask questions over, one after the other."""
    reader, writer = await _connect(host, port)
    try:
        yield Asker(reader, writer, f"{host}:{port}")
    finally:
        writer.close()


class Asker:
    """Asks over a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer, self._host = reader, writer, host

    async def get(self, path: str) -> Answer:
        """GET a path with its query; any status is an answer."""
        began = time.monotonic()
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        status_line, content = await _read_answer(self._reader)
        return Answer(int(status_line.split(" ")[1]), content, time.monotonic() - began)


async def _send_by(
    schedule: Schedule, host: str, port: int, path: str, bodies: Sequence[bytes], connections: int, form: Form
) -> list[Acknowledged]:
    answers: list[Acknowledged] = []
    waiting = iter(enumerate(bodies))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(connections, len(bodies))):
                group.create_task(_send(schedule, host, port, path, waiting, form, answers))
    except ExceptionGroup as group_of_all:
        raise group_of_all.exceptions[0] from None
    return answers


async def _send(
    schedule: Schedule,
    host: str,
    port: int,
    path: str,
    waiting: Iterator[tuple[int, bytes]],
    form: Form,
    answers: list[Acknowledged],
) -> None:
    reader, writer = await _connect(host, port)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {form.content_type}\r\n"
        "Content-Encoding: gzip\r\nContent-Length: "
    ).encode()
    try:
        for number, body in waiting:
            began = await schedule.wait(number)
            writer.write(b"%s%d\r\n\r\n%s" % (head, len(body), body))
            status_line, message = await _read_answer(reader)
            if status_line.split(" ")[1] != "200" or message != form.success:
                _refuse(status_line, message)
            now = time.monotonic()
            answers.append(Acknowledged(now, now - began))
    finally:
        writer.close()


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(host, port, limit=_LONGEST_HEAD_BYTES)


async def _read_answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The status line and the content."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length")
        if length is None:
            raise Unacknowledged(f"an answer of unknown length: {status_line}")
        return status_line, await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        raise Unacknowledged("the server closed the connection instead of answering") from None


def _refuse(status_line: str, message: bytes) -> NoReturn:
    raise Unacknowledged(f"{status_line}: {message[:500].decode(errors='replace')}")
