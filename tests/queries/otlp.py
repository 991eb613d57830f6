"""OTLP/JSON back to official messages, and messages in a form in which order that OTLP does not promise is gone."""

from base64 import b64encode
from collections import Counter
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2

REQUESTS: dict[str, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
_IDS = ("traceId", "spanId", "parentSpanId")


def parse(signal: str, answer: Any) -> Any:
    """The message of an OTLP/JSON export request; fails on anything that is no field of it."""
    return json_format.ParseDict(_ids_as_base64(answer), REQUESTS[signal]())


def _ids_as_base64(found: Any) -> Any:
    if isinstance(found, list):
        return [_ids_as_base64(item) for item in found]
    if not isinstance(found, dict):
        return found
    return {
        key: b64encode(bytes.fromhex(item)).decode() if key in _IDS else _ids_as_base64(item)
        for key, item in found.items()
    }


def sort_attributes(message: Message) -> None:
    """Attributes, and the entries of maps, in the order of their keys: jsonb keeps none."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        items = list(value) if field.is_repeated else [value]
        for item in items:
            sort_attributes(item)
        if field.message_type.name == "KeyValue":
            value.sort(key=lambda entry: entry.key)


def records(request: Any) -> Counter[tuple[bytes, ...]]:
    """Every record of a request with its resource and scope, as bytes; a metric's points are records."""
    sort_attributes(request)
    found: Counter[tuple[bytes, ...]] = Counter()
    for resource in resources(request):
        for scope in next(value for field, value in resource.ListFields() if field.is_repeated):
            place = (
                _bytes(resource.resource),
                resource.schema_url.encode(),
                _bytes(scope.scope),
                scope.schema_url.encode(),
            )
            for record in next((value for field, value in scope.ListFields() if field.is_repeated), ()):
                found.update((*place, *record_parts) for record_parts in _parts(record))
    return found


def _parts(record: Any) -> list[tuple[bytes, ...]]:
    if not isinstance(record, metrics_pb2.Metric):
        return [(_bytes(record),)]
    data = getattr(record, record.WhichOneof("data") or "gauge")
    points = [_bytes(point) for point in data.data_points]
    del data.data_points[:]
    return [(_bytes(record), point) for point in points]


def resources(request: Any) -> Any:
    """The resources of a request, each with its scopes."""
    return next(value for _, value in request.ListFields())


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
