"""A sender that keeps a ledger: what it sent, what was acknowledged, and how long each answer took.

It does what OTLP asks of a client: after 503, or where the connection breaks, the same body again until it is
acknowledged; never again after any other answer.
"""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, islice
from random import random
from typing import Any
from urllib.parse import urlsplit

import msgspec
from google.protobuf.message import Message
from msgspec import Struct
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from exporter.otlp.http import PATHS, Encoding
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.faults.bodies import Bodies, Body, Plan

_REJECTED: dict[str, tuple[type[Message], str, str]] = {
    SPANS: (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    LOGS: (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    METRICS: (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
}
UNREACHABLE = 0
"""What stands for a status where none came: connection refused or broken, or the sender's patience at an end."""


class Manner(Struct, frozen=True):
    """How to send: connections at once, a pause after each body, and how patient to be."""

    connections: int = 6
    pace_s: float = 0.03
    """Seconds from one body of a connection to its next, as far as answers allow."""
    bodies: int = 0
    """Each connection sends that many, made before all begin at once; 0: until `finish`."""
    timeout_s: float = 30.0
    """An attempt without answer for this long is given up, and its connection closed."""
    longest_wait_s: float = 0.5
    """Retry-After is obeyed up to this, as a run is to end some time."""
    token: str | None = None


class Attempt(Struct, frozen=True):
    """One answer: when it came (monotonic), how long after sending, and its status."""

    at: float
    took_s: float
    status: int


class Sent(Struct):
    """What the ledger knows of a body."""

    signal: str
    records: int
    refused: int
    acknowledged: bool = False


class Sender:
    """Threads that send to servers in turn; `with` starts them, `finish` has everything acknowledged."""

    def __init__(
        self, urls: Sequence[str], plan: Plan | None = None, manner: Manner | None = None, first: int = 1
    ) -> None:
        self.urls = list(urls)
        self.plan, self.manner = plan or Plan(), manner or Manner()
        self.bodies = Bodies(self.plan, first)
        self.sent: dict[int, Sent] = {}
        self.attempts: list[Attempt] = []
        self.wrong: list[str] = []
        self.token, self.pace_s = self.manner.token, self.manner.pace_s
        self.began = 0.0
        self._together = threading.Barrier(self.manner.connections, self._begin)
        self._making, self._giving_up = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Sender":
        self._making.set()
        self._begin()
        for seed in range(self.manner.connections):
            self._threads.append(threading.Thread(target=self._run, args=(seed,), daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._making.clear()
        self._giving_up.set()
        for thread in self._threads:
            thread.join(60)

    def include(self, other: "Sender") -> None:
        """Take another's ledger into this one; its bodies have other numbers and the same size."""
        assert self.plan.size == other.plan.size and not self.sent.keys() & other.sent.keys()
        self.sent |= other.sent
        self.attempts += other.attempts
        self.wrong += other.wrong

    def _begin(self) -> None:
        self.began = time.monotonic()

    def finish(self, within_s: float = 60.0) -> float:
        """Make no new bodies, and wait until those on their way are acknowledged; the seconds since the beginning."""
        self._making.clear()
        deadline = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.01, deadline - time.monotonic()))
        took_s = time.monotonic() - self.began
        left = sum(not body.acknowledged for body in self.sent.values())
        if left:
            self.wrong.append(f"{left} bodies were not acknowledged within {within_s:g} s")
        return took_s

    def acknowledged_bodies(self) -> int:
        """How many bodies were acknowledged so far."""
        return sum(attempt.status == 200 for attempt in list(self.attempts))

    def wait_for(self, bodies: int, within_s: float = 60.0) -> float:
        """Wait until that many more bodies are acknowledged; the seconds it took."""
        began, wanted = time.monotonic(), self.acknowledged_bodies() + bodies
        while self.acknowledged_bodies() < wanted:
            if time.monotonic() - began > within_s:
                raise AssertionError(f"not {bodies} bodies within {within_s:g} s: {self.statuses()}; {self.wrong[:3]}")
            time.sleep(0.02)
        return time.monotonic() - began

    def statuses(self) -> dict[int, int]:
        """How often each status was answered."""
        return dict(Counter(attempt.status for attempt in list(self.attempts)))

    def records(self, signal: str, *, refused: bool = False) -> int:
        """How many records of a signal were acknowledged, or how many of them were refused."""
        mine = [body for body in self.sent.values() if body.signal == signal and body.acknowledged]
        return sum(body.refused if refused else body.records for body in mine)

    def _run(self, seed: int) -> None:
        connection: http.client.HTTPConnection | None = None
        due = time.monotonic()
        for turn, body in enumerate(self._bodies(seed)):
            self.sent[body.number] = Sent(body.signal, body.records, body.refused)
            for attempt in count(seed + turn):
                connection = connection or self._connect(attempt)
                status, wait_s = self._post(connection, body)
                if status == UNREACHABLE or len(self.urls) > 1:
                    connection.close()
                    connection = None
                if status not in (UNREACHABLE, 503) or self._giving_up.is_set():
                    break
                self._giving_up.wait(min(wait_s, self.manner.longest_wait_s) * (0.5 + random() / 2))
            due = max(due + self.pace_s, time.monotonic() - self.pace_s)
            time.sleep(max(0.0, due - time.monotonic()))
        if connection is not None:
            connection.close()

    def _bodies(self, seed: int) -> Iterator[Body]:
        endless = self.bodies.stream(seed)
        if self.manner.bodies:
            made = list(islice(endless, self.manner.bodies))
            self._together.wait()
            yield from made
            return
        while self._making.is_set():
            yield next(endless)

    def _connect(self, turn: int) -> http.client.HTTPConnection:
        parts = urlsplit(self.urls[turn % len(self.urls)])
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.manner.timeout_s)

    def _post(self, connection: http.client.HTTPConnection, body: Body) -> tuple[int, float]:
        """Send once; the status, and for how long the server asks to wait."""
        headers = {"content-type": body.encoding.value}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        began = time.monotonic()
        wait_s, content, status = 0.2, b"", UNREACHABLE
        try:
            connection.request("POST", PATHS[body.signal], body.content, headers)
            answer = connection.getresponse()
            content = answer.read()
            status = answer.status
            wait_s = float(answer.headers.get("Retry-After", 0))
        except (OSError, http.client.HTTPException):
            status = UNREACHABLE
        now = time.monotonic()
        self.attempts.append(Attempt(now, now - began, status))
        if status == 503 and wait_s < 1:
            self.wrong.append("503 without Retry-After")
        if status == 200:
            self._acknowledge(body, content)
        elif status not in (UNREACHABLE, 503):
            self.wrong.append(f"{body.signal} {body.encoding.name} answered {status}: {content[:200]!r}")
        return status, wait_s

    def _acknowledge(self, body: Body, content: bytes) -> None:
        self.sent[body.number].acknowledged = True
        if (told := rejected(body, content)) != body.refused:
            self.wrong.append(f"{told} records of body {body.number} refused instead of {body.refused}: {content!r}")


def rejected(body: Body, content: bytes) -> int:
    """How many records an answer says were refused."""
    response, field, key = _REJECTED[body.signal]
    if body.encoding is Encoding.JSON:
        return int(msgspec.json.decode(content).get("partialSuccess", {}).get(key, 0))
    answer: Any = response.FromString(content)
    return int(getattr(answer.partial_success, field))
