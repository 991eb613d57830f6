"""Small telemetry for tests of the answers, in a few words each."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from queries.answers_config import Configuration
from tests.queries.samples import attributes
from tests.running import Server

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


def unasked() -> Configuration:
    """In place of a configuration, where no test asks for one."""
    raise AssertionError("somebody asked for the configuration")


def span(number: int, start: int, *, trace: bytes | None = None, error: bool = False, **fields: Any) -> Span:
    """A span that lasts a millisecond unless told; `parent` is the number of another one."""
    parent = fields.pop("parent", None)
    keys = attributes(fields.pop("attributes", {}))
    given: dict[str, Any] = {"name": "work", "kind": 2, "end_time_unix_nano": start + 1_000_000}
    given.update(fields)
    found = Span(
        trace_id=trace or uuid4().bytes,
        span_id=number.to_bytes(8, "big"),
        parent_span_id=b"" if parent is None else parent.to_bytes(8, "big"),
        start_time_unix_nano=start,
        attributes=keys,
        **given,
    )
    if error:
        found.status.code = 2  # type: ignore[assignment]
    return found


def send_spans(server: Server, service: str | None, spans: Sequence[Span], **resource: Any) -> None:
    """Store spans of one service; None = a resource without a name."""
    request = ExportTraceServiceRequest()
    place = request.resource_spans.add()
    place.resource.attributes.extend(_named(service, resource))
    place.scope_spans.add(spans=spans).scope.name = "lib"
    _accepted(server.post("traces", request.SerializeToString()))


def send_logs(server: Server, service: str, times: Sequence[int], **fields: Any) -> None:
    """Store a log record for each of these times; its body says it unless one is given."""
    request = ExportLogsServiceRequest()
    place = request.resource_logs.add()
    place.resource.attributes.extend(_named(service, {}))
    scope = place.scope_logs.add()
    for moment in times:
        record = scope.log_records.add(time_unix_nano=moment, **fields)
        if "body" not in fields:
            record.body.string_value = f"at {moment}"
    _accepted(server.post("logs", request.SerializeToString()))


def send_points(server: Server, service: str, name: str, times: Sequence[int], **labels: Any) -> None:
    """Store a gauge's point for each of these times; its value is the place in the list."""
    request = ExportMetricsServiceRequest()
    place = request.resource_metrics.add()
    place.resource.attributes.extend(_named(service, {}))
    gauge = place.scope_metrics.add().metrics.add(name=name, unit="ms", description="How long").gauge
    for value, moment in enumerate(times):
        gauge.data_points.add(time_unix_nano=moment, as_int=value, attributes=attributes(labels))
    _accepted(server.post("metrics", request.SerializeToString()))


def _named(service: str | None, resource: dict[str, Any]) -> Any:
    return attributes(({} if service is None else {"service.name": service}) | resource)


def _accepted(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.content) == (200, b"")


def get(server: Server, path: str, **parameters: Any) -> Any:
    """The JSON of an answer, which has to be one."""
    answer = server.get(path, **parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ago(seconds: float) -> int:
    """The time so many seconds ago."""
    return time.time_ns() - int(seconds * SECOND)
