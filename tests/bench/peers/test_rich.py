"""What a store keeps of the rich span is found however it spells it, and what it does not keep is named."""

import gzip
from collections import Counter

import pytest
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.peers.rich import BYTES_ATTRIBUTE, rich_span


def request(*, with_bytes: bool = True) -> ExportTraceServiceRequest:
    """The rich span's."""
    return ExportTraceServiceRequest.FromString(gzip.decompress(rich_span(with_bytes=with_bytes).body.data))


def test_all_of_it_is_found_in_its_own_json() -> None:
    text = MessageToJson(request(), preserving_proto_field_name=True)
    # protobuf's own JSON has the value of an attribute a level below its key.
    text += '{"rich.boolean": true}'
    assert rich_span().missing(Counter([text])) == []


def test_nothing_is_found_in_nothing() -> None:
    rich = rich_span()
    assert rich.missing(Counter()) == list(rich.patterns)
    assert len(rich.patterns) == 39


def test_a_timestamp_of_six_digits_is_not_the_time() -> None:
    rich = rich_span()
    rows = Counter(['{"start": "2026-11-24T10:00:00.123456", "double": 0.9876543210987}'])
    assert "start time in full (ns)" in rich.missing(rows)
    assert "start time in full (ns)" not in rich.missing(Counter(['{"start": "10:00:00.123456789 UTC"}']))


def test_json_within_a_string_counts() -> None:
    rich = rich_span()
    rows = Counter(['{"content": "{\\"attributes\\": {\\"rich.boolean\\": \\"true\\"}, \\"flags\\": 771}"}'])
    assert {"boolean attribute", "flags"}.isdisjoint(rich.missing(rows))


@pytest.mark.parametrize("spelt", ["5fa1c0de-7711-2233-4455-6677889900aa", "X6HA3ncRIjNEVWZ3iJkAqg=="])
def test_identifiers_may_be_spelt_otherwise(spelt: str) -> None:
    assert "trace id" not in rich_span().missing(Counter([spelt]))


def test_a_longer_number_is_not_the_number() -> None:
    assert "flags" in rich_span().missing(Counter(['{"a": 7710, "b": 1771, "c": 0.771}']))


def test_it_can_do_without_bytes() -> None:
    (resource,) = request(with_bytes=False).resource_spans
    (span,) = resource.scope_spans[0].spans
    assert "rich.bytes" not in {pair.key for pair in span.attributes}
    assert BYTES_ATTRIBUTE in rich_span().patterns
