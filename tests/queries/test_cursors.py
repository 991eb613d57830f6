"""Cursors: what was put in comes out, and nothing that was made up gets to the database."""

from base64 import urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries import cursors
from queries.errors import QueryError
from queries.params import Window

times = st.integers(0, (1 << 63) - 2)


@given(times, times, times, st.binary(min_size=16, max_size=16), st.integers(-(1 << 63), (1 << 63) - 1))
def test_round_trip(one: int, other: int, moment: int, raw: bytes, last: int) -> None:
    start, end = sorted((one, other + (one == other)))
    text = cursors.encode("spans", Window(start, end), (moment, raw, last))
    assert cursors.decode("spans", text, cursors.BY_ID) == ((start, end), (moment, raw, last))


@given(st.text() | st.binary().map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        cursors.decode("spans", text, cursors.BY_ID)


@pytest.mark.parametrize(
    "content",
    [
        ["logs", 0, 1, [1, b"x" * 16, 1]],
        ["spans", 0, 1, [1, b"x" * 15, 1]],
        ["spans", 0, 1, [1 << 63, b"x" * 16, 1]],
        ["spans", -1, 1, [1, b"x" * 16, 1]],
        ["spans", 0, 1, [1, b"x" * 16]],
        ["spans", 0, 1],
        ["spans", 1, 1, [1, b"x" * 16, 1]],
    ],
)
def test_what_does_not_fit_is_refused(content: list[object]) -> None:
    with pytest.raises(QueryError):
        cursors.decode("spans", urlsafe_b64encode(msgspec.msgpack.encode(content)).decode(), cursors.BY_ID)
