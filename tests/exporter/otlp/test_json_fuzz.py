"""The JSON codec against anything at all, and against what others send."""

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import UndecodableBody
from exporter.otlp import json_wire as wire
from exporter.otlp import records as r
from exporter.otlp.json import JsonCodec
from tests.exporter.otlp.json_requests import (
    CORPUS,
    NAMES,
    REQUESTS,
    SPAN_ID,
    TRACE_ID,
    as_otlp_json,
    body,
    builtins,
    decode,
    fill,
)

# ---- anything at all

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from([TRACE_ID, SPAN_ID, "1e3", "NaN", "SPAN_KIND_SERVER", "null", "AAAA"]),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            sorted({f.encode_name for x in (wire.Span, wire.LogRecord, wire.Metric, wire.Data, wire.AnyValue,
                    wire.HistogramDataPoint, wire.ExponentialHistogramDataPoint, wire.SummaryDataPoint,
                    wire.NumberDataPoint, wire.Resource, wire.KeyValue, wire.ValueAtQuantile)
                    for f in msgspec.structs.fields(x)})
            + [name for names in NAMES.values() for name in names]
            + ["values", "trace_id", "x"]
        ),
        children,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
OPAQUE = ("attribute_key", "attribute", "any_value", "resource", "scope", "status", "event", "link", "exemplar")


def try_everything(signal: str, data: bytes) -> None:
    codec = JsonCodec()
    with suppress(UndecodableBody):
        for scope in getattr(codec, signal)(data):
            for record in scope.records:
                with suppress(UndecodableBody):
                    builtins(codec, record)


@settings(deadline=None)
@given(json_values)
def test_any_json_raises_its_own_error_only(value: Any) -> None:
    raw = json.dumps(value).encode()
    for signal in REQUESTS:
        try_everything(signal, raw)
        try_everything(signal, body(signal, raw, value if isinstance(value, dict) else {}))
    for method in OPAQUE:
        with suppress(UndecodableBody):
            getattr(JsonCodec(), method)(raw)


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_raise_its_own_error_only(data: bytes) -> None:
    for signal in REQUESTS:
        try_everything(signal, data)
        try_everything(signal, b'{"%s":[{%s}]}' % (NAMES[signal][0].encode(), data))
    for method in OPAQUE:
        with suppress(UndecodableBody):
            getattr(JsonCodec(), method)(data)


def whole_bodies() -> dict[str, bytes]:
    bodies = {}
    for signal, request in REQUESTS.items():
        message = request()
        fill(message, random.Random(5))
        bodies[signal] = as_otlp_json(message)
    return bodies


WHOLE = whole_bodies()
PIECES = [b"", b"null", b"{}", b"[", b'"', b"\\ud800", b"\xff", b"-0", b"1e5", b"1.5", b"true", b'"x"', b",", b"5"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_mutated_bodies_raise_its_own_error_only(signal: str, data: st.DataObject) -> None:
    sent = WHOLE[signal]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(sent)))
        end = at + data.draw(st.integers(0, 12))
        sent = sent[:at] + data.draw(st.sampled_from(PIECES)) + sent[end:]
    try_everything(signal, sent)


def replaced(node: Any) -> Iterator[Any]:
    """A JSON document once per node, with something else in that node's place."""
    yield from (None, 5, -1, 1.5, "word", True, [], {}, [5], {"x": 1})
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in list(items):
        for other in replaced(child):
            if isinstance(node, dict):
                yield {**node, key: other}
            else:
                yield [*node[:key], other, *node[key + 1 :]]


@pytest.mark.parametrize("signal", REQUESTS)
def test_a_wrong_node_anywhere_raises_its_own_error_only(signal: str) -> None:
    rng = random.Random(3)
    variants = list(replaced(json.loads(WHOLE[signal])))
    for variant in rng.sample(variants, min(len(variants), 600)):
        try_everything(signal, json.dumps(variant).encode())


# ---- what others send


def test_public_payloads_are_read_as_their_manifest_says() -> None:
    if not (CORPUS / "MANIFEST.json").exists():
        pytest.skip("no folder shared/corpus beside the checkout")
    for entry in json.loads((CORPUS / "MANIFEST.json").read_bytes())["files"]:
        if entry["encoding"] == "json" and entry["expectation"] != "unclear":
            signal = "spans" if entry["signal"] == "traces" else entry["signal"]
            outcome, count = replay(signal, (CORPUS / entry["file"]).read_bytes())
            assert (entry["file"], outcome, count) == (entry["file"], entry["expectation"], entry["records"])


def has_identity(span: r.Span) -> bool:
    return all(len(found) == size and any(found) for found, size in ((span.trace_id, 16), (span.span_id, 8)))


def replay(signal: str, sent: bytes) -> tuple[str, int | None]:
    """Outcome and number of records (refused ones, too), with the row builder's part in it: see `Codec`."""
    codec = JsonCodec()
    stored = refused = 0
    try:
        for scope in decode(codec, signal, sent):
            codec.resource(scope.resource)
            codec.scope(scope.scope)
            for record in scope.records:
                for item in record.data_points if signal == r.METRICS else [record]:
                    identified = signal != r.SPANS or has_identity(item)
                    try:
                        builtins(codec, item)
                        stored, refused = stored + identified, refused + (not identified)
                    except UndecodableBody:
                        refused += 1
    except UndecodableBody:
        return "400", None
    refused += sum(refusal.count for refusal in codec.findings.refusals)
    return f"partial:{refused}" if refused else "stored", stored + refused
