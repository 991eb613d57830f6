"""What people type, and what they are told when they mistype it."""

import time

import pytest

from queries import params, values
from queries.errors import QueryError

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("9223372036854775807", 9223372036854775807),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", SECOND),
        ("1970-01-01T00:00:01.000000009z", SECOND + 9),
        ("1970-01-01 01:00:01+01:00", SECOND),
        ("1970-01-01T01:00:01 01:00", SECOND),
        ("2026-01-31T09:30Z", 1_769_851_800 * SECOND),
    ],
)
def test_moments(text: str, nano: int) -> None:
    assert values.moment(text) == nano


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("50GiB", 50 << 30),
        ("1.5TB", 1_500_000_000_000),
        ("1KB", 1000),
        ("0.5KiB", 512),
        ("9999999PiB", 2**63 - 1),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert values.size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "much", "-1GiB", "50gib", "50 GiB", "1e9", "5iB", "50Gi"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="for example 500MiB"):
        values.size(text)


@pytest.mark.parametrize(
    ("text", "ago_s"), [("now", 0), ("now-15m", 900), ("NOW-1.5h", 5400), ("now+1d", -86400), ("now 5s", -5)]
)
def test_moments_from_now(text: str, ago_s: float) -> None:
    assert abs(time.time_ns() - ago_s * SECOND - values.moment(text)) < 5 * SECOND


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "9223372036854775808", "-1", "1e9", "now-", "now-15", "1900-01-01", "٣"]
)
def test_what_is_no_moment(text: str) -> None:
    if text == "now-15":  # nanoseconds, as every duration of digits only
        assert values.moment(text) <= time.time_ns()
        return
    with pytest.raises(ValueError, match=r"no (time|duration).*; for example"):
        values.moment(text)


@pytest.mark.parametrize(
    ("text", "nano"),
    [("250ms", 250_000_000), ("1.5s", 1_500_000_000), ("7", 7), ("2d", 172_800 * SECOND), ("10us", 10_000)],
)
def test_durations(text: str, nano: int) -> None:
    assert values.duration(text) == nano


@pytest.mark.parametrize(
    ("text", "number"), [("warn", 13), ("ERROR2", 18), ("warning", 13), ("17", 17), ("0", 0), ("99", 99)]
)
def test_severities(text: str, number: int) -> None:
    assert values.severity_number(text) == number


@pytest.mark.parametrize("text", ["loud", "ERROR5", "", "-1", "4294967296"])
def test_what_is_no_severity(text: str) -> None:
    with pytest.raises(ValueError, match="one of trace, debug"):
        values.severity_number(text)


def test_kinds_by_name_and_number() -> None:
    assert [values.span_kind(text) for text in ("server", "SPAN_KIND_CLIENT", "17")] == [2, 3, 17]


def test_ids_in_any_case_and_with_hyphens() -> None:
    raw = bytes.fromhex("5b8efff798038103d269b633813fc60c")
    assert values.hex_id(16)("5B8EFFF7-9803-8103-D269-B633813FC60C") == raw
    for text in ("5b8e", "x" * 32, "٣" * 32):
        with pytest.raises(ValueError, match="32 hex digits"):
            values.hex_id(16)(text)


def window(**given: str) -> params.Window:
    return params.read(params.SpanSearch, given.items()).window()


def test_windows() -> None:
    hour = 3600 * SECOND
    assert window(start_time="5", end_time="7") == (5, 7)
    assert window(end_time=str(3 * hour)) == (2 * hour, 3 * hour)
    assert window(end_time="5") == (0, 5)
    assert window(since="2h", end_time=str(3 * hour)) == (hour, 3 * hour)
    start, end = window()
    assert end - start == hour
    assert abs(end - time.time_ns()) < 5 * SECOND
    assert params.read(params.SpanSearch, []).window(None) == params.ALL_TIME


@pytest.mark.parametrize(
    ("given", "parameter", "hint"),
    [
        ([("servce", "a")], "servce", "did you mean service?"),
        ([("SINCE", "1h")], "SINCE", "did you mean since?"),
        ([("zzz", "a")], "zzz", "known here: "),
        ([("limit", "0")], "limit", "for example"),
        ([("limit", "1001")], "limit", "for example"),
        ([("limit", "1"), ("limit", "2")], "limit", "give limit once"),
        ([("offset", "-1")], "offset", "for example"),
        ([("offset", "1"), ("cursor", "x")], "offset", "leave out offset"),
        ([("format", "xml")], "format", "json, ndjson, text, otlp"),
        ([("start_time", "soon")], "start_time", "now-15m"),
        ([("min_duration", "long")], "min_duration", "250ms"),
        ([("status", "bad")], "status", "unset, ok, error"),
        ([("trace_id", "12")], "trace_id", "32 hex digits"),
        ([("since", "0s")], "since", "since=15m"),
        ([("cursor", "")], "cursor", "leave it out"),
        ([("http.route", "/x")], "http.route", "did you mean attr.http.route?"),
        ([("atr.http.route", "/x")], "atr.http.route", "did you mean attr.http.route?"),
        ([("operation", "x")], "operation", "did you mean name?"),
        ([("metric", "x")], "metric", "did you mean name?"),
        ([("error", "true")], "error", "did you mean status?"),
        ([("from", "now-1h")], "from", "did you mean start_time?"),
        ([("attr.http.status_code__ge", "500")], "attr.http.status_code__ge", "did you mean __gte?"),
    ],
)
def test_errors_say_what_to_type_instead(given: list[tuple[str, str]], parameter: str, hint: str) -> None:
    with pytest.raises(QueryError) as caught:
        params.read(params.SpanSearch, given).window()
    error = caught.value.body()["error"]
    assert error["code"] == "bad_request"
    assert error["parameter"] == parameter
    assert hint in error.get("hint", "") + error["message"]


@pytest.mark.parametrize(
    "given", [{"since": "1h", "start_time": "1"}, {"start_time": "7", "end_time": "7"}, {"start_time": "now+1h"}]
)
def test_windows_that_are_none(given: dict[str, str]) -> None:
    with pytest.raises(QueryError) as caught:
        window(**given)
    assert caught.value.hint
