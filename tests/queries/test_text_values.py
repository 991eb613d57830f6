"""Numbers, times, durations and attributes as people read them."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from queries import answers
from queries.text_values import clocks, compact, counted, duration, moment, number, pairs, quantity, real
from tests.queries.shapes import MS, T0

SECOND = 1000 * MS


@pytest.mark.parametrize(
    ("nano", "expected"),
    [
        (0, "0"),
        (1, "1ns"),
        (999, "999ns"),
        (1_000, "1.00µs"),
        (12_345, "12.3µs"),
        (123_456, "123µs"),
        (999_499, "999µs"),
        (999_500, "1.00ms"),
        (1_234_567, "1.23ms"),
        (9_995_000, "10.0ms"),
        (99_950_000, "100ms"),
        (SECOND, "1.00s"),
        (59_900 * MS, "59.9s"),
        (59_960 * MS, "1m"),
        (123 * SECOND, "2m03s"),
        (3_600 * SECOND, "1h"),
        (3_725 * SECOND, "1h02m"),
        (90_000 * SECOND, "1d01h"),
        ((1 << 64) - 1, "213,503d23h"),
        (-1_500_000, "-1.50ms"),
    ],
)
def test_durations(nano: int, expected: str) -> None:
    assert duration(nano) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (0, "0"),
        (-5, "-5"),
        (999_999, "999,999"),
        (1_234_567, "1.235M"),
        (5 * 10**9, "5G"),
        ((1 << 64) - 1, "1.845e+19"),
        (10**400, "∞"),
        (0.1, "0.1"),
        (0.000123456, "0.0001235"),
        (1234.5, "1,234"),
        (1e300, "1e+300"),
        (-0.0, "-0"),
        (math.inf, "∞"),
        ("-Infinity", "-∞"),
        ("NaN", "NaN"),
        (None, "-"),
    ],
)
def test_numbers(found: Any, expected: str) -> None:
    assert number(found) == expected


@pytest.mark.parametrize(
    ("found", "unit", "expected"),
    [
        (12.3456, "ms", "12.3ms"),
        (0.25, "s", "250ms"),
        (90, "min", "1h30m"),
        (1e300, "s", "1e+300"),
        (512, "By", "512B"),
        (1536, "By", "1.50KiB"),
        (-3 * (1 << 30), "By", "-3.00GiB"),
        (0.5, "%", "0.5%"),
        (7, "{request}", "7"),
        (7, None, "7"),
        ("Infinity", "ms", "∞"),
        ("NaN", "ms", "NaN"),
        (None, "ms", "-"),
    ],
)
def test_quantities(found: Any, unit: str | None, expected: str) -> None:
    assert quantity(found, unit) == expected


@pytest.mark.parametrize(
    ("count", "name", "expected"),
    [(1, "spans", "1 span"), (0, "spans", "0 spans"), (1234, "logs", "1,234 logs"), (1, "series", "1 series")],
)
def test_counted(count: int, name: str, expected: str) -> None:
    assert counted(count, name) == expected


def test_real_numbers() -> None:
    assert [real(found) for found in (1, "Infinity", -(10**400))] == [1.0, math.inf, -math.inf]
    nothing: list[Any] = [None, "NaN", math.nan, "x", []]
    assert [real(found) for found in nothing] == [None] * 5


@pytest.mark.parametrize(
    ("unix_nano", "digits", "expected"),
    [
        (T0, 3, "2026-09-21 14:13:20.123"),
        (T0, 9, "2026-09-21 14:13:20.123456789"),
        (T0, 0, "2026-09-21 14:13:20"),
        (0, 3, "1970-01-01 00:00:00.000"),
        ((1 << 64) - 1, 3, "2554-07-21 23:34:33.709"),
        (10**30, 3, f"{10**30}ns"),
        (-(10**30), 3, f"{-(10**30)}ns"),
    ],
)
def test_moments(unix_nano: int, digits: int, expected: str) -> None:
    assert moment(unix_nano, digits) == expected


def test_clocks_say_once_what_they_have_in_common() -> None:
    day, year = 86_400 * SECOND, 366 * 86_400 * SECOND
    assert clocks([T0, T0 + SECOND]) == ("Sep 21 UTC", ["14:13:20.123", "14:13:21.123"])
    assert clocks([T0, T0 + day], 0) == ("2026 UTC", ["09-21 14:13:20", "09-22 14:13:20"])
    assert clocks([T0, T0 + year], 0) == ("TIME UTC", ["2026-09-21 14:13:20", "2027-09-22 14:13:20"])
    assert clocks([T0, 10**30], 0) == ("TIME UTC", ["2026-09-21 14:13:20", f"{10**30}ns"])
    assert clocks([]) == ("TIME UTC", [])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("a\nb", "a\\nb"),
        (None, "-"),
        (True, "true"),
        (1.0, "1.0"),
        ({"a": [1, None, "größe\x1b"]}, '{"a":[1,null,"größe\\u001b"]}'),
        ({"bytesValue": "AP8="}, '{"bytesValue":"AP8="}'),
        ([], "[]"),
        ([math.nan], "[NaN]"),
        (answers.TimeWindow(1, 2), '{"start_time":1,"end_time":2}'),
        (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00Z"),
    ],
)
def test_any_value_on_one_line(found: Any, expected: str) -> None:
    assert compact(found) == expected


def test_attributes_that_tell_most_come_first() -> None:
    found: dict[str, Any] = {
        "code.lineno": 7,
        "http.route": "/cart",
        "exception.stacktrace": "at ...",
        "user name": "a b",
        "empty": "",
        "http.response.status_code": 500,
        "error.type": "E",
    }
    assert pairs(found, without=["http.route"]) == [
        "http.response.status_code=500",
        "error.type=E",
        'user name="a b"',
        'empty=""',
        "code.lineno=7",
    ]
