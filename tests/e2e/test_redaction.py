"""What is stored is what was sent without what the lists take: random legal requests, random lists, both encodings."""

from collections import Counter
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from msgspec import structs
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from exporter import promotion
from exporter.otlp.protobuf import ProtobufCodec
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.promotion import OWNERS, RESOURCE, SCOPE, SPAN_EVENTS, SPAN_LINKS
from exporter.redaction import Hasher, Keys
from tests.e2e.in_process import JSON, PROTOBUF, postel
from tests.e2e.otlp_records import assert_same, make_unique, records, walk
from tests.e2e.otlp_strategy import FIRST_UNIX_NANO, REQUESTS, SEED, requests

OWNER = {
    "Resource": RESOURCE,
    "InstrumentationScope": SCOPE,
    "Span": SPANS,
    "Event": SPAN_EVENTS,
    "Link": SPAN_LINKS,
    "LogRecord": LOGS,
    **dict.fromkeys(("Metric", "Exemplar", "NumberDataPoint", "HistogramDataPoint"), METRICS),
    **dict.fromkeys(("ExponentialHistogramDataPoint", "SummaryDataPoint"), METRICS),
}
"""What carries attributes -> the list that holds for it."""


def keys_in(message: Any) -> set[str]:
    """The attribute keys anywhere in a message."""
    if message.DESCRIPTOR.name == "KeyValue":
        return {message.key}
    found: set[str] = set()
    for field, value in message.ListFields():
        if field.message_type is not None:
            found.update(*map(keys_in, value if field.is_repeated else [value]))
    return found


def lists_of(keys: set[str]) -> st.SearchStrategy[Keys]:
    """Lists of some of these keys, and of how some of them begin."""
    names = st.frozensets(st.sampled_from(sorted(keys)), min_size=1, max_size=8)
    beginnings = st.sets(st.sampled_from(sorted({key[:1] for key in keys if key} or {"no"})), max_size=1)
    return st.builds(lambda names, found: Keys(names, tuple(found)), names, beginnings)


def redacted(message: Any, drops: dict[str, Keys], hashed: Keys, hasher: Hasher, seen: Counter[str]) -> None:
    """Do to a message what the lists say, in place; count what was done by owner."""
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.name == "AnyValue":
            continue
        if field.message_type.name != "KeyValue":
            for item in value if field.is_repeated else [value]:
                redacted(item, drops, hashed, hasher, seen)
            continue
        owner = OWNER[message.DESCRIPTOR.name]
        kept = [attribute for attribute in value if not _is_in(attribute.key, drops[owner])]
        seen[f"{owner} dropped"] += len(value) - len(kept)
        for attribute in kept:
            if _is_in(attribute.key, hashed):
                plain = ProtobufCodec().any_value(attribute.value.SerializeToString())
                attribute.value.CopyFrom(AnyValue(string_value=hasher.hash(plain)))
                seen[f"{owner} hashed"] += 1
        del value[:]
        value.extend(kept)


def _is_in(key: str, keys: Keys) -> bool:
    return key in keys.names or any(key[: len(beginning)] == beginning for beginning in keys.beginnings)


def take_keys(request: Message, unique: Message) -> None:
    """Give the records of a request the natural keys of their likes in another one."""
    for (*_, record), (*_, other) in zip(walk(request, split=False), walk(unique, split=False), strict=True):
        if record.DESCRIPTOR.name == "Span":
            record.span_id = other.span_id
        elif record.DESCRIPTOR.name == "Metric" and (data := record.WhichOneof("data")):
            points = getattr(record, data).data_points, getattr(other, data).data_points
            for point, other_point in zip(*points, strict=True):
                point.time_unix_nano = other_point.time_unix_nano


@pytest.mark.parametrize("signal", REQUESTS)
def test_what_is_stored_is_what_was_sent_without_what_the_lists_take(signal: str, database_url: str) -> None:
    seen: Counter[str] = Counter()

    with postel(database_url) as server:
        (secret,) = server.fetch("SELECT digest_key FROM otel_secrets")[0]
        ingest = server.sidecar.ingest

        @seed(SEED)
        @settings(
            max_examples=50,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(requests(signal), st.booleans(), st.data())
        def holds(request: Message, is_json: bool, data: st.DataObject) -> None:
            lists = lists_of(keys_in(request) | {"no"})
            drops, hashed = {owner: data.draw(lists) for owner in OWNERS}, data.draw(lists)
            ingest.use(structs.replace(promotion.load(), drops=drops, hashed=hashed))
            expected = type(request)()
            expected.CopyFrom(request)
            redacted(expected, drops, hashed, Hasher(secret), seen)
            make_unique(expected, set())
            take_keys(request, expected)
            server.forget()
            server.send(signal, request, JSON if is_json else PROTOBUF)
            assert_same(records(expected), records(server.read(signal, start_time=FIRST_UNIX_NANO)))

        holds()
    of = {SPANS: (SPANS, SPAN_EVENTS, SPAN_LINKS), LOGS: (LOGS,), METRICS: (METRICS,)}[signal]
    assert not [
        what for owner in (RESOURCE, SCOPE, *of) for what in (f"{owner} dropped", f"{owner} hashed") if not seen[what]
    ]
