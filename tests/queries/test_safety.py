"""Whatever is asked: keys and values are bound, nothing of a query reaches a log, and ingest does not wait for it."""

import asyncio
import re
import subprocess
import sys
import threading
import time
from typing import Any

import asyncpg
import httpx
import pytest

from queries.routes import ENDPOINTS
from tests.queries.sending import ago, get, send_logs, send_points, send_spans, span
from tests.running import Server, serving

PLANTED = "planted-secret"
CORPUS = (
    "' OR '1'='1",
    "'; DROP TABLE otel_spans_fact; --",
    '" OR ""="',
    "\\'; SELECT pg_sleep(9); --",
    "$1",
    "$14::text)) OR true --",
    "%s %(name)s {0} {key}",
    "__matches__ __key__ __time__ __series__ __wanted__ __driver__",
    "a' || (SELECT digest_key FROM otel_secrets)::text || '",
    "x\x00y",
    "\ud7ff\U0001f600",
    "*/ OR 1=1 /*",
    "{1,2}",
    '{"a": [1, {"b": "c"}]}',
    "-1e999",
    "NaN",
    "(SELECT 1)",
    "%' OR attributes::text LIKE '%",
    "[object Object]",
    "E'\\x41'",
    "1" * 1200,
)
OPERATORS = ("", "__ne", "__gt", "__in", "__like", "__exists")


def paths() -> list[str]:
    """Every endpoint that ends; whatever stands for a part of its path is an id, or the name of nothing."""
    ids = {"{trace_id}": "ab" * 16, "{span_id}": "ab" * 8}
    found = [
        re.sub(r"\{\w+:path\}", "x", endpoint.path) for endpoint in ENDPOINTS if not endpoint.path.endswith("/tail")
    ]
    return ["/api" + re.sub(r"\{\w+\}", lambda part: ids[part[0]], path) for path in found]


@pytest.mark.parametrize("path", paths())
def test_nothing_that_is_given_becomes_sql(shared: Server, path: str) -> None:
    send_spans(shared, "shop", [span(1, ago(1), attributes={"a": "b"})])
    before = stored(shared)
    endpoint = next(e for e in ENDPOINTS if matches(e.path, path))
    names = [name for name in endpoint.search.__struct_fields__ if name not in ("filters", "width")]
    prefixes = getattr(endpoint.search, "prefixes", ())
    with httpx.Client(base_url=shared.url, verify=False, timeout=60) as http:
        for text in CORPUS:
            asked: list[dict[str, str]] = [{name: text} for name in (*names, text)]
            asked += [{f"{on}.{text}{operator}": text} for on in prefixes for operator in OPERATORS]
            asked += [{f"{on}.a{operator}": text} for on in prefixes for operator in OPERATORS]
            for parameters in asked:
                answer = http.get(path, params=parameters)
                assert answer.status_code in (200, 400, 404), (parameters, answer.text)
                if answer.status_code != 200:
                    error = answer.json()["error"]
                    assert error["message"] and error["code"] in ("bad_request", "not_found"), answer.text
    assert stored(shared) == before


def matches(pattern: str, path: str) -> bool:
    """Whether a path is one of an endpoint's."""
    parts, given = pattern.split("/"), path.removeprefix("/api").split("/")
    return len(parts) == len(given) and all(p == g or p.startswith("{") for p, g in zip(parts, given, strict=True))


def stored(server: Server) -> list[Any]:
    """Tables and rows that are there."""

    async def fetch() -> list[Any]:
        connection: Any = await asyncpg.connect(server.database_url)
        try:
            tables = await connection.fetch("SELECT relname FROM pg_class WHERE relname LIKE 'otel%' ORDER BY 1")
            spans = await connection.fetchval("SELECT count(*) FROM otel_spans_fact")
            return [[row[0] for row in tables], spans]
        finally:
            await connection.close()

    return asyncio.run(fetch())


def test_no_filter_leaks_what_it_does_not_match(shared: Server, service: str) -> None:
    send_spans(shared, service, [span(1, ago(1), attributes={"a": "b"})])
    send_logs(shared, service, [ago(1)])
    send_points(shared, service, service, [ago(1)], a="b")
    for path, member in (("/api/spans", "spans"), ("/api/logs", "logs"), ("/api/traces", "traces")):
        for text in CORPUS:
            for parameters in ({"attr.a": text}, {f"attr.{text}": "b"}, {"attr.a__like": text.replace("\\", "")}):
                answer = get(shared, path, service=service, **parameters)
                assert answer[member] == [], parameters


def test_nothing_of_a_query_reaches_the_log(database_url: str) -> None:
    command = [sys.executable, "-m", "exporter", "serve", "--bind", "127.0.0.1:0", "--database-url", database_url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        url = next(line for line in process.stdout if "listens on" in line).split()[-1]
        while httpx.get(f"{url}/readyz", verify=False).status_code != 200:
            time.sleep(0.05)
        for path in ("/api/spans", "/api/logs", "/api/traces", "/api/metrics/series", f"/api/{PLANTED}", f"/{PLANTED}"):
            for parameters in ({f"attr.{PLANTED}": PLANTED}, {PLANTED: PLANTED}, {"cursor": PLANTED}, {}):
                httpx.get(f"{url}{path}", params=parameters, verify=False)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=30)
    assert "ready" in said and PLANTED not in said


def test_readers_do_not_hold_up_senders(database_url: str) -> None:
    """Everybody asks for everything, all the time; what is sent is stored at once all the same."""
    with serving(database_url) as server:
        base = ago(1000)
        send_spans(server, "shop", [span(n + 1, base + n, attributes={"n": n}) for n in range(5000)])
        done = threading.Event()
        worst = {"start_time": "0", "attr.none__like": "%x%", "limit": "1000", "count": "exact"}

        def read() -> None:
            while not done.is_set():
                answer = server.get("/api/spans", **worst)
                assert answer.status_code in (200, 503), answer.text

        readers = [threading.Thread(target=read) for _ in range(8)]
        for reader in readers:
            reader.start()
        try:
            slowest_s = 0.0
            for number in range(20):
                began = time.monotonic()
                send_logs(server, "shop", [ago(number)])
                slowest_s = max(slowest_s, time.monotonic() - began)
        finally:
            done.set()
            for reader in readers:
                reader.join()
    assert slowest_s < 5
