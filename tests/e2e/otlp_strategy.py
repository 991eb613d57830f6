"""Random legal OTLP requests: a walk over the official protobuf descriptors, so that a field of tomorrow is sent too.

What the descriptors do not say stands in the small tables here; everything else is as free as its type.

Source: opentelemetry-proto `common.proto`, `trace.proto`, `logs.proto`, `metrics.proto` (their comments).
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.otlp.records import LOGS, METRICS, SPANS

Strategy: TypeAlias = st.SearchStrategy
Place: TypeAlias = tuple[str, str]
"""A message's full name, and the name of a field of it."""
Slot: TypeAlias = list[tuple[FieldDescriptor, Strategy[object]]]

REQUESTS: dict[str, type[Message]] = {
    SPANS: ExportTraceServiceRequest,
    LOGS: ExportLogsServiceRequest,
    METRICS: ExportMetricsServiceRequest,
}
SEED = int(os.environ.get("POSTEL_TEST_SEED", "0"))
"""The same requests in every run; another number looks elsewhere."""
MAX_DEPTH = 6
"""AnyValues inside each other."""

_PROFILES_ONLY = "_strindex"
"""Fields with this ending point into a string table that only profiles have."""
_REQUIRED = {"Span.trace_id", "Span.span_id", "Link.trace_id", "Link.span_id", "Metric.name"}
_SIZES = {
    "attributes": (1, 3),
    "bucket_counts": (1, 5),
    "explicit_bounds": (1, 4),
    "values": (0, 3),
    "spans": (2, 3),
    "log_records": (3, 5),
    "metrics": (8, 9),
}
"""Items of a repeated field at least and at most; of others, one or two."""

START_UNIX_NANO = time.time_ns()
"""No time that is sent lies between it and the end of the run."""
_MINUTES_NANO = 5 * 60 * 10**9
FIRST_UNIX_NANO = START_UNIX_NANO - _MINUTES_NANO
"""No record is filed under an earlier time: what is sent is not so long ago, or so long that it is out of range."""
_GO_ZERO = 11651379494838206464
_TIMES = (0, 1, 86_400 * 10**9, 2**63 - 1, 2**63, _GO_ZERO, 2**64 - 1)
_DOUBLES = (0.0, -0.0, 5e-324, -2.2e-308, 1e308, float("nan"), float("inf"), float("-inf"), 2.0**63, 2.0**53 + 2)
_KEYS = (
    *("service.name", "service.namespace", "http.request.method", "http.response.status_code", "user.id"),
    *("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue", "arrayValue", "kvlistValue", "values"),
)
"""Keys that are promoted, or that look like the form in which values are stored."""


def _times() -> Strategy[int]:
    recent = st.integers(0, _MINUTES_NANO).map(lambda ago: START_UNIX_NANO - ago)
    return st.one_of(recent, recent, recent, recent, st.sampled_from(_TIMES))


def _texts(min_size: int = 0) -> Strategy[str]:
    anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=min_size, max_size=6)
    escapes = st.text(st.sampled_from('\0\x1a01"\\\n'), min_size=min_size, max_size=4)
    return st.one_of(anything, anything, escapes)


def _integers(low: int, high: int) -> Strategy[int]:
    edges = {low, low + 1, high - 1, high, *(e for e in (0, 1, 2**31, 2**53 + 1, 2**63) if low <= e <= high)}
    return st.one_of(st.integers(low, high), st.integers(low, high), st.sampled_from(sorted(edges)))


def _enum(field: FieldDescriptor) -> Strategy[int]:
    assert field.enum_type is not None
    known = st.sampled_from([value.number for value in field.enum_type.values if value.number])
    return st.one_of(known, known, known, _integers(-(2**31), 2**31 - 1))


def _ids(length: int) -> Strategy[bytes]:
    return st.binary(min_size=length, max_size=length).map(lambda raw: raw if any(raw) else b"\1" * length)


_BY_NAME: dict[str, Strategy[object]] = {
    "trace_id": _ids(16),
    "span_id": _ids(8),
    "parent_span_id": _ids(8),
    "key": st.one_of(_texts(), st.sampled_from(_KEYS)),
}
_BY_TYPE: dict[int, Strategy[object]] = {
    FieldDescriptor.TYPE_STRING: _texts(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=6),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.one_of(st.floats(), st.floats(), st.sampled_from(_DOUBLES)),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64),
        _integers(-(2**63), 2**63 - 1),
    ),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32),
        _integers(-(2**31), 2**31 - 1),
    ),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64), _integers(0, 2**64 - 1)),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32), _integers(0, 2**32 - 1)),
}


def requests(signal: str) -> Strategy[Message]:
    """Legal requests of a signal, of a few records each.

    Natural keys may repeat, and two requests may have one in common: see `records.make_unique`.
    """
    return _messages(REQUESTS[signal].DESCRIPTOR, 0)


@cache
def sample(signal: str, count: int, chosen_by: int) -> list[Message]:
    """So many requests, the same in every run for the same number `chosen_by`; not to be changed."""
    found: list[Message] = []

    @seed(chosen_by)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(requests(signal))
    def collect(request: Message) -> None:
        found.append(request)

    collect()
    return found


def places(message_class: type[Message]) -> set[Place]:
    """Every field that a message of this type can hold, in it or anywhere below it."""
    found: set[Place] = set()
    ahead: list[Any] = [message_class.DESCRIPTOR]
    while ahead:
        message = ahead.pop()
        for field in _fields(message):
            if (place := (message.full_name, field.name)) not in found:
                found.add(place)
                ahead += [field.message_type] if field.message_type else []
    return found


def places_set(message: Message) -> set[Place]:
    """The fields of a message, and of those below it, that are not as they are by default."""
    found: set[Place] = set()
    for field, value in message.ListFields():
        if field.is_repeated or field.message_type or value != field.default_value:
            found.add((message.DESCRIPTOR.full_name, field.name))
        if field.message_type:
            for item in value if field.is_repeated else (value,):
                found |= places_set(item)
    return found


def _fields(descriptor: Descriptor) -> list[FieldDescriptor]:
    return [field for field in descriptor.fields if not field.name.endswith(_PROFILES_ONLY)]


@cache
def _messages(descriptor: Descriptor, depth: int) -> Strategy[Message]:
    """Messages of a type; `depth` AnyValues are around them."""
    depth += descriptor.name == "AnyValue"
    slots = list(_slots(descriptor, depth))
    choices = [st.sampled_from(slot) for slot in slots]
    always = sum(1 << place for place, slot in enumerate(slots) if f"{descriptor.name}.{slot[0][0].name}" in _REQUIRED)
    everything = (1 << len(slots)) - 1
    # Rare fields of rare messages would else hardly ever be sent.
    masks = st.one_of(st.integers(0, everything), st.just(everything), st.just(everything))
    create: Callable[[], Message] = GetMessageClass(descriptor)

    @st.composite
    def build(draw: st.DrawFn) -> Message:
        message = create()
        mask = draw(masks) | always
        for place, slot in enumerate(slots):
            if mask >> place & 1:
                field, values = slot[0] if len(slot) == 1 else draw(choices[place])
                _set(message, field, draw(values))
        return message

    return build()


def _slots(descriptor: Descriptor, depth: int) -> Iterator[Slot]:
    """What can be set beside each other: a field, or a oneof with all of its fields."""
    by_oneof: dict[str, Slot] = {}
    for field in _fields(descriptor):
        oneof = field.containing_oneof
        choice = (field, _values(field, depth))
        if oneof is None or len(oneof.fields) == 1:
            yield [choice]
        elif depth < MAX_DEPTH or field.message_type is None:
            by_oneof.setdefault(oneof.name, []).append(choice)
    yield from by_oneof.values()


def _values(field: FieldDescriptor, depth: int) -> Strategy[object]:
    one = _one(field, depth)
    if not field.is_repeated:
        return one
    least, most = _SIZES.get(field.name, (1, 2))
    if field.message_type is not None and field.message_type.name == "KeyValue":
        return st.lists(one, min_size=least, max_size=most, unique_by=lambda attribute: attribute.key)  # type: ignore[attr-defined]
    return st.lists(one, min_size=least, max_size=most)


def _one(field: FieldDescriptor, depth: int) -> Strategy[object]:
    if field.message_type is not None:
        # Through `deferred`: AnyValue holds itself.
        message_type = field.message_type
        return st.deferred(lambda: _messages(message_type, depth))
    if field.enum_type is not None:
        return _enum(field)
    if field.type == FieldDescriptor.TYPE_BOOL and not field.has_presence:
        # False is the same as not to set it.
        return st.just(True)
    if field.full_name.endswith(".Metric.name"):
        return _texts(min_size=1)
    if field.name.endswith("time_unix_nano"):
        return _times()
    return _BY_NAME[field.name] if field.name in _BY_NAME else _BY_TYPE[field.type]


def _set(message: Message, field: FieldDescriptor, value: object) -> None:
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, value)
