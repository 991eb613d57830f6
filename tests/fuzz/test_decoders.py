"""Mutated bodies through the three decoders; and what a fuzzer has found (`make fuzz` looks for more)."""

import gzip
import zlib
from collections.abc import Callable, Mapping

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.exporter.sending import MALFORMED, enveloped, field
from tests.fuzz.oracle import CODECS, bodies, decoded, decoded_in_pieces, inflated

SIGNALS = (SPANS, LOGS, METRICS)
BODIES = [(name, signal, body) for signal in SIGNALS for name, body in bodies(signal)]
SQUEEZE: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
PIECES = {
    # Wrong wire types, groups, lengths out of range, a field of another message, an AnyValue in an AnyValue.
    "protobuf": [
        b"\x08\x01", b"\x0b\x0c", b"\x0b", b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x02\x12\x00", b"\xff" * 11, b"\0",
        field(1, b"\xff"), field(5, field(1, b"")), field(6, field(1, field(1, b"k")) * 2), b"\x31" + b"\xff" * 8,
    ],
    # Other types, repeated keys, huge numbers, lone surrogates, depth.
    "json": [
        b"null", b"{}", b"[]", b"[" * 99, b'"', b"\\ud800", b"\xff", b"-0", b"1e999", b"9" * 99, b"1.5", b"true", b",",
        b'"key":"x",', b'"value":{},', b'"name":1,', b'"asInt":"7","asDouble":-0,', b'{"a":' * 99, b"\0",
    ],
}  # fmt: skip


def mutated(data: st.DataObject, body: bytes, pieces: list[bytes]) -> bytes:
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        end = at + data.draw(st.sampled_from([0, 0, 1, 2, 12, len(body)]))
        other = data.draw(
            st.sampled_from([*pieces, body[at : at + 40] * 2, bytes([body[at - 1] ^ 1]) if body else b""])
        )
        body = body[:at] + other + body[end:]
    return body


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(BODIES), st.data())
def test_a_mutated_body_is_decoded_or_refused_the_same_whole_and_in_pieces(
    sent: tuple[str, str, bytes], data: st.DataObject
) -> None:
    name, signal, body = sent
    body = mutated(data, body, PIECES[name])
    assert decoded(name, signal, body) == decoded_in_pieces(name, signal, body)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(BODIES), st.sampled_from(sorted(SQUEEZE)), st.data())
def test_a_mutated_compressed_body_is_inflated_or_refused(
    sent: tuple[str, str, bytes], coding: str, data: st.DataObject
) -> None:
    whole = SQUEEZE[coding](sent[2])
    assert inflated(coding, whole) == sent[2]
    inflated(coding, mutated(data, whole, [b"\0", b"\xff" * 4, whole]))


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_a_body_that_nobody_harmed_is_whole_in_pieces(name: str, signal: str) -> None:
    for found, body in bodies(signal):
        if found == name:
            whole = decoded(name, signal, body)
            assert whole is not None and whole[0] and not whole[1]
            assert decoded_in_pieces(name, signal, body) == whole


# ---- found by the fuzzer


def test_invalid_utf_8_does_not_take_the_body_down_with_a_bad_attribute() -> None:
    """Found: a name to repair had every opaque part of the body parsed too, and one of those was no message."""
    repaired = field(1, b"name\xff") + field(5, field(1, field(7, MALFORMED)))
    found = decoded("protobuf", METRICS, enveloped(field(1, b"m") + field(5, field(1, b""))) + enveloped(repaired))
    assert found is not None
    assert len(found[0]) == 2


STRANGE = {
    "a group that does not end": b"\xbb\x0a",
    "the end of another group": b"\x0b\x14",
    "groups too deep": b"\x0b" * 200 + b"\x0c" * 200,
    "a field of the number 0": b"\x00\x00",
    "a tag of six bytes": b"\xf5\xf5\xf5\xea\x80\x00" + bytes(9),
    "a field number of 40 bits": b"\x98\x92\x92\x92\x92\x02\x00",
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_what_no_message_has(strange: bytes) -> None:
    """Found: a group in the envelope of a large body took all that came after it, and nobody said so."""
    body = enveloped(b"") + strange
    assert decoded("protobuf", METRICS, body) is None
    assert decoded_in_pieces("protobuf", METRICS, body) is None


def test_a_group_that_ends_is_an_unknown_field() -> None:
    body = enveloped(field(1, b"m") + field(5, field(1, b""))) + b"\x0b\x08\x01\x0c"
    assert decoded("protobuf", METRICS, body) == decoded_in_pieces("protobuf", METRICS, body) != None  # noqa: E711
