"""Requests as bags of records that can be compared: each with its resource and scope, whatever it was grouped with.

Source: docs/architecture.md, "Effective once"; https://protobuf.dev/programming-guides/json/.
"""

import math
import struct
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from exporter.otlp.records import LOGS, SPANS

Plain: TypeAlias = tuple[Any, ...]
"""A message as what is set in it: (field, value) pairs; hashable, and equal where OTLP sees no difference."""
Record: TypeAlias = tuple[Plain, Plain, Plain]
"""Resource, scope (each with its schema_url) and record; a data point is a record, its metric around it."""

_EMPTY_IS_UNSET = {"Resource", "InstrumentationScope", "Status", "AnyValue"}
_IDS = {"traceId", "spanId", "parentSpanId"}
_DATA = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_NAN = struct.pack(">d", math.nan)


def records(request: Message) -> Counter[Record]:
    """The records of a request, and how often it has each."""
    return Counter(
        (_plain(resource, without=scopes), _plain(scope, without=inside), _plain(record))
        for resource, scopes, scope, inside, record in walk(request)
    )


def make_unique(request: Message, taken: set[Plain]) -> None:
    """Give records that share a natural key, with each other or with one in `taken`, another id or time.

    Adds their keys to `taken`. A span's key is its ids and start, a point's its series and time, if it has one.
    """
    for _, _, _, _, record in walk(request, split=False):
        if record.DESCRIPTOR.name == "Span":
            while (key := (record.trace_id, record.span_id, record.start_time_unix_nano)) in taken:
                number = int.from_bytes(record.span_id, "big") % (2**64 - 1) + 1
                record.span_id = number.to_bytes(8, "big")
            taken.add(key)
        elif record.DESCRIPTOR.name == "Metric" and (data := record.WhichOneof("data")):
            for point in getattr(record, data).data_points:
                attributes = _field(point.DESCRIPTOR.fields_by_name["attributes"], point.attributes)
                # A point's series has more to it; what is unique without it is unique with it.
                while point.time_unix_nano and (key := (record.name, attributes, point.time_unix_nano)) in taken:
                    point.time_unix_nano -= 1
                taken.add((record.name, attributes, point.time_unix_nano))


def from_json(message: Message, content: Any) -> Message:
    """Fill a message from OTLP/JSON by protobuf's own converter, which wants ids in base64 as any bytes."""
    return ParseDict(_with_base64_ids(content), message)


def difference(sent: Counter[Record], got: Counter[Record]) -> str:
    """What one has and the other has not, for people; "" where they are equal."""
    lines = [f"lost:     {record}" for record in (sent - got).elements()]
    lines += [f"invented: {record}" for record in (got - sent).elements()]
    return "\n".join(lines)


def assert_same(sent: Counter[Record], got: Counter[Record]) -> None:
    """Fails with the whole difference, which `assert` itself would cut short."""
    if sent != got:
        pytest.fail(difference(sent, got), pytrace=False)


def natural_key(signal: str, record: Record) -> Plain | None:
    """What a record is known by when it comes again: a span's ids and start, a point's series and time; else None."""
    resource, scope, inside = record
    fields = dict(inside)
    if signal == SPANS:
        return tuple(fields.get(name) for name in ("trace_id", "span_id", "start_time_unix_nano"))
    kind = next((name for name in _DATA if name in fields), None)
    if signal == LOGS or kind is None:
        return None
    data = dict(fields.pop(kind))
    (point,) = map(dict, data.pop("data_points"))
    quantiles = tuple(dict(pair).get("quantile") for pair in point.get("quantile_values", ()))
    series = (resource, scope, kind, *fields.items(), *data.items(), quantiles)
    if "time_unix_nano" not in point:
        return None
    return (*series, *(point.get(name) for name in ("attributes", "explicit_bounds", "time_unix_nano")))


def keep_first(signal: str, found: Counter[Record]) -> tuple[Counter[Record], int]:
    """What is stored of records in the order in which they were sent, and how many are in conflict with that."""
    kept: dict[Any, Record] = {}
    stored: Counter[Record] = Counter()
    conflicts = 0
    for record, count in found.items():
        key = natural_key(signal, record)
        if key is None:
            stored[record] = count
        elif kept.setdefault(key, record) == record:
            stored[record] = 1
        else:
            conflicts += count
    return stored, conflicts


def walk(request: Message, split: bool = True) -> Iterator[tuple[Message, str, Message, str, Any]]:
    """(resource envelope, its list of scopes, scope envelope, its list of records, record) of every record."""
    for resource in _items(request, _list_of(request)):
        scopes = _list_of(resource)
        for scope in _items(resource, scopes):
            inside = _list_of(scope)
            for record in _items(scope, inside):
                for one in _points(record) if split and record.DESCRIPTOR.name == "Metric" else (record,):
                    yield resource, scopes, scope, inside, one


def _points(metric: Any) -> Iterator[Message]:
    data = metric.WhichOneof("data")
    for point in getattr(metric, data).data_points if data else ():
        single = type(metric)()
        single.CopyFrom(metric)
        del getattr(single, data).data_points[:]
        getattr(single, data).data_points.append(point)
        yield single


def _list_of(envelope: Message) -> str:
    """The envelope's one list of messages."""
    (field,) = (f for f in envelope.DESCRIPTOR.fields if f.is_repeated and f.message_type)
    return field.name


def _items(message: Message, name: str) -> Any:
    return getattr(message, name)


def _plain(message: Message, without: str = "") -> Plain:
    found = []
    for field, value in message.ListFields():
        if field.name != without:
            plain = _field(field, value)
            if plain != () or field.message_type is None or field.message_type.name not in _EMPTY_IS_UNSET:
                found.append((field.name, plain))
    return tuple(found)


def _field(field: FieldDescriptor, value: Any) -> Any:
    if not field.is_repeated:
        return _one(field, value)
    items = [_one(field, item) for item in value]
    if field.message_type is not None and field.message_type.name == "KeyValue":
        items.sort(key=repr)
    return tuple(items)


def _one(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return _plain(value)
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        # By their bits: -0.0 is not 0.0; but any NaN is NaN, as in JSON.
        return "NaN" if math.isnan(value) else (value, struct.pack(">d", value))
    return value


def _with_base64_ids(content: Any) -> Any:
    if isinstance(content, list):
        return [_with_base64_ids(item) for item in content]
    if isinstance(content, dict):
        return {
            name: b64encode(bytes.fromhex(value)).decode() if name in _IDS else _with_base64_ids(value)
            for name, value in content.items()
        }
    return content
