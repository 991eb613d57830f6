"""A lean OTLP/HTTP client: it shares the cores with what it measures, so it does no more than one connection needs."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

from exporter.errors import PostelError

_LONGEST_HEAD_BYTES = 64 * 1024


class Unacknowledged(PostelError):
    """A body was answered with anything but full success."""


class Acknowledged:
    """One body: when it was answered (monotonic seconds), and how long after it was sent."""

    __slots__ = ("at", "latency_s")

    def __init__(self, at: float, latency_s: float) -> None:
        self.at, self.latency_s = at, latency_s


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
    answers: list[Acknowledged] = []
    waiting = iter(bodies)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(connections, len(bodies))):
                group.create_task(_send(host, port, path, waiting, form, answers))
    except ExceptionGroup as group_of_all:
        raise group_of_all.exceptions[0] from None
    return answers


async def _send(
    host: str, port: int, path: str, waiting: Iterator[bytes], form: Form, answers: list[Acknowledged]
) -> None:
    reader, writer = await asyncio.open_connection(host, port, limit=_LONGEST_HEAD_BYTES)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {form.content_type}\r\n"
        "Content-Encoding: gzip\r\nContent-Length: "
    ).encode()
    try:
        for body in waiting:
            began = time.monotonic()
            writer.write(b"%s%d\r\n\r\n%s" % (head, len(body), body))
            try:
                await _read_success(reader, form.success)
            except asyncio.IncompleteReadError:
                raise Unacknowledged("the server closed the connection instead of answering") from None
            now = time.monotonic()
            answers.append(Acknowledged(now, now - began))
    finally:
        writer.close()


async def _read_success(reader: asyncio.StreamReader, success: bytes) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length")
    if length is None:
        raise Unacknowledged(f"an answer of unknown length: {status_line}")
    message = await reader.readexactly(int(length))
    if status_line.split(" ")[1] != "200" or message != success:
        _refuse(status_line, message)


def _refuse(status_line: str, message: bytes) -> NoReturn:
    raise Unacknowledged(f"{status_line}: {message[:500].decode(errors='replace')}")
