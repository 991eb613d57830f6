"""What the tests of the JSON codec have in common: requests around records, and decoding them."""

import json
import math
import random
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.otlp import json_wire as wire
from exporter.otlp import records as r
from exporter.otlp.json import JsonCodec

CORPUS = Path(__file__).resolve().parents[3].parent / "shared" / "corpus"
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
U64_MAX = 2**64 - 1
SPAN = {"traceId": TRACE_ID, "spanId": SPAN_ID, "name": "GET /cart", "kind": 2}
REQUESTS: dict[str, Any] = {
    r.SPANS: ExportTraceServiceRequest,
    r.LOGS: ExportLogsServiceRequest,
    r.METRICS: ExportMetricsServiceRequest,
}
NAMES = {r.SPANS: wire.SPANS, r.LOGS: wire.LOGS, r.METRICS: wire.METRICS}


def body(signal: str, *records: Any) -> bytes:
    """A request with these records in one scope; bytes among them stand as they are."""
    raw = [msgspec.Raw(x) if isinstance(x, bytes) else msgspec.Raw(json.dumps(x).encode()) for x in records]
    resources, scopes, leaves = NAMES[signal]
    return msgspec.json.encode({resources: [{scopes: [{leaves: raw}]}]})


def decode(codec: r.Codec, signal: str, data: bytes) -> list[r.ScopeRecords[Any]]:
    return list(getattr(codec, signal)(data))


def records(signal: str, *sent: Any) -> tuple[list[Any], r.Findings]:
    codec = JsonCodec()
    scopes = decode(codec, signal, body(signal, *sent))
    return [record for scope in scopes for record in scope.records], codec.findings


def only(signal: str, sent: Any) -> Any:
    (record,), findings = records(signal, sent)
    assert not findings.refusals
    return record


def values(codec: r.Codec, signal: str, data: bytes) -> list[Any]:
    """Everything of a body, the opaque parts decoded."""
    return [
        (
            codec.resource(scope.resource),
            scope.resource_schema_url,
            codec.scope(scope.scope),
            scope.scope_schema_url,
            [builtins(codec, record) for record in scope.records],
        )
        for scope in decode(codec, signal, data)
    ]


def builtins(codec: r.Codec, record: Any) -> Any:
    parts: dict[str, Callable[[Any], Any]] = {
        "attributes": codec.attribute,
        "metadata": codec.attribute,
        "events": codec.event,
        "links": codec.link,
        "exemplars": codec.exemplar,
        "data_points": lambda point: builtins(codec, point),
    }
    out: dict[str, Any] = {}
    # Of protobuf, spans and logs are the messages themselves, with the same fields.
    of_messages = {"Span": r.Span, "LogRecord": r.LogRecord}
    struct = record if isinstance(record, msgspec.Struct) else of_messages[record.DESCRIPTOR.name]
    for field in struct.__struct_fields__:
        value = getattr(record, field)
        if field in parts:
            value = [parts[field](item) for item in value]
        elif field == "status":
            value = codec.status(value)
        elif field == "body":
            value = codec.any_value(value)
        elif field in ("explicit_bounds", "bucket_counts", "quantiles", "values"):
            value = list(value)
        elif isinstance(value, r.Buckets):
            value = (value.offset, list(value.bucket_counts))
        out[field] = value
    return repr(out)


def fill(message: Any, rng: random.Random, depth: int = 0) -> None:
    """Set every field of a message, one member of each oneof, to odd but legal values."""
    chosen = {one.name: rng.choice(one.fields).name for one in message.DESCRIPTOR.oneofs}
    for field in message.DESCRIPTOR.fields:
        one = field.containing_oneof
        if field.name.endswith("strindex") or (one and chosen[one.name] != field.name):
            continue
        if depth > 12 and field.message_type is not None:
            continue
        for _ in range(rng.choice((1, 2)) if field.is_repeated else 1):
            if field.message_type is not None:
                child = getattr(message, field.name)
                child = child.add() if field.is_repeated else child
                child.SetInParent()
                fill(child, rng, depth + 1)
            elif field.is_repeated:
                getattr(message, field.name).append(scalar(field, rng))
            else:
                setattr(message, field.name, scalar(field, rng))


def scalar(field: Any, rng: random.Random) -> Any:
    if field.name in ("trace_id", "span_id", "parent_span_id"):
        return rng.randbytes(16 if field.name == "trace_id" else 8)
    if field.enum_type is not None:
        return rng.choice([v.number for v in field.enum_type.values])
    by_type: dict[int, Any] = {
        field.TYPE_STRING: rng.choice(["", "x", 'quote" \\ é € 🙂 \n', "\x00", "_a:"]),
        field.TYPE_BYTES: rng.randbytes(rng.randrange(5)),
        field.TYPE_BOOL: rng.random() < 0.5,
        field.TYPE_DOUBLE: rng.choice([0.0, -0.0, 0.1, -1e300, math.inf, -math.inf, math.nan, 5e-324, 3.0]),
        field.TYPE_UINT32: rng.choice([0, 2**32 - 1]),
        field.TYPE_FIXED32: rng.choice([0, 257, 2**32 - 1]),
        field.TYPE_SINT32: rng.choice([0, -(2**31), 2**31 - 1]),
        field.TYPE_INT64: rng.choice([0, -(2**63), 2**63 - 1]),
        field.TYPE_SFIXED64: rng.choice([0, -(2**63), 2**63 - 1]),
        field.TYPE_FIXED64: rng.choice([0, 1, U64_MAX]),
        field.TYPE_UINT64: rng.choice([0, U64_MAX]),
    }
    return by_type[field.type]


def as_otlp_json(message: Any) -> bytes:
    def fix(node: Any) -> Any:
        if isinstance(node, list):
            return [fix(item) for item in node]
        if not isinstance(node, dict):
            return node
        ids = ("traceId", "spanId", "parentSpanId")
        return {k: b64decode(v).hex() if k in ids else fix(v) for k, v in node.items()}

    return json.dumps(fix(MessageToDict(message, use_integers_for_enums=True))).encode()
