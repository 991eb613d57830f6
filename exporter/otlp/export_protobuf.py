"""An OTLP/JSON export request as protobuf: the same request in the other encoding.

Source: opentelemetry-proto `docs/specification.md`, "JSON Protobuf Encoding": ids are hex there, not base64.
"""

from base64 import b64encode
from types import MappingProxyType
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.otlp.export import Json
from exporter.otlp.records import LOGS, METRICS, SPANS

REQUESTS: Final = MappingProxyType[str, type[Message]](
    {SPANS: ExportTraceServiceRequest, LOGS: ExportLogsServiceRequest, METRICS: ExportMetricsServiceRequest}
)
_IDS = frozenset(("traceId", "spanId", "parentSpanId"))


def to_protobuf(signal: str, request: Json) -> bytes:
    """The protobuf encoding of an export request of a signal, made by `export.request`."""
    return json_format.ParseDict(_with_base64_ids(request), REQUESTS[signal]()).SerializeToString()


def _with_base64_ids(found: Any) -> Any:
    if isinstance(found, list):
        return [_with_base64_ids(item) for item in found]
    if not isinstance(found, dict):
        return found
    return {
        name: b64encode(bytes.fromhex(item)).decode() if name in _IDS else _with_base64_ids(item)
        for name, item in found.items()
    }
