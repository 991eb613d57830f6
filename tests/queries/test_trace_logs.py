"""The log records of a trace: as a story, by span, and of one span, wherever in time they lie."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.queries import otlp
from tests.queries.sending import HOUR, SECOND, ago, get, send_logs, send_spans, span
from tests.queries.test_paging import walk
from tests.running import Server

DAY = 24 * HOUR
ONE, TWO, GONE = (number.to_bytes(8, "big") for number in (1, 2, 3))


@pytest.fixture
def trace() -> bytes:
    """A trace of the test's own."""
    return uuid4().bytes


@pytest.fixture
def story(shared: Server, service: str, trace: bytes) -> int:
    """Logs of two spans, of one that is not stored, and of none, told from the time that is returned on."""
    begin = ago(100)
    spans = [span(1, begin, trace=trace, name="GET /"), span(2, begin + 1, trace=trace, parent=1, name="query")]
    send_spans(shared, service, spans)
    for span_id, times in {TWO: [4], ONE: [5, 1], b"": [0, 3], GONE: [2]}.items():
        send_logs(shared, service, [begin + time for time in times], trace_id=trace, span_id=span_id)
    send_logs(shared, service, [begin], trace_id=uuid4().bytes, span_id=ONE)
    send_logs(shared, service, [begin], span_id=ONE)
    return begin


def times(found: Any) -> list[int]:
    return [log["time_unix_nano"] for log in found["logs"]]


def test_by_span(shared: Server, trace: bytes, story: int) -> None:
    answer = get(shared, f"/api/logs/trace/{trace.hex()}/spans")
    groups = answer.pop("spans")
    assert answer == {
        "trace_id": trace.hex(),
        "total_logs": 6,
        "total_spans_with_logs": 3,
        "total_relation": "eq",
        "has_more": False,
        "next_cursor": None,
    }
    assert [(group["span_id"], group["span_name"], group["log_count"], times(group)) for group in groups] == [
        (ONE.hex(), "GET /", 2, [story + 1, story + 5]),
        (GONE.hex(), None, 1, [story + 2]),
        (TWO.hex(), "query", 1, [story + 4]),
        (None, None, 2, [story, story + 3]),
    ]
    newest = get(shared, "/api/logs", trace_id=trace.hex())["logs"]
    assert sorted((log for group in groups for log in group["logs"]), key=lambda log: -log["time_unix_nano"]) == newest


def test_of_a_trace(shared: Server, trace: bytes, story: int) -> None:
    answer = shared.get(f"/api/v2/logs/trace/{trace.hex().upper()}")
    assert answer.headers["deprecation"] == "true"
    found = answer.json()
    assert times(found) == [story + number for number in range(6)]
    assert (found["total"], found["total_relation"], found["has_more"]) == (6, "eq", False)


def test_of_a_span(shared: Server, trace: bytes, story: int) -> None:
    answer = get(shared, f"/api/logs/trace/{trace.hex()}/span/{ONE.hex()}")
    assert times(answer) == [story + 1, story + 5]
    del answer["logs"]
    assert answer == {
        "trace_id": trace.hex(),
        "span_id": ONE.hex(),
        "total": 2,
        "total_relation": "eq",
        "has_more": False,
        "next_cursor": None,
    }


@pytest.mark.parametrize(("path", "total"), [("", "total"), ("/spans", "total_logs")])
def test_pages(shared: Server, trace: bytes, story: int, path: str, total: str) -> None:
    pages = list(walk(shared, f"/api/logs/trace/{trace.hex()}{path}", limit="4", count="exact"))
    assert [page[total] for page in pages] == [6, 6]
    logs = [[log for group in page.get("spans", [page]) for log in group["logs"]] for page in pages]
    assert [sorted(log["time_unix_nano"] - story for log in found) for found in logs] == [[0, 1, 2, 3], [4, 5]]
    if path:
        assert [page["total_spans_with_logs"] for page in pages] == [3, 3]
        exact = get(shared, f"/api/logs/trace/{trace.hex()}{path}", limit="1", count="exact")
        assert (exact["total_logs"], exact["total_spans_with_logs"], exact["total_relation"]) == (6, 3, "eq")


def test_logs_outside_of_the_spans_time(shared: Server, service: str, trace: bytes) -> None:
    now = ago(10)
    send_spans(shared, service, [span(1, now, trace=trace, name="work")])
    moments = [now - 20 * DAY, now - DAY, now + SECOND, now + HOUR]
    send_logs(shared, service, moments, trace_id=trace, span_id=ONE)
    (group,) = get(shared, f"/api/logs/trace/{trace.hex()}/spans")["spans"]
    assert (times(group), group["span_name"]) == (moments, "work")


def test_a_trace_of_nothing(shared: Server, trace: bytes) -> None:
    path = f"/api/logs/trace/{trace.hex()}"
    assert get(shared, path)["logs"] == []
    assert get(shared, f"{path}/spans")["total_spans_with_logs"] == 0
    assert get(shared, f"{path}/span/{ONE.hex()}")["total"] == 0


@pytest.mark.parametrize(
    ("path", "given", "parameter"),
    [
        ("xyz/spans", {}, "trace_id"),
        (f"{'1' * 32}/span/xyz", {}, "span_id"),
        (f"{'1' * 32}/spans", {"since": "1h"}, "since"),
    ],
)
def test_errors(shared: Server, path: str, given: dict[str, str], parameter: str) -> None:
    answer = shared.get(f"/api/logs/trace/{path}", **given)
    assert answer.status_code == 400
    assert answer.json()["error"]["parameter"] == parameter


@pytest.mark.parametrize("path", ["", "/spans", f"/span/{ONE.hex()}"])
def test_as_otlp_and_lines(shared: Server, trace: bytes, story: int, path: str) -> None:
    path = f"/api/logs/trace/{trace.hex()}{path}"
    request = otlp.parse("logs", get(shared, path, format="otlp"))
    records = [
        record for resource in request.resource_logs for scope in resource.scope_logs for record in scope.log_records
    ]
    expected = get(shared, path)
    logs = [log for group in expected.get("spans", [expected]) for log in group["logs"]]
    assert sorted(record.time_unix_nano for record in records) == sorted(log["time_unix_nano"] for log in logs)
    lines = shared.get(path, format="ndjson").text.splitlines()
    assert len(lines) == len(expected.get("spans", expected.get("logs")))


def test_more_than_are_counted(shared: Server, service: str, trace: bytes) -> None:
    send_logs(shared, service, [ago(1)], trace_id=trace, span_id=ONE)
    copy = """
        INSERT INTO otel_logs_fact (trace_key, time_unix_nano, log_id, resource_id, series_id, has_trace, span_id)
        SELECT trace_key, time_unix_nano, number, resource_id, series_id, has_trace, number % 7
        FROM otel_logs_fact, generate_series(1, 10000) AS number WHERE trace_key = $1"""

    async def fill() -> None:
        connection = await asyncpg.connect(shared.database_url)
        await connection.execute(copy, trace.hex())
        await connection.close()

    asyncio.run(fill())
    path = f"/api/logs/trace/{trace.hex()}/spans"
    page = get(shared, path, limit="10")
    assert (page["total_relation"], page["has_more"]) == ("gte", True)
    assert 10 < page["total_logs"] <= 10_000
    exact = get(shared, path, limit="10", count="exact")
    assert (exact["total_logs"], exact["total_spans_with_logs"], exact["total_relation"]) == (10_001, 7, "eq")
    assert sum(group["log_count"] for group in get(shared, path)["spans"]) == 1000
