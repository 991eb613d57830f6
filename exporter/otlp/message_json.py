"""An official OTLP protobuf message as OTLP/JSON, for what Postel sends itself: load, demo, tests.

Source: opentelemetry-proto `docs/specification.md`, "JSON Protobuf Encoding"; https://protobuf.dev/programming-guides/json/.
"""

from base64 import b64encode
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from exporter.otlp.anyvalue import double_to_otlp

_Convert: TypeAlias = Callable[[Any], Any]

_IDS = frozenset({"trace_id", "span_id", "parent_span_id"})
"""What OTLP writes as hex where other protobuf JSON has base64."""
_INTEGERS_64 = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    }
)


def message_to_json(message: Message) -> bytes:
    """The message as OTLP/JSON: lowerCamelCase keys, hex ids, integer enums, 64-bit integers as strings."""
    return msgspec.json.encode(_object(message))


def _object(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        name, convert, repeated = _plan(field)
        if convert is not None:
            value = [convert(item) for item in value] if repeated else convert(value)
        elif repeated:
            value = list(value)
        found[name] = value
    return found


@cache
def _plan(field: FieldDescriptor) -> tuple[str, _Convert | None, bool]:
    """The field's name in JSON, what makes its values JSON (None: they are), whether it is a list."""
    return field.camelcase_name, _converter(field), field.is_repeated


def _converter(field: FieldDescriptor) -> _Convert | None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _object
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes.hex if field.name in _IDS else _base64
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return double_to_otlp
    return str if field.type in _INTEGERS_64 else None


def _base64(value: bytes) -> str:
    return b64encode(value).decode()
