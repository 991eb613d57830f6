"""What must hold of any body at all: it is decoded to the end, or refused by the codec's own error; in any pieces."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from exporter.errors import PostelError, UndecodableBody
from exporter.otlp import json, protobuf
from exporter.otlp import records as r
from exporter.otlp.compression import decompress
from exporter.otlp.json import JsonCodec
from exporter.otlp.message_json import message_to_json
from exporter.otlp.protobuf import ProtobufCodec
from exporter.shop import Shop
from tests.exporter.otlp.json_requests import builtins

CODECS: Mapping[str, Callable[[], r.Codec]] = {"protobuf": ProtobufCodec, "json": JsonCodec}
CODINGS = ("gzip", "deflate", "zstd")
MAX_BODY_BYTES = 1024 * 1024
START_UNIX_NANO = 1_700_000_000_000_000_000
Decoded = tuple[list[Any], list[tuple[str, int]]] | None
"""Resources, scopes and records with everything decoded, and the refusals; None for a body that was refused."""


def decoded(name: str, signal: str, body: bytes) -> Decoded:
    """What a codec makes of a body. Raises whatever is not the codec's own error: that is a defect."""
    codec = CODECS[name]()
    found: list[Any] = []
    try:
        for scope in getattr(codec, signal)(body):
            head = _opened(codec, scope)
            found += [(*head, _record(codec, record)) for record in scope.records]
    except UndecodableBody:
        return None
    assert all(refusal.count > 0 and refusal.reason for refusal in codec.findings.refusals)
    return found, [(refusal.message, refusal.count) for refusal in codec.findings.refusals]


def decoded_in_pieces(name: str, signal: str, body: bytes) -> Decoded:
    """The same by the way of large bodies."""
    module: Any = protobuf if name == "protobuf" else json
    before, module.PIECEWISE_BYTES = module.PIECEWISE_BYTES, -1
    try:
        return decoded(name, signal, body)
    finally:
        module.PIECEWISE_BYTES = before


def _opened(codec: r.Codec, scope: r.ScopeRecords[Any]) -> list[Any]:
    head: list[Any] = [scope.resource_schema_url, scope.scope_schema_url]
    for part, raw in ((codec.resource, scope.resource), (codec.scope, scope.scope)):
        try:
            head.append(repr(part(raw)))
        except UndecodableBody:
            head.append(None)
    return head


def _record(codec: r.Codec, record: Any) -> Any:
    try:
        if isinstance(record, r.Metric):
            for point in record.data_points:
                for raw in codec.block(point.block) if isinstance(point, r.PlainNumberPoint) else point.attributes:
                    codec.attribute_key(raw)
        else:
            for raw in record.attributes:
                assert codec.attribute_key(raw) == codec.attribute(raw).key
        return builtins(codec, record)
    except UndecodableBody:
        return None


def inflated(coding: str, body: bytes) -> bytes | None:
    """A body decompressed; None where it was refused."""
    try:
        content = decompress(body, (coding,), MAX_BODY_BYTES)
    except PostelError:
        return None
    assert len(content) <= MAX_BODY_BYTES
    return content


def bodies(signal: str, count: int = 3) -> list[tuple[str, bytes]]:
    """(codec's name, body) of requests that are as they should be."""
    shop = Shop(7, start_unix_nano=START_UNIX_NANO, pods=1)
    stream = {r.SPANS: shop.traces, r.LOGS: shop.logs, r.METRICS: shop.metrics}[signal](3)
    requests = list(islice(stream, count))
    return [("protobuf", request.SerializeToString()) for request in requests] + [
        ("json", message_to_json(request)) for request in requests
    ]
