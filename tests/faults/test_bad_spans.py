"""Every row of the bad-record table that concerns spans: the odd one as its row says, the 999 around it stored.

Source: docs/ingest.md, "Bad records".
"""

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from exporter.otlp.records import SPANS
from tests.exporter.sending import MALFORMED, NOW, attributes, field, log
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
    span,
)

PARENT_ID = (7).to_bytes(8, "big")
FIRST = {"span_id": (1).to_bytes(8, "big"), "name": "good", "start_time_unix_nano": NOW + 1}
"""The first of the good ones."""


def case(odd: str, sent: Any = None, **expected: Any) -> Case:
    """A case of a span."""
    return Case(odd=odd, signal=SPANS, sent=sent, **expected)


def base64(raw: bytes) -> str:
    """Bytes as OTLP's ids are not to be written."""
    return b64encode(raw).decode()


def in_json(odd: str, **fields: Any) -> Case:
    """A span that is not of its type in JSON: refused alone, told where, kept as it was sent."""
    (name,) = fields
    return case(odd, json=as_json(span(), **fields), refused="malformed", says=f"spans[499].{name}")


def part_in_json(odd: str, **fields: Any) -> Case:
    """A span one of whose parts is not of its type in JSON."""
    says = "malformed: a span's attribute, event, link or status: "
    return case(odd, json=as_json(span(), **fields), refused="malformed", says=says)


WITHOUT_IDENTITY = [
    case("no trace id", span(trace_id=b""), refused="invalid_trace_id", says="trace_id is absent"),
    case("a trace id of zeros", span(trace_id=bytes(16)), refused="invalid_trace_id", says="all zeros"),
    case("a short trace id", span(trace_id=b"\1" * 15), refused="invalid_trace_id", says="has 15 bytes"),
    case("a long trace id", span(trace_id=b"\1" * 17), refused="invalid_trace_id", says="has 17 bytes"),
    case("no span id", span(span_id=b""), refused="invalid_span_id", says="span_id is absent"),
    case("a span id of zeros", span(span_id=bytes(8)), refused="invalid_span_id", says="all zeros"),
    case("a short span id", span(span_id=b"\1" * 7), refused="invalid_span_id", says="has 7 bytes"),
    case("a long span id", span(span_id=b"\1" * 9), refused="invalid_span_id", says="has 9 bytes"),
    case(
        "a log record among spans",
        wire=log("hello").SerializeToString(),
        refused="invalid_trace_id",
        says="trace_id is absent",
        kept={"name": "\n\x05hello"},
    ),
    case(
        "a span id in base64 without padding",
        json=as_json(span(), spanId="AAAAAAAAA+g"),
        refused="invalid_span_id",
        says="span_id is absent",
        kept={name: value for name, value in as_json(span()).items() if name != "spanId"},
    ),
    case(
        "ids in snake_case",
        json={"trace_id": TRACE_ID.hex(), "span_id": SPAN_ID.hex(), "name": "odd"},
        refused="invalid_trace_id",
        says='ignored the JSON key "span_id"',
        kept={"name": "odd"},
    ),
]

OF_ANOTHER_TYPE = [
    in_json("attributes that are an object", attributes={"a": 1}),
    in_json("links that are a string", links="none"),
    in_json("a name that is a number", name=5),
    in_json("a start that is a word", startTimeUnixNano="soon"),
    in_json("a start of 2^64", startTimeUnixNano=str(2**64)),
    in_json("a start with a fraction", startTimeUnixNano="1.5"),
    in_json("flags of 2^32", flags=2**32),
    in_json("a kind with a fraction", kind=2.5),
    in_json("a kind that the protocol does not know", kind="SPAN_KIND_BOSS"),
    in_json("a count that is true", droppedLinksCount=True),
    part_in_json("an attribute that is a string", attributes=["a"]),
    part_in_json("bytes that are no base64", attributes=[{"key": "a", "value": {"bytesValue": "!"}}]),
    part_in_json("a bool that is a string", attributes=[{"key": "a", "value": {"boolValue": "true"}}]),
    part_in_json("an int that is a word", attributes=[{"key": "a", "value": {"intValue": "one"}}]),
    part_in_json("an event's time that is a word", events=[{"timeUnixNano": "soon"}]),
    part_in_json("a link whose attributes are an object", links=[{"attributes": {}}]),
    part_in_json("a status that the protocol does not know", status={"code": "STATUS_CODE_FINE"}),
    case("a span that is a number", json=5, refused="malformed", says="spans[499]: "),
    *(
        case(
            f"{odd} that is no protobuf",
            wire=span().SerializeToString() + field(number, MALFORMED),
            refused="malformed",
            says="malformed: a span's attribute, event, link or status: ",
        )
        for odd, number in {"an attribute": 9, "an event": 11, "a link": 13, "a status": 15}.items()
    ),
]

IN_ANOTHER_FORM = [
    case(
        "ids in base64",
        json=as_json(span(), traceId=base64(TRACE_ID), spanId=base64(SPAN_ID), parentSpanId=base64(PARENT_ID)),
        stored=span(parent_span_id=PARENT_ID),
        sanitised={"base64_id": 3},
    ),
    case(
        "enums by name",
        json=as_json(span(), kind="SPAN_KIND_SERVER", status={"code": "STATUS_CODE_ERROR"}),
        stored=span(kind=2, status=Status(code=2)),  # type: ignore[arg-type]
        sanitised={"enum_name": 2},
    ),
    case(
        "a key in snake_case",
        json=as_json(span(), dropped_links_count=5),
        stored=span(),
        says='ignored the JSON key "dropped_links_count"',
    ),
    case("null in the list of spans", json=None, records=0),
    case("fields that are null", json=as_json(span(), attributes=None, kind=None, status=None), stored=span()),
    case(
        "integers as 64.0 and 1e3",
        json=as_json(span(), flags=64.0, endTimeUnixNano="1e3"),
        stored=span(flags=64, end_time_unix_nano=1000),
    ),
    case(
        "a lone surrogate",
        json=as_json(span(), name="a\udead"),
        stored=span(name="a\ufffd"),
        sanitised={"lone_surrogate": 1},
    ),
]

POINTERS = [
    *(
        case(f"{odd} parent id", span(parent_span_id=sent), stored=span(), sanitised={"unreadable_id": 1})
        for odd, sent in {"a zero": bytes(8), "a short": b"\1" * 7, "a long": b"\1" * 16}.items()
    ),
    *(
        case(odd, json=as_json(span(), parentSpanId=sent), stored=span(), sanitised={"unreadable_id": 1})
        for odd, sent in {"a parent id that is a word": "root", "a parent id without padding": "AAAAAAAAA+g"}.items()
    ),
    case("a link with short ids", span(links=[Span.Link(trace_id=b"\1", span_id=b"\2", trace_state="a=b")])),
    case("a link with ids of zeros", span(links=[Span.Link(trace_id=bytes(16), span_id=bytes(8))])),
    case(
        "links with long ids",
        span(links=[Span.Link(trace_id=b"\1" * 17), Span.Link(trace_id=TRACE_ID), Span.Link(span_id=b"\1" * 9)]),
        stored=span(links=[Span.Link(trace_id=TRACE_ID)], dropped_links_count=2),
        sanitised={"unreadable_id": 2},
    ),
    case(
        "a link with an id that is a word",
        json=as_json(span(), links=[{"traceId": "none", "spanId": SPAN_ID.hex()}]),
        stored=span(links=[Span.Link(span_id=SPAN_ID)]),
        sanitised={"unreadable_id": 1},
    ),
]

AS_SENT = [
    *(
        case(f"a start {odd}", span(start_time_unix_nano=time), sanitised={"out_of_range_time": 1})
        for odd, time in FAR_TIMES.items()
    ),
    case("an end of 2^64-1", span(end_time_unix_nano=2**64 - 1)),
    case("an end before the start", span(end_time_unix_nano=1)),
    case("no end", span(end_time_unix_nano=0)),
    case("events far away, without a name", span(events=[Span.Event(time_unix_nano=t) for t in FAR_TIMES.values()])),
    case("an unknown kind", span(kind=99)),
    case("an unknown status", span(status=Status(code=77, message="?"))),  # type: ignore[arg-type]
    case(
        "all flags and counts",
        span(
            **dict.fromkeys(
                ("flags", "dropped_attributes_count", "dropped_events_count", "dropped_links_count"), 2**32 - 1
            )
        ),
    ),
    case("no name", span(name="")),
    case(
        "U+0000 in every text",
        span(
            name="a\0b\x1a",
            trace_state="k=\0",
            status=Status(message="\0"),
            events=[Span.Event(name="\0", attributes=attributes({"\0": "\0"}))],
            links=[Span.Link(trace_state="\0", attributes=attributes({"\0": "\0"}))],
        ),
    ),
]

_UTF8_PLACES: dict[str, Callable[[str], Span]] = {
    "the name": lambda text: span(name=text),
    "the trace state": lambda text: span(trace_state=text),
    "a key": lambda text: span(attributes=attributes({text: 1})),
    "a value": lambda text: span(attributes=attributes({"key": text})),
    "a value in a map": lambda text: span(attributes=attributes({"key": {"b": [text]}})),
    "an event's name": lambda text: span(events=[Span.Event(name=text)]),
    "an event's key": lambda text: span(events=[Span.Event(attributes=attributes({text: 2}))]),
    "a link's trace state": lambda text: span(links=[Span.Link(trace_state=text)]),
    "a status": lambda text: span(status=Status(message=text)),
}
NO_UTF8 = [
    case(
        f"no UTF-8 in {place}",
        wire=made("a@b").SerializeToString().replace(b"a@b", b"a\xffb"),
        stored=made("a\ufffdb"),
        sanitised={"invalid_utf8": 1},
    )
    for place, made in _UTF8_PLACES.items()
]

ONCE_MORE = [
    case("the same span again", span(**FIRST), known=1),
    case(
        "the same ids and start with other content",
        span(**FIRST, attributes=attributes({"a": 1})),
        refused="conflict",
        says="the first is kept",
    ),
    case(
        "the same ids with another start",
        grouped(SPANS, span(), span(start_time_unix_nano=NOW + 1)),
        records=2,
    ),
]

CASES = WITHOUT_IDENTITY + OF_ANOTHER_TYPE + IN_ANOTHER_FORM + POINTERS + AS_SENT + NO_UTF8 + ONCE_MORE


@pytest.fixture(scope="module")
def store(server_url: str, template: str) -> Iterator[Store]:
    """The module's store."""
    with new_store(server_url, template) as made:
        yield made


@pytest.mark.parametrize(("odd", "media_type"), each_way(CASES), ids=name_of)
def test_the_odd_span_suffers_alone(store: Store, odd: Case, media_type: str) -> None:
    check(store, odd, media_type)
