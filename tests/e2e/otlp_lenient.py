"""OTLP/JSON as it is found in the wild to official messages, by the contract and without the codec under test.

Source: opentelemetry-proto `docs/specification.md`, "JSON Protobuf Encoding";
https://protobuf.dev/programming-guides/json/.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

_LENGTHS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class NotOfItsTypeError(Exception):
    """A record, or the envelope around records, holds something of another type."""


def request_from_json(request: Message, body: bytes) -> int:
    """Fill a request with those records of a body that can be stored; returns how many others there are.

    Raises NotOfItsTypeError where the envelope is to blame, or ValueError where the body is no JSON.
    """
    return _fill(request, json.loads(body))


def _fill(message: Message, content: Any) -> int:
    """An envelope: everything but its one list, and then that one by one."""
    if not isinstance(content, dict):
        raise NotOfItsTypeError(content)
    (field,) = (f for f in message.DESCRIPTOR.fields if f.is_repeated and f.message_type)
    items = content.get(field.camelcase_name)
    _parse(message, {name: value for name, value in content.items() if name != field.camelcase_name})
    if not isinstance(items, list | None):
        raise NotOfItsTypeError(items)
    refused = 0
    for item in items or ():
        if item is None:
            continue
        if _has_one_list(field.message_type):
            refused += _fill(getattr(message, field.name).add(), item)
        else:
            refused += sum(not _add(getattr(message, field.name), record) for record in _records(field, item))
    return refused


def _has_one_list(descriptor: Any) -> bool:
    """Resource and scope envelopes have a list of messages, and a schema_url beside it."""
    return "schema_url" in descriptor.fields_by_name


def _records(field: Any, item: Any) -> Iterator[Any]:
    """A record as it is, and a metric once for each of its points."""
    data = item.items() if field.message_type.name == "Metric" and isinstance(item, dict) else ()
    lists = [
        (name, d["dataPoints"]) for name, d in data if isinstance(d, dict) and isinstance(d.get("dataPoints"), list)
    ]
    if not any(points for _, points in lists):
        yield item
    for name, points in lists:
        for point in points:
            yield item | {name: item[name] | {"dataPoints": [point]}}


def _add(records: Any, content: Any) -> bool:
    """Append a record; False where it has no identity or is not of its type."""
    record = records.add()
    try:
        _parse(record, content)
    except NotOfItsTypeError:
        records.pop()
        return False
    if record.DESCRIPTOR.name == "Span" and not (any(record.trace_id) and any(record.span_id)):
        records.pop()
        return False
    return True


def _parse(message: Message, content: Any) -> None:
    try:
        ParseDict(_strict(message.DESCRIPTOR, content), message)
    except ParseError as error:
        raise NotOfItsTypeError(error) from error


def _strict(descriptor: Any, content: Any) -> Any:
    """What protobuf's own converter takes: camelCase keys that it knows, ids in base64, no key twice."""
    if not isinstance(content, dict):
        raise NotOfItsTypeError(content)
    known = {field.camelcase_name: field for field in descriptor.fields if not field.name.endswith("_strindex")}
    found: dict[str, Any] = {}
    for name, value in content.items():
        field = known.get(name)
        if field is None or value is None:
            continue
        if field.is_repeated:
            if not isinstance(value, list):
                raise NotOfItsTypeError(value)
            found[name] = [_strict_one(descriptor, field, item) for item in value]
            if field.message_type is not None and field.message_type.name == "KeyValue":
                found[name] = list({item.get("key", ""): item for item in found[name]}.values())
        else:
            found[name] = _strict_one(descriptor, field, value)
    return found


def _strict_one(descriptor: Any, field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return _strict(field.message_type, value)
    if field.name in _LENGTHS:
        return b64encode(_id(descriptor, field.name, value)).decode()
    if field.cpp_type in _INTEGERS and isinstance(value, str):
        return int(float(value)) if re.search("[.eE]", value) else value
    return _LONE_SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value


def _id(descriptor: Any, name: str, value: Any) -> bytes:
    """An id in hex or in base64; of another length only a link keeps it, as far as it fits."""
    length = _LENGTHS[name]
    if not isinstance(value, str):
        raise NotOfItsTypeError(value)
    raw = b""
    if re.fullmatch("([0-9a-fA-F]{2})*", value):
        raw = bytes.fromhex(value)
    elif len(value) == (length + 2) // 3 * 4 and re.fullmatch("[A-Za-z0-9+/]+=*", value):
        raw = b64decode(value)
    kept = any(raw) and (len(raw) == length or (descriptor.name == "Link" and len(raw) <= length))
    return raw if kept else b""
