"""One OTLP/HTTP request on its way: encoded, sent, and what became of it counted.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp (responses).
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
from exporter.retry import Attempts, Retry
from exporter.shop import Request, Signal

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


@dataclass(slots=True)
class Tally(Attempts):
    """What became of one signal: records, but `requests` and `retried` (attempts after the first) of requests."""

    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    failed: int = 0
    requests: int = 0
    body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Body:
    """One request, ready to be sent, of `records` records."""

    signal: Signal
    records: int
    content: bytes


@dataclass(slots=True)
class Sender:
    """Sends bodies to one server."""

    client: httpx.AsyncClient
    tallies: Mapping[Signal, Tally]
    retry: Retry

    async def send(self, body: Body) -> None:
        """Send until the server took the body, refused it, or it is time to give up; count the outcome."""
        tally = self.tallies[body.signal]
        tally.sent += body.records
        tally.requests += 1
        tally.body_bytes += len(body.content)
        response = await self.retry.send(
            lambda: self.client.post(f"/v1/{body.signal}", content=body.content), _status_message, tally
        )
        if response is not None and response.is_success:
            self._acknowledge(response, body, tally)
        else:
            tally.failed += body.records

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
