"""Every row of the bad-record table that concerns log records: the odd one as its row says, the 999 around it stored.

Source: docs/ingest.md, "Bad records".
"""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from exporter.otlp.records import LOGS
from tests.exporter.sending import MALFORMED, NOW, any_value, field
from tests.faults.odd_records import (
    FAR_TIMES,
    SPAN_ID,
    TRACE_ID,
    Case,
    Store,
    as_json,
    check,
    each_way,
    grouped,
    name_of,
    new_store,
    record,
    span,
)


def case(odd: str, sent: Any = None, **expected: Any) -> Case:
    """A case of a log record."""
    return Case(odd=odd, signal=LOGS, sent=sent, **expected)


def in_json(odd: str, **fields: Any) -> Case:
    """A log record that is not of its type in JSON: refused alone, told where, kept as it was sent."""
    (name,) = fields
    return case(odd, json=as_json(record(), **fields), refused="malformed", says=f"logRecords[499].{name}")


def part_in_json(odd: str, **fields: Any) -> Case:
    """A log record whose body or attribute is not of its type in JSON."""
    says = "malformed: a log record's attribute or body: "
    return case(odd, json=as_json(record(), **fields), refused="malformed", says=says)


def lists(depth: int, value: Any) -> Any:
    """A value inside so many lists."""
    for _ in range(depth):
        value = [value]
    return value


def lists_in_json(depth: int) -> Any:
    """The number 1 inside so many lists, as OTLP/JSON."""
    value: Any = {"intValue": "1"}
    for _ in range(depth):
        value = {"arrayValue": {"values": [value]}}
    return value


def lists_in_protobuf(depth: int) -> bytes:
    """The same, encoded."""
    value = any_value(1).SerializeToString()
    for _ in range(depth):
        value = field(5, field(1, value))
    return value


OF_ANOTHER_TYPE = [
    in_json("attributes that are an object", attributes={"a": 1}),
    in_json("a time that is a word", timeUnixNano="soon"),
    in_json("a time of 2^64", timeUnixNano=2**64),
    in_json("a time with a fraction", observedTimeUnixNano=1.5),
    in_json("flags of 2^32", flags=2**32),
    in_json("a severity that the protocol does not know", severityNumber="SEVERITY_NUMBER_LOUD"),
    in_json("an event name that is a list", eventName=[]),
    part_in_json("a body that is a string", body="hello"),
    part_in_json("a body of an unknown int", body={"intValue": "1.5"}),
    part_in_json("a body that is no base64", body={"bytesValue": "?"}),
    part_in_json("an attribute without an object", attributes=[1]),
    case("a record that is a string", json="hello", refused="malformed", says="logRecords[499]: "),
    case(
        "an attribute that is no protobuf",
        wire=record().SerializeToString() + field(6, MALFORMED),
        refused="malformed",
        says="KeyValue: not a protobuf message",
    ),
    case(
        "a body that is no protobuf",
        wire=record().SerializeToString() + field(5, MALFORMED),
        refused="malformed",
        says="AnyValue: not a protobuf message",
    ),
]

IN_ANOTHER_FORM = [
    case(
        "ids in base64",
        json=as_json(record(), traceId=b64encode(TRACE_ID).decode(), spanId=b64encode(SPAN_ID).decode()),
        stored=record(),
        sanitised={"base64_id": 2},
    ),
    case(
        "a severity by name",
        json=as_json(record(), severityNumber="SEVERITY_NUMBER_WARN"),
        stored=record(severity_number=13),
        sanitised={"enum_name": 1},
    ),
    case(
        "a key in snake_case",
        json=as_json(record(), severity_text="WARN"),
        stored=record(),
        says='ignored the JSON key "severity_text"',
    ),
    case("null in the list of records", json=None, records=0),
]

UNCORRELATED = [
    *(
        case(
            f"{odd} ids",
            record(trace_id=trace_id, span_id=span_id),
            stored=record(trace_id=b"", span_id=b""),
            sanitised={"unreadable_id": 2},
        )
        for odd, trace_id, span_id in (
            ("zero", bytes(16), bytes(8)),
            ("short", b"\1" * 8, b"\1" * 4),
            ("long", b"\1" * 17, b"\1" * 16),
        )
    ),
    case("no ids", record(trace_id=b"", span_id=b"")),
    case("no trace id", record(trace_id=b"")),
    *(
        case(
            f"ids that are {odd}",
            json=as_json(record(), traceId=trace_id, spanId=span_id),
            stored=record(trace_id=b"", span_id=b""),
            sanitised={"unreadable_id": 2},
        )
        for odd, trace_id, span_id in (
            ("words", "none", "unknown"),
            ("in base64 without padding", "CvdlGRbNQ92ESOshHIAxnA", "t61rcWkgMzE"),
        )
    ),
]

VALUES = [
    case("a severity of 25", record(severity_number=25)),
    case("a negative severity", record(severity_number=-1)),
    case("all flags", record(flags=2**32 - 1, dropped_attributes_count=2**32 - 1)),
    case("a body of 5 MB", record(body=any_value("x" * 5_000_000))),
    case("a body with nothing set", record(body=AnyValue())),
    case("a body of U+0000", record(body=any_value({"a\0": ["\0", "\x1a0"]}), severity_text="\0")),
    case("a text with U+0000", record(body=any_value("a\0b\x1a"))),
    case("a body of odd doubles", record(body=any_value([float("nan"), float("-inf"), -0.0]))),
    case("a body of bytes", record(body=any_value(b"\0\xff"))),
    case(
        "a body 60 deep",
        json=as_json(record(), body=lists_in_json(60)),
        stored=record(body=any_value(lists(32, "[" * 28 + "1" + "]" * 28))),
        sanitised={"too_deep": 1},
    ),
    case(
        "a body 60 deep in protobuf",
        wire=record().SerializeToString() + field(5, lists_in_protobuf(60)),
        refused="malformed",
        says="nested too deep",
    ),
    case("two that are equal", grouped(LOGS, record(), record()), records=2),
    case(
        "a body that is no UTF-8",
        wire=record(body=any_value("a@b")).SerializeToString().replace(b"a@b", b"a\xffb"),
        stored=record(body=any_value("a\ufffdb")),
        sanitised={"invalid_utf8": 1},
    ),
    case(
        "a span among log records",
        wire=span(name="a").SerializeToString(),
        refused="malformed",
        says="AnyValue: not a protobuf message",
    ),
]

TIMES = [
    *(
        case(f"a time {odd}", record(time_unix_nano=time), sanitised={"out_of_range_time": 1})
        for odd, time in FAR_TIMES.items()
        if time
    ),
    *(
        case(
            f"an observed time {odd} alone",
            record(time_unix_nano=0, observed_time_unix_nano=time),
            sanitised={"out_of_range_time" if time else "no_time": 1},
        )
        for odd, time in list(FAR_TIMES.items())[::4]
    ),
    case("an observed time alone", record(time_unix_nano=0, observed_time_unix_nano=NOW)),
    case("an observed time far away", record(observed_time_unix_nano=2**64 - 1)),
]

CASES = OF_ANOTHER_TYPE + IN_ANOTHER_FORM + UNCORRELATED + VALUES + TIMES


@pytest.fixture(scope="module")
def store(server_url: str, template: str) -> Iterator[Store]:
    """The module's store."""
    with new_store(server_url, template) as made:
        yield made


@pytest.mark.parametrize(("odd", "media_type"), each_way(CASES), ids=name_of)
def test_the_odd_record_suffers_alone(store: Store, odd: Case, media_type: str) -> None:
    check(store, odd, media_type)
