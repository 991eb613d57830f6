"""Every row of the bad-record table that concerns attributes, texts and values, for every owner that can have them.

Source: docs/ingest.md, "Bad records".
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.exporter.sending import any_value, gauge, point
from tests.faults.odd_records import (
    ODD,
    Case,
    Store,
    check,
    each_way,
    grouped,
    name_of,
    new_store,
    record,
    span,
)

LIMIT, MAX_BYTES = 1024, 1 << 20
"""Attributes of a record, and bytes of a value, as they are by default."""


def of_span(found: Iterable[KeyValue], dropped: int) -> Message:
    return span(attributes=found, dropped_attributes_count=dropped)


def of_event(found: Iterable[KeyValue], dropped: int) -> Message:
    return span(events=[Span.Event(attributes=found, dropped_attributes_count=dropped)])


def of_link(found: Iterable[KeyValue], dropped: int) -> Message:
    return span(links=[Span.Link(attributes=found, dropped_attributes_count=dropped)])


def of_log(found: Iterable[KeyValue], dropped: int) -> Message:
    return record(attributes=found, dropped_attributes_count=dropped)


def of_point(found: Iterable[KeyValue], _dropped: int) -> Message:
    odd = point(1)
    odd.attributes.extend(found)
    return gauge(ODD, odd)


def of_exemplar(found: Iterable[KeyValue], _dropped: int) -> Message:
    return gauge(ODD, point(1, exemplars=[Exemplar(as_int=1, filtered_attributes=found)]))


def of_metric(found: Iterable[KeyValue], _dropped: int) -> Message:
    return gauge(ODD, point(1), metadata=found)


def of_resource(found: Iterable[KeyValue], dropped: int) -> Message:
    own = Resource(attributes=found, dropped_attributes_count=dropped)
    return grouped(SPANS, span(), resource=own)  # type: ignore[no-any-return]


def of_scope(found: Iterable[KeyValue], dropped: int) -> Message:
    own = InstrumentationScope(name="lib", attributes=found, dropped_attributes_count=dropped)
    return grouped(SPANS, span(), scope=own)  # type: ignore[no-any-return]


Owner = Callable[[Iterable[KeyValue], int], Message]
OWNERS: dict[str, tuple[str, Owner]] = {
    "span": (SPANS, of_span),
    "event": (SPANS, of_event),
    "link": (SPANS, of_link),
    "log": (LOGS, of_log),
    "point": (METRICS, of_point),
    "exemplar": (METRICS, of_exemplar),
    "metric": (METRICS, of_metric),
    "resource": (SPANS, of_resource),
    "scope": (SPANS, of_scope),
}


def pairs(*found: tuple[str, Any]) -> list[KeyValue]:
    """Attributes, of which any may have the same key."""
    return [KeyValue(key=key, value=value if isinstance(value, AnyValue) else any_value(value)) for key, value in found]


def within(depth: int, value: Any) -> Any:
    """A value inside so many lists."""
    for _ in range(depth):
        value = [value]
    return value


TWICE = AnyValue()
TWICE.kvlist_value.values.extend(pairs(("a", 1), ("b", 2), ("a", 3)))
ONCE = {"a": 3, "b": 2}
STRING_TABLE = AnyValue(string_value_strindex=3)
MANY = pairs(("long", "x" * 5_000_000), *((f"key {i}", i) for i in range(9_999)))
FEW = pairs(("long", "x" * MAX_BYTES), *((f"key {i}", i) for i in range(LIMIT - 1)))

AS_SENT = pairs(
    ("U+0000\0 in \x1a", "\0 and \x1a0"),
    ("U+0000 inside", ["\0", b"\0", {"\0": "\0"}]),
    ("NaN", math.nan),
    ("infinities", [math.inf, {"": -math.inf}]),
    ("-0.0", [-0.0, 0.0]),
    ("", "an empty key"),
    ("nothing set", AnyValue()),
    ("nothing set inside", [None, 1]),
    ("a string table's index", STRING_TABLE),
    ("the least and the greatest", [-(2**63), 2**63 - 1]),
    ("32 deep", within(32, 1)),
)
DEEP, CUT = (
    pairs(("a", within(33, 1)), ("b", within(45, 1))),
    pairs(("a", within(32, "[1]")), ("b", within(32, "[" * 13 + "1" + "]" * 13))),
)
READ = [item for item in AS_SENT if item.value != STRING_TABLE] + pairs(("a string table's index", AnyValue()))
VALUES: list[tuple[str, list[KeyValue], list[KeyValue], int, dict[str, int]]] = [
    # (what is odd, as sent, as stored, how many are cut, what is counted)
    ("values kept as sent", AS_SENT, READ, 0, {}),
    ("keys twice", pairs(("a", 1), ("m", TWICE), ("a", "3")), pairs(("m", ONCE), ("a", "3")), 0, {"duplicate_key": 2}),
    ("lists 33 and 45 deep", DEEP, CUT, 0, {"too_deep": 2}),
    ("5 MB and 10,000 attributes", MANY, FEW, len(MANY) - LIMIT + 1, {"truncated_attribute": len(MANY) - LIMIT + 1}),
]


def cases() -> Iterator[Case]:
    """Each odd value at each owner."""
    for odd, sent, stored, cut, sanitised in VALUES:
        # Nine owners, five ways to cut: the large values go to one owner each.
        for owner, (signal, holding) in OWNERS.items():
            if cut and owner in ("log", "exemplar", "metric", "scope"):
                continue
            yield Case(
                odd=f"{odd} at a {owner}",
                signal=signal,
                sent=holding(sent, 2),
                stored=holding(stored or sent, 2 + cut),
                sanitised=sanitised,
            )


@pytest.fixture(scope="module")
def store(server_url: str, template: str) -> Iterator[Store]:
    """The module's store."""
    with new_store(server_url, template) as made:
        yield made


@pytest.mark.parametrize(("odd", "media_type"), each_way(cases()), ids=name_of)
def test_an_odd_value_is_kept(store: Store, odd: Case, media_type: str) -> None:
    check(store, odd, media_type)
