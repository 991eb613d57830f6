"""One span with every field that OTLP knows, and which of them are found nowhere in what a peer has stored."""

import gzip
import re
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from bench.peers.client import Body

_TRACE_ID = bytes.fromhex("5fa1c0de7711223344556677889900aa")
_SPAN_ID = bytes.fromhex("71c0ffee12345678")
_PARENT_ID = bytes.fromhex("72c0ffee12345679")
_LINKED_TRACE_ID = bytes.fromhex("6fb2c0de7711223344556677889900bb")
_LINKED_SPAN_ID = bytes.fromhex("73c0ffee1234567a")
_BYTES = b"\x01\xfe\x00rich"
_FLAGS, _LINK_FLAGS = 0x303, 0x301
_NANO = 123_456_789
"""Of a second: the digits that a timestamp of PostgreSQL cuts off are in it."""
_DURATION_NANO = 1_777_777_777
_EVENT_AFTER_NANO = 55_555_555
_COUNTS = {"span attributes": 60_061, "events": 60_062, "links": 60_063, "event attributes": 60_064}
_MORE_COUNTS = {"link attributes": 60_065, "resource attributes": 60_066, "scope attributes": 60_067}


class RichSpan(Struct, frozen=True):
    """The request, and field -> a pattern that finds it in the rows as text."""

    body: Body
    patterns: Mapping[str, str]

    def missing(self, rows: Counter[str]) -> list[str]:
        """The fields that none of the rows holds; rows are JSON, in which further JSON may be a string."""
        text = re.sub(r"\\+", "", "\n".join(rows.elements()))
        return [name for name, pattern in self.patterns.items() if not re.search(pattern, text)]


BYTES_ATTRIBUTE = "bytes attribute"


def rich_span(*, with_bytes: bool = True) -> RichSpan:
    """A span that ended a minute ago; also without what some cannot store at all."""
    start = (time.time_ns() // 1_000_000_000 - 60) * 1_000_000_000 + _NANO
    request = _request(start, with_bytes).SerializeToString(deterministic=True)
    return RichSpan(Body(gzip.compress(request, mtime=0), 1), dict(_patterns(start)))


def _patterns(start: int) -> Iterator[tuple[str, str]]:
    yield "trace id", _identifier(_TRACE_ID)
    yield "span id", _identifier(_SPAN_ID)
    yield "parent span id", _identifier(_PARENT_ID)
    yield "trace_state", "rich=state1"
    yield "flags", _number(_FLAGS)
    yield "name", "rich-name"
    yield "kind", r'(?i)consumer|"\w*kind\w*": "?5\b'
    yield "start time in full (ns)", _nanos(start)
    yield "end time in full (ns)", f"{_nanos(start + _DURATION_NANO)}|{_number(_DURATION_NANO)}"
    yield "status code", r'(?i)error|"\w*status_?code\w*": "?2\b'
    yield "status message", "rich-message"
    yield "string attribute", "rich-string"
    yield "boolean attribute", r'boolean"\W+true'
    yield "integer beyond 2^53", "9007199254740993"
    yield "double attribute", r"0\.9876543210987"
    yield BYTES_ATTRIBUTE, rf"{_BYTES.hex()}|{re.escape(b64encode(_BYTES).decode())}"
    yield "array attribute", "rich-element"
    yield "nested attribute", "rich-leaf"
    yield "event", "rich-event"
    yield "event time in full (ns)", _nanos(start + _EVENT_AFTER_NANO)
    yield "event attributes", "rich-happened"
    yield "link", _identifier(_LINKED_TRACE_ID)
    yield "link's span id", _identifier(_LINKED_SPAN_ID)
    yield "link's trace_state", "rich=state2"
    yield "link's flags", _number(_LINK_FLAGS)
    yield "link attributes", "rich-reason"
    yield "resource attributes", "rich-service"
    yield "resource schema_url", "rich/schema/resource"
    yield "scope name", "rich-scope"
    yield "scope version", "rich-1.2.3"
    yield "scope attributes", "rich-part"
    yield "scope schema_url", "rich/schema/scope"
    for of, count in {**_COUNTS, **_MORE_COUNTS}.items():
        yield f"dropped {of} count", _number(count)


def _request(start: int, with_bytes: bool) -> ExportTraceServiceRequest:
    event = Span.Event(
        time_unix_nano=start + _EVENT_AFTER_NANO,
        name="rich-event",
        attributes=[_pair("rich.happened", string_value="rich-happened")],
        dropped_attributes_count=_COUNTS["event attributes"],
    )
    link = Span.Link(
        trace_id=_LINKED_TRACE_ID,
        span_id=_LINKED_SPAN_ID,
        trace_state="rich=state2",
        attributes=[_pair("rich.reason", string_value="rich-reason")],
        dropped_attributes_count=_MORE_COUNTS["link attributes"],
        flags=_LINK_FLAGS,
    )
    span = Span(
        trace_id=_TRACE_ID,
        span_id=_SPAN_ID,
        parent_span_id=_PARENT_ID,
        trace_state="rich=state1",
        flags=_FLAGS,
        name="rich-name",
        kind=Span.SPAN_KIND_CONSUMER,
        start_time_unix_nano=start,
        end_time_unix_nano=start + _DURATION_NANO,
        attributes=[pair for pair in _attributes() if with_bytes or pair.key != "rich.bytes"],
        dropped_attributes_count=_COUNTS["span attributes"],
        events=[event],
        dropped_events_count=_COUNTS["events"],
        links=[link],
        dropped_links_count=_COUNTS["links"],
        status=Status(code=Status.STATUS_CODE_ERROR, message="rich-message"),
    )
    scope = ScopeSpans(spans=[span], schema_url="https://example.com/rich/schema/scope")
    scope.scope.name, scope.scope.version = "rich-scope", "rich-1.2.3"
    scope.scope.attributes.append(_pair("rich.part", string_value="rich-part"))
    scope.scope.dropped_attributes_count = _MORE_COUNTS["scope attributes"]
    resource = Resource(
        attributes=[_pair("service.name", string_value="rich-service")],
        dropped_attributes_count=_MORE_COUNTS["resource attributes"],
    )
    spans = ResourceSpans(resource=resource, scope_spans=[scope], schema_url="https://example.com/rich/schema/resource")
    return ExportTraceServiceRequest(resource_spans=[spans])


def _attributes() -> list[KeyValue]:
    element = AnyValue(string_value="rich-element")
    leaf = _pair("leaf", string_value="rich-leaf")
    return [
        _pair("rich.string", string_value="rich-string"),
        _pair("rich.boolean", bool_value=True),
        _pair("rich.integer", int_value=2**53 + 1),
        _pair("rich.double", double_value=0.9876543210987),
        _pair("rich.bytes", bytes_value=_BYTES),
        _pair("rich.array", array_value=ArrayValue(values=[element])),
        _pair("rich.nested", kvlist_value=KeyValueList(values=[leaf])),
    ]


def _pair(key: str, **value: object) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(**value))  # type: ignore[arg-type]


def _identifier(raw: bytes) -> str:
    """As hex in one piece or as a UUID, in base64, or as an integer."""
    text = raw.hex()
    spelt = [text, b64encode(raw).decode()]
    if len(raw) == 16:
        spelt.append("-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])))
    else:
        spelt.append(str(int.from_bytes(raw, "big", signed=True)))
    return "(?i)" + "|".join(map(re.escape, spelt))


def _number(value: int) -> str:
    return rf"(?<![\d.]){value}(?!\d)"


def _nanos(time_unix_nano: int) -> str:
    """As an integer, or as a fraction of nine digits."""
    return rf"{time_unix_nano}|\.{time_unix_nano % 1_000_000_000:09}(?!\d)"
