"""Content codings of request bodies: inflated in pieces against a limit, an error when cut short.

Source: RFC 9110 section 8.4 (codings), RFC 1950-1952 (zlib, deflate, gzip), RFC 8878 (zstd frames), RFC 9659
(zstd's window as a content coding).
"""

from collections.abc import Callable, Generator, Iterator

import zstandard
from isal import isal_zlib as zlib

from exporter.errors import BodyTooLarge, UndecodableBody, UnsupportedMediaType

PIECE = 65536
"""Bytes fed to, and taken from, zlib at once: unconsumed input is copied, O(n^2) for whole bodies."""

MAX_MEMBERS = 4096
"""gzip members or zstd frames of one body: empty ones inflate to nothing, so no limit on bytes stops them."""

MAX_ZSTD_BLOCKS = 65536
"""Blocks of one body, for the same reason; senders write one per 128 KiB or per flush."""

ZSTD_BLOCK_BYTES = 128 * 1024
ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
"""RFC 9659: content-coding zstd needs no larger window, so no body may claim more memory than that."""

ZSTD_HEADER_BYTES = 18
SKIPPABLE_MAGIC = b"\x2a\x4d\x18"
RLE_BLOCK = 1

# The stubs say that the error is an Exception, not a type of them.
_Corrupt: type[Exception] = zlib.error  # type: ignore[assignment]

GZIP_WBITS, ZLIB_WBITS, RAW_WBITS = 31, 15, -15


def codings(content_encoding: str) -> tuple[str, ...]:
    """The codings of a Content-Encoding header (any case, "" = none), in the order in which they are undone.

    Raises UnsupportedMediaType for an unknown one, and for more than two on top of each other.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    applied = [name for name in names if name not in ("", "identity")]
    for name in applied:
        if name not in _INFLATE:
            raise UnsupportedMediaType(f"Content-Encoding {name!r}: use identity, gzip, deflate or zstd")
    if len(applied) > 2:
        raise UnsupportedMediaType(f"Content-Encoding {content_encoding!r}: at most two codings")
    return tuple(reversed(applied))


def decompress(
    body: bytes, undo: tuple[str, ...], limit: int, produced: Callable[[int], None] = lambda _size_bytes: None
) -> bytes:
    """The body with the codings `undo` (from `codings`) taken off; `produced` is told the size as it grows.

    Raises BodyTooLarge once it exceeds `limit` bytes, coded or in any stage of decoding, having inflated at
    most one piece more; UndecodableBody where the compression is corrupt, cut short or followed by anything.
    """
    if len(body) > limit:
        raise _too_large(limit)
    for coding in undo:
        try:
            body = _bounded(_INFLATE[coding](body), limit, produced)
        except (_Corrupt, zstandard.ZstdError) as error:
            raise UndecodableBody(f"corrupt {coding} body: {error}") from error
    return body


def _bounded(pieces: Iterator[bytes], limit: int, produced: Callable[[int], None]) -> bytes:
    kept: list[bytes] = []
    room = limit
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise _too_large(limit)
        produced(limit - room)
        kept.append(piece)
    return b"".join(kept)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body exceeds max_body_bytes, {limit} bytes before or after decompression")


def _gunzip(body: bytes) -> Iterator[bytes]:
    end = 0
    for _ in range(MAX_MEMBERS):
        end = yield from _inflate_one(body, end, GZIP_WBITS, "gzip")
        # gzip(1) itself ignores zero padding, which tapes and block devices leave behind.
        if not body[end : end + PIECE].strip(b"\0") and not body[end:].strip(b"\0"):
            return
    raise UndecodableBody(f"gzip body of more than {MAX_MEMBERS} members")


def _inflate(body: bytes) -> Iterator[bytes]:
    # Some senders write raw deflate, against RFC 9110. A zlib header is a multiple of 31 and names method 8,
    # which raw deflate can only begin with by a stored block with dirty padding.
    wrapped = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    end = yield from _inflate_one(body, 0, ZLIB_WBITS if wrapped else RAW_WBITS, "deflate")
    if end != len(body):
        raise UndecodableBody("deflate body followed by something else")


def _inflate_one(body: bytes, position: int, wbits: int, coding: str) -> Generator[bytes, None, int]:
    """Yields one stream that begins at `position`; returns where it ends."""
    stream = zlib.decompressobj(wbits)
    view = memoryview(body)
    while not stream.eof:
        fed: bytes | memoryview = view[position : position + PIECE]
        if not fed:
            raise UndecodableBody(f"truncated {coding} body")
        position += len(fed)
        produced = PIECE
        # A full piece may leave output behind even when all input is taken.
        while not stream.eof and (fed or produced == PIECE):
            piece = stream.decompress(fed, PIECE)
            fed, produced = stream.unconsumed_tail, len(piece)
            yield piece
    return position - len(stream.unused_data)


def _unzstd(body: bytes) -> Iterator[bytes]:
    # zstandard can bound either the output of a call or tell where a frame ends, not both; fed block by block
    # (128 KiB of output at most) its decompressobj does both.
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    stream = decompressor.decompressobj()
    fed = 0
    for end, last in _zstd_blocks(body):
        yield stream.decompress(body[fed:end])
        fed = end
        if last:
            if not stream.eof:
                raise UndecodableBody("truncated zstd body")
            stream = decompressor.decompressobj()


def _zstd_blocks(body: bytes) -> Iterator[tuple[int, bool]]:
    """The end of each block (the first one's with its frame's header), and whether a frame ends there."""
    position = frames = blocks = 0
    while position < len(body) or not frames:
        frames += 1
        position, checksum_bytes, last = _zstd_header(body, position)
        if last:
            yield position, True
        while not last:
            blocks += 1
            header = int.from_bytes(body[position : position + 3], "little")
            last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            position += 3 + (1 if kind == RLE_BLOCK else size) + (checksum_bytes if last else 0)
            if position > len(body):
                raise UndecodableBody("truncated zstd body")
            if size > ZSTD_BLOCK_BYTES:
                raise UndecodableBody("corrupt zstd body: a block of more than 128 KiB")
            if blocks > MAX_ZSTD_BLOCKS or frames > MAX_MEMBERS:
                raise UndecodableBody("zstd body of too many blocks or frames")
            yield position, last


def _zstd_header(body: bytes, position: int) -> tuple[int, int, bool]:
    """Where the frame's blocks begin, its checksum's length, and whether it has none (a skippable frame)."""
    head = body[position : position + ZSTD_HEADER_BYTES]
    if head[1:4] == SKIPPABLE_MAGIC and head[0] >> 4 == 5:
        end = position + 8 + int.from_bytes(head[4:8], "little")
        if len(head) < 8 or end > len(body):
            raise UndecodableBody("truncated zstd body")
        return end, 0, True
    frame = zstandard.get_frame_parameters(head)
    return position + zstandard.frame_header_size(head), 4 if frame.has_checksum else 0, False


_INFLATE: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "zstd": _unzstd,
}
