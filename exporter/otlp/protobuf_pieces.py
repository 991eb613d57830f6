"""A large protobuf request in pieces of some hundred records, each a message of its own, cut along the wire format.

No call into the parser takes long then, and not everything that is parsed is there at the same time. Every byte goes
to the parser in one piece or another, so that what it would refuse whole it refuses in pieces.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from exporter.errors import BodyTooLarge

PIECE_RECORDS = 500
PIECE_BYTES = 512 * 1024

_ENVELOPES, _RECORDS = 1, 2
_DATA, _POINTS = frozenset((5, 7, 9, 10, 11)), 1
_MAX_DEPTH = 100
_TAGS = (1 << 3, (1 << 32) - 1)
_VARINT, _FIXED64, _BYTES, _GROUP, _END, _FIXED32 = range(6)


class Pieces:
    """The pieces of one request: iterate over it once.

    Gives (resource envelope without its scopes, scope envelope without its records, records as a scope envelope).
    Raises DecodeError; BodyTooLarge for more than `max_records` records and envelopes.
    """

    def __init__(self, body: bytes, max_records: int, *, have_points: bool) -> None:
        self._body, self._left, self._max_records = body, max_records, max_records
        self._have_points = have_points

    def __iter__(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        body = self._body
        for number, start, end in _fields(body, 0, len(body)):
            self._count(1)
            if number != _ENVELOPES:
                continue
            resource, scopes = self._split(start, end)
            for scope_start, scope_end in scopes or [(end, end)]:
                scope, runs = self._split(scope_start, scope_end, PIECE_RECORDS)
                for run in runs or [(end, end)]:
                    yield resource, scope, body[slice(*run)]

    def _weigh(self, start: int, end: int) -> int:
        """What a record counts for: a metric for its points."""
        if not self._have_points:
            return 1
        data = [(at, to) for number, at, to in _fields(self._body, start, end) if number in _DATA]
        return 1 + sum(number == _POINTS for part in data for number, _, _ in _fields(self._body, *part))

    def _count(self, weight: int) -> None:
        self._left -= weight
        if self._left < 0:
            raise BodyTooLarge(f"the body holds more than max_body_records ({self._max_records}) records")

    def _split(self, start: int, end: int, together: int = 0) -> tuple[bytes, list[tuple[int, int]]]:
        """An envelope's other fields, and where its scopes or records lie: the contents of each one, or `together`
        so many whole fields that lie side by side."""
        body = self._body
        rest: list[bytes] = []
        found: list[tuple[int, int]] = []
        before = run_start = start
        run = 0
        for number, content, after in _fields(body, start, end):
            if number == _RECORDS:
                weight = self._weigh(content, after) if together else 1
                self._count(weight)
                if not together:
                    found.append((content, after))
                else:
                    if not run:
                        run_start = before
                    run += weight
            else:
                self._count(1)
                rest.append(body[before:after])
            if run and (number != _RECORDS or run >= together or after - run_start > PIECE_BYTES):
                found.append((run_start, after if number == _RECORDS else before))
                run = 0
            before = after
        if run:
            found.append((run_start, end))
        return b"".join(rest), found


def _fields(raw: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, where the content begins, where the field ends) of each field of a message; the number is 0 where it
    holds no message."""
    try:
        while at < end:
            tag = raw[at]
            at += 1
            if tag > 127:
                tag, at = _short(raw, at - 1)
            if not _TAGS[0] <= tag <= _TAGS[1]:
                raise DecodeError("no field has such a number")
            number = 0
            content = at
            if tag & 7 == _BYTES:
                size = raw[at]
                at += 1
                if size > 127:
                    size, at = _short(raw, at - 1)
                content, at, number = at, at + size, tag >> 3
            else:
                at = _skip(raw, at, tag)
            if at > end:
                raise DecodeError("cut off")
            yield number, content, at
    except IndexError:
        raise DecodeError("cut off") from None


def _skip(raw: bytes, at: int, tag: int) -> int:
    """Where a field that began with `tag` ends; one of a group ends with it."""
    groups: list[int] = []
    while True:
        kind = tag & 7
        if kind == _BYTES:
            size, at = _short(raw, at)
            at += size
        elif kind == _VARINT:
            _, at = varint(raw, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        elif kind == _GROUP and len(groups) < _MAX_DEPTH:
            groups.append(tag >> 3)
        elif kind != _END or not groups or groups.pop() != tag >> 3:
            raise DecodeError("no such wire type, or the end of no group")
        if not groups:
            return at
        tag, at = _short(raw, at)
        if tag > _TAGS[1]:
            raise DecodeError("no field has such a number")


def _short(raw: bytes, at: int) -> tuple[int, int]:
    """A tag or a length, which the parser takes in five bytes at most."""
    value, end = varint(raw, at)
    if end - at > 5:
        raise DecodeError("a tag or length of more than five bytes")
    return value, end


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """(the varint at a place, where it ends). Raises IndexError where it is cut off, DecodeError where it is none."""
    value = shift = 0
    while shift < 70:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise DecodeError("a varint of more than ten bytes")
