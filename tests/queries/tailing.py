"""Somebody who reads a tail, in a thread of its own: each line with the moment at which it came."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.running import Server

WITHIN_S = 15.0


class Tail:
    """What came so far; `ended` is how it ended: "" while it goes on, `whole` or what broke."""

    def __init__(self, connection: HTTPConnection, answer: HTTPResponse) -> None:
        self._connection = connection
        self.answer = answer
        self.lines: list[tuple[float, str]] = []
        self.ended = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        ended = "whole"
        try:
            while line := self.answer.readline():
                self.lines.append((time.monotonic(), line.decode().removesuffix("\n")))
        except (OSError, HTTPException, ValueError, AttributeError) as error:
            ended = repr(error)
        if not self.answer.isclosed():
            # readline takes an end in the middle for a line's end.
            ended = "cut"
        self.ended = ended

    @property
    def records(self) -> list[Any]:
        """The JSON of every line that has some, of an event its data."""
        found = [line.removeprefix("data: ") for _, line in list(self.lines)]
        return [json.loads(line) for line in found if line.startswith("{")]

    def bodies(self) -> list[str]:
        """The bodies of the log records."""
        return [record["body"] for record in self.records if "body" in record]

    def wait_for(self, count: int, within_s: float = WITHIN_S) -> list[Any]:
        """The records when there are so many."""
        deadline = time.monotonic() + within_s
        while len(found := self.records) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records; ended: {self.ended!r}"
            time.sleep(0.02)
        return found

    def wait_until_ended(self, within_s: float = WITHIN_S) -> str:
        """How it ended."""
        self._thread.join(within_s)
        return self.ended

    def leave(self) -> None:
        """Close the connection."""
        with suppress(OSError):
            if self._connection.sock is not None:
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._connection.close()


@contextmanager
def tailing(server: Server, path: str, headers: dict[str, str] | None = None, **parameters: Any) -> Iterator[Tail]:
    """A tail of `path` until the block ends: from here on every record that is committed belongs to it."""
    place = urlsplit(server.url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=60)
    query = urlencode(parameters, doseq=True)
    connection.request("GET", f"{path}?{query}", headers=headers or {})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    tail = Tail(connection, answer)
    try:
        yield tail
    finally:
        tail.leave()
