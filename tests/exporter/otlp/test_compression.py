"""Every content coding, whole, cut short, corrupt, stacked, and as a bomb."""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import BodyTooLarge, UndecodableBody, UnsupportedMediaType
from exporter.otlp.compression import MAX_MEMBERS, codings, decompress

LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zstd_stream(data: bytes) -> bytes:
    """As the Collector writes it: no content size in the header, a flush now and then."""
    stream = zstandard.ZstdCompressor().compressobj()
    parts = [data[:7], data[7:9000], data[9000:]]
    flushed = [stream.compress(part) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for part in parts]
    return b"".join(flushed) + stream.flush()


CODERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("zstd", zstd),
    ("zstd", zstd_stream),
]
NOISE = random.Random(1).randbytes(300_000)
BODIES = [b"", b"x", b"service" * 1000, bytes(700_000), NOISE, NOISE + bytes(400_000) + NOISE]
each_coder = pytest.mark.parametrize(("coding", "code"), CODERS)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ()),
        ("identity", ()),
        ("GZip", ("gzip",)),
        (" x-gzip ,identity", ("x-gzip",)),
        ("deflate, gzip", ("gzip", "deflate")),
    ],
)
def test_codings_are_undone_last_first(header: str, expected: tuple[str, ...]) -> None:
    assert codings(header) == expected


@pytest.mark.parametrize("header", ["br", "gzip, br", "gzip,gzip,gzip", "gzip;q=1"])
def test_other_codings_are_refused(header: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        codings(header)


@each_coder
@pytest.mark.parametrize("body", BODIES, ids=len)
def test_a_body_comes_back_as_it_was(coding: str, code: Callable[[bytes], bytes], body: bytes) -> None:
    assert decompress(code(body), (coding,), LIMIT) == body
    assert decompress(gzip.compress(code(body)), ("gzip", coding), LIMIT) == body


def test_identity_is_the_body_itself() -> None:
    assert decompress(b"as is", (), 5) == b"as is"


@pytest.mark.parametrize(("coding", "code"), [CODERS[0], *CODERS[3:]])
def test_members_and_frames_follow_each_other(coding: str, code: Callable[[bytes], bytes]) -> None:
    assert decompress(code(b"one ") + code(b"") + code(NOISE), (coding,), LIMIT) == b"one " + NOISE


def test_gzip_may_be_padded_with_zeros() -> None:
    assert decompress(gzip.compress(b"body") + bytes(100_000), ("gzip",), LIMIT) == b"body"


def test_zstd_skippable_frames_are_skipped() -> None:
    skippable = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
    assert decompress(skippable + zstd(b"body") + skippable, ("zstd",), LIMIT) == b"body"


@each_coder
@pytest.mark.parametrize("body", [b"", b"service" * 1000, NOISE], ids=len)
def test_a_truncated_body_is_an_error(coding: str, code: Callable[[bytes], bytes], body: bytes) -> None:
    whole = code(body)
    for end in {0, 1, 3, 5, 9, 12, len(whole) // 2, len(whole) - 4, len(whole) - 1}:
        if 0 <= end < len(whole):
            with pytest.raises(UndecodableBody):
                decompress(whole[:end], (coding,), LIMIT)


@each_coder
@pytest.mark.parametrize("rest", [b"garbage", b"\x1f", b"{}" * 50_000])
def test_something_behind_the_body_is_an_error(coding: str, code: Callable[[bytes], bytes], rest: bytes) -> None:
    with pytest.raises(UndecodableBody):
        decompress(code(b"body") + rest, (coding,), LIMIT)


@each_coder
def test_the_limit_holds_before_and_after_decompression(coding: str, code: Callable[[bytes], bytes]) -> None:
    coded = code(NOISE)
    assert decompress(coded, (coding,), max(len(coded), len(NOISE))) == NOISE
    with pytest.raises(BodyTooLarge):
        decompress(coded, (coding,), len(coded) - 1)
    with pytest.raises(BodyTooLarge):
        decompress(code(bytes(50_000)), (coding,), 49_999)
    with pytest.raises(BodyTooLarge):
        decompress(gzip.compress(code(bytes(50_000))), ("gzip", coding), 49_999)


@each_coder
def test_a_bomb_is_not_inflated(coding: str, code: Callable[[bytes], bytes]) -> None:
    bomb = code(bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        decompress(bomb, (coding,), LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * LIMIT


def test_countless_empty_members_are_an_error() -> None:
    with pytest.raises(UndecodableBody, match="members"):
        decompress(gzip.compress(b"") * (MAX_MEMBERS + 1), ("gzip",), LIMIT)
    with pytest.raises(UndecodableBody, match="frames"):
        decompress(zstd(b"") * (MAX_MEMBERS + 1), ("zstd",), LIMIT)
    with pytest.raises(UndecodableBody, match="blocks"):
        decompress(zstd_stream(b"")[:6] + bytes(3 * 70_000), ("zstd",), LIMIT)


def test_zstd_windows_are_bounded() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(UndecodableBody):
        decompress(stream.compress(b"body") + stream.flush(), ("zstd",), LIMIT)


@settings(deadline=None)
@given(st.sampled_from(CODERS), st.integers(0, 2000), st.integers(1, 255))
def test_damage_raises_its_own_errors_only(coder: tuple[str, Callable[[bytes], bytes]], at: int, flip: int) -> None:
    coded = bytearray(coder[1](b"service" * 100 + NOISE[:300]))
    coded[at % len(coded)] ^= flip
    with suppress(UndecodableBody, BodyTooLarge):
        decompress(bytes(coded), (coder[0],), LIMIT)


@settings(deadline=None)
@given(st.sampled_from(["gzip", "deflate", "zstd"]), st.binary(max_size=60), st.booleans())
def test_any_bytes_raise_its_own_errors_only(coding: str, body: bytes, magic: bool) -> None:
    head = {"gzip": b"\x1f\x8b\x08", "deflate": b"\x78\x9c", "zstd": b"\x28\xb5\x2f\xfd"}[coding]
    with suppress(UndecodableBody, BodyTooLarge):
        decompress(head + body if magic else body, (coding,), LIMIT)
