"""Pages neither skip nor repeat a record while data arrives, in every list and however it is filtered."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.queries.sending import SECOND, ago, get, send_logs, send_points, send_spans, span
from tests.running import Server

LAST = list(range(10_001, 10_101))
TIMES = [0, 0, 0, 0, 0, 1, 1, 2, 5, 5, 60, 300, 300, 300, 1200, 1201, 3000, 3000, 3000, 3001]
"""Seconds before now: many at the same nanosecond, and gaps."""


@contextmanager
def writing(send: Callable[[int, int], None]) -> Iterator[None]:
    """Meanwhile, records arrive that are newer than all, and some that are late."""
    done = threading.Event()

    def write() -> None:
        for number in count(1):
            if done.is_set():
                return
            send(number, ago(0))
            send(number + 1_000_000, ago(number % 50 * 60))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def walk(server: Server, path: str, **parameters: Any) -> Iterator[Any]:
    """The pages of an answer, by next_cursor; the Link header has to say the same."""
    while True:
        answer = server.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page
        assert page["has_more"] == (page["next_cursor"] is not None) == ("next" in answer.links)
        if page["next_cursor"] is None:
            return
        assert httpx.URL(answer.links["next"]["url"]).params["cursor"] == page["next_cursor"]
        parameters["cursor"] = page["next_cursor"]


def is_sorted(times: list[int]) -> bool:
    return times == sorted(times, reverse=True)


@pytest.mark.parametrize("by", ["service", "name", "nothing"])
def test_spans(shared: Server, service: str, by: str) -> None:
    base = ago(1)
    sent = [span(number + 1, base - back * SECOND, name=service) for number, back in enumerate(TIMES)]
    send_spans(shared, service, sent)
    parameters = {"service": {"service": service}, "name": {"name": service}, "nothing": {}}[by]

    def send(number: int, moment: int) -> None:
        send_spans(shared, service, [span(1000 + number, moment, name=service)])

    with writing(send):
        pages = list(walk(shared, "/api/spans", limit="3", **parameters))
    found = [item for page in pages for item in page["spans"]]
    ids = [(item["trace_id"], item["span_id"]) for item in found]
    assert len(ids) == len(set(ids))
    assert {item.trace_id.hex() for item in sent} <= {trace_id for trace_id, _ in ids}
    assert is_sorted([item["start_time_unix_nano"] for item in found])
    assert len({str(page["window"]) for page in pages}) == 1


@pytest.mark.parametrize("by", ["service", "severity", "nothing"])
def test_logs(shared: Server, service: str, by: str) -> None:
    base = ago(1)
    send_logs(shared, service, [base - back * SECOND for back in TIMES], severity_number=21, severity_text=service)
    parameters = {"service": {"service": service}, "severity": {"severity": "fatal"}, "nothing": {}}[by]

    def send(_number: int, moment: int) -> None:
        send_logs(shared, service, [moment], severity_number=22)

    with writing(send):
        pages = list(walk(shared, "/api/logs", limit="3", **parameters))
    found = [item for page in pages for item in page["logs"]]
    ids = [item["log_id"] for item in found]
    assert len(ids) == len(set(ids))
    assert sum(item["severity_text"] == service for item in found) == len(TIMES)
    assert is_sorted([item["time_unix_nano"] for item in found])


@pytest.mark.parametrize("by", ["service", "name", "nothing"])
def test_points(shared: Server, service: str, by: str) -> None:
    base = ago(1)
    for number, back in enumerate(TIMES):
        send_points(shared, service, service, [base - back * SECOND], number=number)
    parameters = {"service": {"service": service}, "name": {"name": service}, "nothing": {}}[by]

    def send(number: int, moment: int) -> None:
        send_points(shared, service, service, [moment], number=1000 + number)

    with writing(send):
        pages = list(walk(shared, "/api/metrics/series", limit="3", **parameters))
    lines = [line for page in pages for line in page["series"] if line["service_name"] == service]
    found = [(line["attributes"]["number"], p["time_unix_nano"]) for line in lines for p in line["data_points"]]
    assert len(found) == len(set(found))
    assert {number for number, _ in found} >= set(range(len(TIMES)))


@pytest.mark.parametrize("by", ["service", "nothing"])
def test_traces(shared: Server, service: str, by: str) -> None:
    base = ago(1)
    sent = [span(number + 1, base - back * SECOND) for number, back in enumerate(TIMES)]
    send_spans(shared, service, sent)
    parameters = {"service": {"service": service}, "nothing": {}}[by]

    def send(number: int, moment: int) -> None:
        send_spans(shared, service, [span(1000 + number, moment)])

    with writing(send):
        pages = list(walk(shared, "/api/traces", limit="3", **parameters))
    ids = [item["trace_id"] for page in pages for item in page["traces"]]
    assert len(ids) == len(set(ids))
    assert {item.trace_id.hex() for item in sent} <= set(ids)


@pytest.mark.parametrize("path", ["/api/metrics", "/api/services", "/api/traces/{}/spans"])
def test_short_lists(shared: Server, service: str, path: str) -> None:
    now = ago(1)
    trace = now.to_bytes(16, "big")
    send_spans(shared, service, [span(number, now + number, trace=trace) for number in range(1, 8)])
    for number in range(5):
        send_points(shared, service, f"{service}.{number}", [now])
    path = path.format(trace.hex())
    key = path.rsplit("/", 1)[1]
    whole = get(shared, path, limit="1000")
    pages = list(walk(shared, path, limit="2"))
    assert [item for page in pages for item in page[key]] == whole[key]
    assert whole["total"] == len(whole[key]) and whole["total_relation"] == "eq"


def test_totals(shared: Server, service: str) -> None:
    base = ago(10)
    send_spans(shared, service, [span(number + 1, base - number) for number in range(20)])
    for parameters in ({"limit": "20"}, {"limit": "7", "count": "exact"}, {"limit": "7", "offset": "14"}):
        answer = get(shared, "/api/spans", service=service, **parameters)
        assert (answer["total"], answer["total_relation"]) == (20, "eq")
    answer = get(shared, "/api/spans", service=service, limit="7")
    assert answer["has_more"]
    assert (answer["total"] == 20) if answer["total_relation"] == "eq" else (8 <= answer["total"] <= 20)
    assert get(shared, "/api/spans", service="nobody's")["total"] == 0


def test_offset(shared: Server, service: str) -> None:
    base = ago(10)
    send_spans(shared, service, [span(number + 1, base - number) for number in range(9)])
    whole = get(shared, "/api/spans", service=service)["spans"]
    assert get(shared, "/api/spans", service=service, limit="3", offset="4")["spans"] == whole[4:7]
    assert get(shared, "/api/spans", service=service, offset="9")["spans"] == []


def test_all_time_and_nothing_at_all(shared: Server, service: str) -> None:
    send_spans(shared, service, [span(1, ago(10)), span(2, 5)])
    window = {"start_time": "0", "end_time": str((1 << 63) - 1)}
    for parameters in ({}, {"service": service}):
        found = [
            item for page in walk(shared, "/api/spans", limit="100", **window, **parameters) for item in page["spans"]
        ]
        assert {"0000000000000001", "0000000000000002"} <= {
            item["span_id"] for item in found if item["service_name"] == service
        }
    for path in ("/api/spans", "/api/logs", "/api/traces", "/api/metrics/series"):
        assert get(shared, path, start_time="1", end_time="2")["total"] == 0


def test_the_spans_of_a_trace(shared: Server, service: str) -> None:
    """Earliest first, also where several statements find them."""
    now, trace = ago(60), uuid4().bytes
    keys = ["db.system", "http.method"]
    sent = [span(n, now + n // 3, trace=trace, attributes={keys[n % 2]: "x"}) for n in range(1, 20)]
    send_spans(shared, service, sent)
    path = f"/api/traces/{trace.hex()}/spans"
    for parameters in ({}, {"semantic_type": ["http", "db"]}):
        pages = list(walk(shared, path, limit="3", **parameters))
        assert [int(item["span_id"], 16) for page in pages for item in page["spans"]] == list(range(1, 20))
        assert {page["total"] for page in pages if page["total_relation"] == "eq"} <= {19}


def test_a_trace_of_very_many_spans(shared: Server, service: str) -> None:
    now, trace = ago(600), uuid4().bytes
    send_spans(shared, service, [span(n, now + n, trace=trace) for n in range(1, 10_101)])
    whole = shared.get(f"/api/traces/{trace.hex()}", format="ndjson")
    assert len(whole.text.splitlines()) == 10_000
    rest = httpx.get(f"{shared.url}{whole.links['next']['url']}", verify=False)
    # The format goes with it.
    assert [int(item["span_id"], 16) for item in map(json.loads, rest.text.splitlines())] == LAST
    page = get(shared, f"/api/traces/{trace.hex()}/spans")
    assert (len(page["spans"]), page["has_more"]) == (10_000, True)
    assert page["total"] > 10_000 and (page["total_relation"] == "gte" or page["total"] == 10_100)
