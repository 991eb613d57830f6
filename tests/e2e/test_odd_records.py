"""Records that are legal and that nobody expects: every text, number and time field at its worst, beside good ones.

PostgreSQL has limits that OTLP has not (an index takes 2,700 bytes, text no U+0000, a bigint no 2^64-1): each record is
stored all the same, and comes back as it was sent.
"""

import random
import string
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import Message

from exporter import promotion
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.promotion import RESOURCE, SCOPE, SPAN_EVENTS, SPAN_LINKS, STRING
from tests.e2e.in_process import JSON, PROTOBUF, Postel, postel
from tests.e2e.otlp_records import assert_same, records
from tests.e2e.otlp_strategy import REQUESTS
from tests.exporter.asking import own_database
from tests.exporter.sending import NOW, SECOND, any_value

KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
LISTS = {SPANS: ("resource_spans", "scope_spans", "spans"), LOGS: ("resource_logs", "scope_logs", "log_records"),
         METRICS: ("resource_metrics", "scope_metrics", "metrics")}  # fmt: skip
PROMOTED = promotion.load().promoted
OWNERS = {
    "Resource": RESOURCE,
    "InstrumentationScope": SCOPE,
    "LogRecord": LOGS,
    "Span": SPANS,
    "Event": SPAN_EVENTS,
    "Link": SPAN_LINKS,
}
GOOD = 9
Values = Mapping[int, Any]
"""What fields of each protobuf type are set to."""

_random = random.Random(11)
TEXTS = {
    **{f"{size} letters": "".join(_random.choices(string.ascii_letters, k=size)) for size in (3000, 300_000)},
    "ideographs": "".join(map(chr, _random.choices(range(0x4E00, 0x9FFF), k=20_000))),
    "U+0000 and its escape": "a\0b\x1a0\x1a1\x1a",
    "no characters": "\uffff\ufffe\ufeff\U0010ffff\x7f",
    "quotes": "'\"\\{}[];--$1%s\r\n\t",
}
I32, U32, I64, U64 = 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1


def _numbers(i32: int, u32: int, i64: int, u64: int, double: float) -> Values:
    return {
        F.TYPE_ENUM: i32,
        **dict.fromkeys((F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32), i32),
        **dict.fromkeys((F.TYPE_UINT32, F.TYPE_FIXED32), u32),
        **dict.fromkeys((F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64), i64),
        **dict.fromkeys((F.TYPE_UINT64, F.TYPE_FIXED64), u64),
        F.TYPE_DOUBLE: double,
        F.TYPE_BOOL: True,
    }


NUMBERS = {
    "largest": _numbers(I32 - 1, U32, I64 - 1, U64, float("inf")),
    "smallest": _numbers(-I32, 0, -I64, 0, float("-inf")),
    "none": _numbers(-1, U32, -1, I64, float("nan")),
    "zero": _numbers(0, 0, 0, 0, -0.0),
}
YEAR = 365 * 24 * 3600 * SECOND
TIMES = {"0": 0, "1": 1, "1970": YEAR // 2, "a year ago": NOW - YEAR, "in a year": NOW + YEAR, "2262": I64 - 1,
         "2262 and on": I64, "2554": U64}  # fmt: skip
_serial = count(1)


def fill(message: Any, values: Values, kind: str) -> None:
    """Set every field of a message that `values` have something for, one item of each list."""
    for field in message.DESCRIPTOR.fields:
        chosen = field.containing_oneof is None or field.name in ("string_value", "as_double", "as_int", kind)
        if field.name.endswith("strindex") or not chosen:
            continue
        if field.message_type is not None:
            child = getattr(message, field.name)
            child = child.add() if field.is_repeated else child
            child.SetInParent()
            fill(child, values, kind)
        elif field.type in values and field.is_repeated:
            getattr(message, field.name).append(values[field.type])
        elif field.type in values:
            setattr(message, field.name, values[field.type])
    if F.TYPE_STRING in values and len(values[F.TYPE_STRING]) < 10_000 and message.DESCRIPTOR.name in OWNERS:
        for key, types in PROMOTED[OWNERS[message.DESCRIPTOR.name]].items():
            if STRING in types:
                message.attributes.add(key=key, value=any_value(values[F.TYPE_STRING]))


def identify(record: Any, at: int | None) -> None:
    """Give a record an identity of its own, and a time."""
    number = next(_serial)
    if record.DESCRIPTOR.name == "Span":
        record.trace_id, record.span_id = number.to_bytes(16, "big"), number.to_bytes(8, "big")
        for link in record.links:
            link.trace_id, link.span_id = record.trace_id, record.span_id
    if record.DESCRIPTOR.name == "Metric":
        record.name += f"m{number}"
        for point in getattr(record, record.WhichOneof("data")).data_points:
            point.time_unix_nano = NOW + number if at is None else at
    elif at is not None and record.DESCRIPTOR.name == "LogRecord":
        record.time_unix_nano = at
    elif at is not None:
        record.start_time_unix_nano = at


def odd(signal: str, values: Values, at: int | None = None) -> Iterator[Any]:
    """Requests of a record with such fields, filed under such a time, and of good ones around it."""
    for kind in KINDS if signal == METRICS else KINDS[:1]:
        request = REQUESTS[signal]()
        resources, scopes, leaves = LISTS[signal]
        resource = getattr(request, resources).add()
        fill(resource, values, kind)
        scope = getattr(resource, scopes)[0]
        identify(getattr(scope, leaves)[0], at)
        for _ in range(GOOD):
            good = getattr(scope, leaves).add()
            fill(good, {F.TYPE_FIXED64: NOW, F.TYPE_DOUBLE: 1.5, F.TYPE_STRING: "good"}, "gauge")
            identify(good, NOW)
        yield request


@pytest.fixture(scope="module")
def running(server_url: str, template: str) -> Iterator[Postel]:
    with own_database(server_url, template) as url, postel(url) as server:
        yield server


def assert_comes_back(running: Postel, signal: str, request: Message, media_type: str) -> None:
    running.forget()
    running.send(signal, request, media_type)
    assert_same(records(request), records(running.read(signal)))


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("signal", REQUESTS)
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_in_every_field(running: Postel, text: str, signal: str, media_type: str) -> None:
    for request in odd(signal, {F.TYPE_STRING: TEXTS[text], F.TYPE_DOUBLE: 1.0}, NOW):
        assert_comes_back(running, signal, request, media_type)


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("signal", REQUESTS)
@pytest.mark.parametrize("numbers", NUMBERS)
def test_any_number_in_every_field(running: Postel, numbers: str, signal: str, media_type: str) -> None:
    for request in odd(signal, NUMBERS[numbers]):
        assert_comes_back(running, signal, request, media_type)


@pytest.mark.parametrize("signal", REQUESTS)
def test_any_time_in_every_field_and_no_partition_for_it(running: Postel, signal: str) -> None:
    partitions = "SELECT parent, lower_unix_nano FROM otel_partitions ORDER BY 1, 2"
    running.send(signal, next(odd(signal, {F.TYPE_FIXED64: NOW}, NOW)), PROTOBUF)
    before = running.fetch(partitions)
    whole = REQUESTS[signal]()
    for at in TIMES.values():
        for request in odd(signal, {F.TYPE_FIXED64: at, F.TYPE_DOUBLE: 1.0}, at):
            whole.MergeFrom(request)
    assert_comes_back(running, signal, whole, PROTOBUF)
    assert running.fetch(partitions) == before


def test_a_histogram_of_many_bounds(running: Postel) -> None:
    (request,) = (
        r
        for r in odd(METRICS, NUMBERS["largest"], NOW)
        if r.resource_metrics[0].scope_metrics[0].metrics[0].HasField("histogram")
    )
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0]
    point.explicit_bounds[:] = [i + 0.1 for i in range(100_000)]
    point.bucket_counts[:] = [U64 - i for i in range(100_001)]
    assert_comes_back(running, METRICS, request, PROTOBUF)
