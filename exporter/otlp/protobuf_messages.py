"""Wire-compatible copies of the official descriptors: the messages that `ProtobufCodec` parses.

An embedded message and a bytes field are the same on the wire. So the copies declare what mostly repeats (attributes,
resource, scope, status, events, links, body, exemplars) as bytes, and upb hands each over without looking inside.
Enums are int32 in the copies: OTLP's enums are open.

Source: opentelemetry-proto; https://protobuf.dev/programming-guides/encoding/.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from exporter.otlp import records as r

_Field = descriptor_pb2.FieldDescriptorProto
_FILES = (common_pb2, resource_pb2, trace_pb2, logs_pb2, metrics_pb2)
_OPAQUE = (
    ".opentelemetry.proto.common.",
    ".opentelemetry.proto.resource.",
    ".opentelemetry.proto.trace.v1.Span.Event",
    ".opentelemetry.proto.trace.v1.Span.Link",
    ".opentelemetry.proto.trace.v1.Status",
    ".opentelemetry.proto.metrics.v1.Exemplar",
    ".opentelemetry.proto.metrics.v1.NumberDataPoint",
)


def _copies(package: str, to_bytes: Callable[[_Field], bool]) -> Callable[[str], Any]:
    """Message classes by official full name, copied into `package`; fields that `to_bytes` names become bytes."""
    pool = descriptor_pool.DescriptorPool()

    def rewrite(message: descriptor_pb2.DescriptorProto) -> None:
        for field in message.field:
            if field.type == _Field.TYPE_ENUM:
                field.type = _Field.TYPE_INT32
                field.ClearField("type_name")
            elif to_bytes(field):
                field.type = _Field.TYPE_BYTES
                field.ClearField("type_name")
            elif field.type == _Field.TYPE_MESSAGE:
                field.type_name = field.type_name.replace(".opentelemetry.proto", f".{package}")
        for nested in message.nested_type:
            rewrite(nested)

    for module in _FILES:
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        file.name = f"{package}/{file.name}"
        file.package = file.package.replace("opentelemetry.proto", package)
        file.dependency[:] = [f"{package}/{name}" for name in file.dependency]
        for message in file.message_type:
            rewrite(message)
        pool.Add(file)

    def message_class(name: str) -> Any:
        found = pool.FindMessageTypeByName(name.replace("opentelemetry.proto", package))
        return message_factory.GetMessageClass(found)

    return message_class


def _is_opaque(field: _Field) -> bool:
    return field.type == _Field.TYPE_MESSAGE and field.type_name.startswith(_OPAQUE)


opaque = _copies("postel.opaque", _is_opaque)
TracesData = opaque("opentelemetry.proto.trace.v1.TracesData")
LogsData = opaque("opentelemetry.proto.logs.v1.LogsData")
MetricsData = opaque("opentelemetry.proto.metrics.v1.MetricsData")
REQUESTS = {
    r.SPANS: (TracesData, "resource_spans", "scope_spans", "spans"),
    r.LOGS: (LogsData, "resource_logs", "scope_logs", "log_records"),
    r.METRICS: (MetricsData, "resource_metrics", "scope_metrics", "metrics"),
}
ENVELOPES = {
    r.SPANS: (
        opaque("opentelemetry.proto.trace.v1.ResourceSpans"),
        opaque("opentelemetry.proto.trace.v1.ScopeSpans"),
    ),
    r.LOGS: (opaque("opentelemetry.proto.logs.v1.ResourceLogs"), opaque("opentelemetry.proto.logs.v1.ScopeLogs")),
    r.METRICS: (
        opaque("opentelemetry.proto.metrics.v1.ResourceMetrics"),
        opaque("opentelemetry.proto.metrics.v1.ScopeMetrics"),
    ),
}
# The envelopes of all signals are the same on the wire: these read the records of any, as bytes.
envelope = _copies(
    "postel.envelope",
    lambda field: field.type == _Field.TYPE_MESSAGE and field.type_name == ".opentelemetry.proto.trace.v1.Span",
)
Envelope = envelope("opentelemetry.proto.trace.v1.TracesData")
ScopeEnvelope = envelope("opentelemetry.proto.trace.v1.ScopeSpans")
Event = opaque("opentelemetry.proto.trace.v1.Span.Event")
Link = opaque("opentelemetry.proto.trace.v1.Span.Link")
Resource = opaque("opentelemetry.proto.resource.v1.Resource")
Scope = opaque("opentelemetry.proto.common.v1.InstrumentationScope")
KeyValue = opaque("opentelemetry.proto.common.v1.KeyValue")
AnyValue = opaque("opentelemetry.proto.common.v1.AnyValue")
ArrayValue = opaque("opentelemetry.proto.common.v1.ArrayValue")
KeyValueList = opaque("opentelemetry.proto.common.v1.KeyValueList")
NumberDataPoint = opaque("opentelemetry.proto.metrics.v1.NumberDataPoint")
Exemplar = opaque("opentelemetry.proto.metrics.v1.Exemplar")
_stringless = _copies("postel.stringless", lambda field: field.type == _Field.TYPE_STRING)
_opaque_stringless = _copies(
    "postel.opaque_stringless", lambda field: field.type == _Field.TYPE_STRING or _is_opaque(field)
)


def stringless(name: str) -> Any:
    """The message of that full name with strings as bytes: what invalid UTF-8 is repaired with."""
    if name.startswith("postel.opaque."):
        return _opaque_stringless(name.replace("postel.opaque", "opentelemetry.proto"))
    return _stringless(name)


@cache
def string_fields(stringless_name: str) -> frozenset[str]:
    """The names of the string fields of the official message behind a stringless copy."""
    name = re.sub(r"^postel\.(opaque_)?stringless", "opentelemetry.proto", stringless_name)
    for module in _FILES:
        with suppress(KeyError):
            message = module.DESCRIPTOR.pool.FindMessageTypeByName(name)
            return frozenset(f.name for f in message.fields if f.type == f.TYPE_STRING)
    raise AssertionError(name)
