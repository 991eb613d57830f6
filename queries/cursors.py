"""Where the next page goes on: the last record's key and the window, in one opaque word."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from queries.errors import QueryError
from queries.params import Window

Int64: TypeAlias = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Time: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Id: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16)]
Key: TypeAlias = tuple[int, bytes | int, int]
"""What records are ordered by, newest first: the time they are filed under, and what tells equal times apart."""

NO_KEY = (None, None, None)
BY_ID: Any = tuple[Time, Id, Int64]
BY_SERIES: Any = tuple[Time, Int64, Int64]
BY_PLACE: Any = tuple[Time, int, int]
BY_LINE: Any = tuple[Time, Annotated[int, Meta(ge=1, le=(1 << 63) - 1)], int]


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    of: str
    start: Time
    end: Time
    key: msgspec.Raw


def encode(of: str, window: Window, key: Key) -> str:
    """The cursor after the record of this key, in answers of the endpoint `of`."""
    raw = msgspec.msgpack.encode(_Cursor(of, window.start, window.end, msgspec.Raw(msgspec.msgpack.encode(key))))
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(of: str, text: str, key_type: Any) -> tuple[Window, Key]:
    """The window and key of a cursor. Raises QueryError where it is not one of the endpoint `of`."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.msgpack.decode(raw, type=_Cursor)
    except (ValueError, msgspec.MsgspecError):
        raise _unknown() from None
    if cursor.of != of:
        raise QueryError(f"cursor: belongs to an answer about {cursor.of}", "cursor", "leave it out to begin anew")
    if cursor.start >= cursor.end:
        raise _unknown()
    try:
        key: Key = msgspec.msgpack.decode(cursor.key, type=key_type)
    except (ValueError, msgspec.MsgspecError):
        raise _unknown() from None
    return Window(cursor.start, cursor.end), key


def _unknown() -> QueryError:
    return QueryError("cursor: is none of ours", "cursor", "give next_cursor of the page before as it is")
