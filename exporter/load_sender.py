"""One OTLP/HTTP request on its way: encoded, sent, sent again as the protocol allows, and counted.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp (responses, retries, throttling).
"""

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any, TypeAlias

import httpx
import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from exporter.otlp.http import Encoding
from exporter.otlp.message_json import message_to_json
from exporter.shop import Request, Signal

Sleep: TypeAlias = Callable[[float], Awaitable[object]]

RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
"""All others say that the same request would fail again."""
RETRYABLE_ERRORS = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)
FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 30.0

_RESPONSES: Mapping[Signal, Any] = {
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}
_REJECTED: Mapping[Signal, str] = {
    "traces": "rejected_spans",
    "logs": "rejected_log_records",
    "metrics": "rejected_data_points",
}
_KEPT_PROBLEMS = 5


@dataclass(slots=True)
class Tally:
    """What became of one signal: records, but `requests` and `retried` (attempts after the first) of requests."""

    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    failed: int = 0
    requests: int = 0
    retried: int = 0
    body_bytes: int = 0
    problems: dict[str, int] = field(default_factory=dict)
    """What servers and the network said -> how often; the first few that differ."""

    def note(self, problem: str) -> None:
        """Count a problem, if it is among the first few that differ."""
        if problem in self.problems or len(self.problems) < _KEPT_PROBLEMS:
            self.problems[problem] = self.problems.get(problem, 0) + 1


@dataclass(frozen=True, slots=True)
class Body:
    """One request, ready to be sent, of `records` records."""

    signal: Signal
    records: int
    content: bytes


@dataclass(slots=True)
class Sender:
    """Sends bodies to one server; `sleep` and `clock` (seconds) are what retries wait by."""

    client: httpx.AsyncClient
    tallies: Mapping[Signal, Tally]
    give_up_s: float = 300.0
    sleep: Sleep = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    rng: Random = field(default_factory=Random)

    async def send(self, body: Body) -> None:
        """Send until the server took the body, refused it, or `give_up_s` have passed; count the outcome."""
        tally = self.tallies[body.signal]
        tally.sent += body.records
        tally.requests += 1
        tally.body_bytes += len(body.content)
        began = self.clock()
        attempt = 0
        while True:
            response, problem, retryable = await self._try(body)
            if response is not None and response.is_success:
                self._acknowledge(response, body, tally)
                return
            tally.note(problem)
            wait_s = self._wait_s(response, attempt)
            if not retryable or self.clock() + wait_s - began > self.give_up_s:
                tally.failed += body.records
                return
            await self.sleep(wait_s)
            attempt += 1
            tally.retried += 1

    async def _try(self, body: Body) -> tuple[httpx.Response | None, str, bool]:
        """The answer, or what went wrong and whether trying again may help."""
        try:
            response = await self.client.post(f"/v1/{body.signal}", content=body.content)
        except httpx.RequestError as error:
            return None, f"{type(error).__name__}: {error}".rstrip(": "), isinstance(error, RETRYABLE_ERRORS)
        problem = "" if response.is_success else f"{response.status_code}: {_status_message(response)}".rstrip(": ")
        return response, problem, response.status_code in RETRYABLE_STATUSES

    def _wait_s(self, response: httpx.Response | None, attempt: int) -> float:
        """Seconds to the next attempt: what the server asks for, else a back-off that doubles, with jitter."""
        if response is not None:
            asked_s = retry_after_s(response.headers.get("Retry-After", ""), datetime.now(UTC))
            if asked_s is not None:
                return asked_s
        longest = min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(attempt, 20))
        return longest * self.rng.uniform(0.5, 1.0)

    def _acknowledge(self, response: httpx.Response, body: Body, tally: Tally) -> None:
        rejected, message = partial_success(response, body.signal)
        tally.rejected += rejected
        tally.acknowledged += body.records - rejected
        if message:
            tally.note(message)


def encode(signal: Signal, request: Request, encoding: Encoding, compress: bool) -> Body:
    """The request as a body in that encoding, gzip'd when `compress`."""
    content = request.SerializeToString() if encoding is Encoding.PROTOBUF else message_to_json(request)
    # Level 1: the sender of a load test should not be what is measured; a Collector's default costs twice the time.
    return Body(signal, count_records(request), gzip.compress(content, 1, mtime=0) if compress else content)


def count_records(request: Request) -> int:
    """Spans, log records or data points in a request."""
    if isinstance(request, ExportTraceServiceRequest):
        return sum(len(scope.spans) for found in request.resource_spans for scope in found.scope_spans)
    if isinstance(request, ExportLogsServiceRequest):
        return sum(len(scope.log_records) for found in request.resource_logs for scope in found.scope_logs)
    return sum(
        len(getattr(metric, metric.WhichOneof("data") or "gauge").data_points)
        for found in request.resource_metrics
        for scope in found.scope_metrics
        for metric in scope.metrics
    )


def retry_after_s(header: str, now: datetime) -> float | None:
    """Seconds that a Retry-After header (seconds or an HTTP date) asks for; None when it asks for nothing readable."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    # "-0000" gives a time without zone, which means UTC too.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def partial_success(response: httpx.Response, signal: Signal) -> tuple[int, str]:
    """Refused records and the server's message in a 200; a body that cannot be read refuses nothing."""
    try:
        if _is_json(response):
            found = msgspec.json.decode(response.content or b"{}").get("partialSuccess") or {}
            name = _REJECTED[signal].title().replace("_", "")
            return int(found.get(name[0].lower() + name[1:], 0)), str(found.get("errorMessage", ""))
        answer = _RESPONSES[signal].FromString(response.content)
    except (DecodeError, msgspec.DecodeError, AttributeError, TypeError, ValueError):
        return 0, "a 200 whose body is no OTLP response"
    return int(getattr(answer.partial_success, _REJECTED[signal])), str(answer.partial_success.error_message)


def _status_message(response: httpx.Response) -> str:
    """The `message` of a google.rpc.Status, else the reason phrase."""
    try:
        if _is_json(response):
            message = str(msgspec.json.decode(response.content, type=dict[str, Any]).get("message", ""))
        else:
            # {1: integer, 2: string} on the wire, as google.rpc.Status is, which has no Python class here.
            message = ExportTracePartialSuccess.FromString(response.content).error_message
    except (DecodeError, msgspec.DecodeError):
        message = ""
    return message or response.reason_phrase


def _is_json(response: httpx.Response) -> bool:
    return str(response.headers.get("Content-Type", "")).startswith(Encoding.JSON.value)
