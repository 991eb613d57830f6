"""Exemplars: from metrics to traces and from a trace to metrics, whatever was sent, against plain Python."""

import asyncio
import json
import math
from random import Random
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar

from exporter.settings import load
from queries import exemplars, params
from queries.database import ReadDatabase
from queries.pages import Request
from queries.params import ALL_TIME, ExemplarSearch, Window
from tests.queries.explaining import Explaining
from tests.queries.samples import attributes
from tests.queries.sending import HOUR, SECOND, ago, get, send_spans, span
from tests.queries.test_paging import walk
from tests.running import Server
from tests.sql.rows import DAY, DIMENSIONS, T, ask

KINDS = ("gauge", "sum", "histogram", "exponential_histogram")


def random_request(rng: Random, service: str, traces: list[bytes]) -> tuple[bytes, list[dict[str, Any]]]:
    """(body, what the API shows of it) of points of every type at few times, with exemplars of few traces."""
    request, expected = ExportMetricsServiceRequest(), []
    place = request.resource_metrics.add()
    place.resource.attributes.extend(attributes({"service.name": service, "pod": "a"}))
    place.resource.attributes.extend(attributes({"service.namespace": "lab"}))
    scope = place.scope_metrics.add()
    for number, kind in enumerate(KINDS * 2):
        metric = scope.metrics.add(name=f"{service}.{number}", unit="ms" if number % 2 else "")
        data: Any = getattr(metric, kind)
        for route in ("/", "/cart"):
            for moment in (ago(5), ago(5000), ago(40)):
                given: dict[str, Any] = {} if kind in ("gauge", "sum") else {"count": 1}
                point = data.data_points.add(
                    time_unix_nano=moment, attributes=attributes({"route": route, "n": number}), **given
                )
                sent = [random_exemplar(rng, traces) for _ in range(rng.randrange(4))]
                # The same one twice is two.
                sent += sent[:1] if rng.random() < 0.3 else []
                point.exemplars.extend(sent)
                expected += [
                    {
                        "metric_name": f"{service}.{number}",
                        "metric_type": kind,
                        "unit": "ms" if number % 2 else None,
                        "service_name": service,
                        "service_namespace": "lab",
                        "attributes": {"route": route, "n": number},
                        "time_unix_nano": moment,
                        **shown(exemplar),
                    }
                    for exemplar in sent
                ]
    summary = scope.metrics.add(name=f"{service}.summary").summary
    summary.data_points.add(time_unix_nano=ago(5), count=1)
    return request.SerializeToString(), expected


def random_exemplar(rng: Random, traces: list[bytes]) -> Exemplar:
    """An exemplar of one of these traces or of none, with a value of any kind or without."""
    made = Exemplar(
        time_unix_nano=rng.choice((0, ago(rng.random() * 100), (1 << 64) - 1)),
        filtered_attributes=attributes(rng.choice(({}, {"user": "ö", "n": 1.0}))),
    )
    if rng.random() < 0.8:
        made.trace_id, made.span_id = rng.choice(traces), rng.choice((b"12345678", b"\xff" * 8))
    value = rng.choice((None, 7, -(1 << 63), 1.5, math.nan, -math.inf))
    if value is not None:
        setattr(made, "as_int" if isinstance(value, int) else "as_double", value)
    return made


def shown(sent: Exemplar) -> dict[str, Any]:
    """The fields of the answer that are the exemplar's own."""
    kind = sent.WhichOneof("value")
    value = None if kind is None else getattr(sent, kind)
    odd = {"nan": "NaN", "-inf": "-Infinity"}.get(str(value))
    return {
        "exemplar_time_unix_nano": sent.time_unix_nano,
        "value": odd or value,
        "filtered_attributes": {"user": "ö", "n": 1.0} if sent.filtered_attributes else {},
        "trace_id": sent.trace_id.hex() or None,
        "span_id": sent.span_id.hex() or None,
    }


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Whether these are the same, in any order."""
    return sorted(map(_written, found)) == sorted(map(_written, expected))


def _written(one: dict[str, Any]) -> str:
    return json.dumps(one, sort_keys=True)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_sent_is_found(shared: Server, service: str, seed: int) -> None:
    rng = Random(seed)
    traces = [uuid4().bytes for _ in range(3)]
    body, expected = random_request(rng, service, traces)
    assert shared.post("metrics", body).status_code == 200
    assert len(expected) > 40
    for given, wanted in (
        ({"since": "2h"}, lambda one: True),
        ({}, lambda one: one["time_unix_nano"] > ago(3600)),
        ({"since": "2h", "attr.route": "/cart"}, lambda one: one["attributes"]["route"] == "/cart"),
        ({"since": "2h", "attr.n__gte": "6"}, lambda one: one["attributes"]["n"] >= 6),
        ({"since": "2h", "name": f"{service}.2"}, lambda one: one["metric_name"] == f"{service}.2"),
        ({"trace_id": traces[0].hex()}, lambda one: one["trace_id"] == traces[0].hex()),
        (
            {"trace_id": traces[1].hex(), "span_id": b"12345678".hex(), "name": [f"{service}.1", f"{service}.3"]},
            lambda one: (
                (one["trace_id"], one["span_id"]) == (traces[1].hex(), b"12345678".hex())
                and one["metric_name"] in (f"{service}.1", f"{service}.3")
            ),
        ),
        ({"since": "2h", "namespace": "other"}, lambda one: False),
        ({"since": "2h", "resource.pod": "b"}, lambda one: False),
    ):
        limits: dict[str, Any] = {"limit": "1000"} | given
        answer = get(shared, "/api/metrics/exemplars", service=service, **limits)
        matching = [one for one in expected if wanted(one)]
        assert same(answer["exemplars"], matching), given
        assert (answer["total"], answer["total_relation"]) == (len(matching), "eq")
        times = [one["time_unix_nano"] for one in answer["exemplars"]]
        assert times == sorted(times, reverse=True)
    for trace in traces:
        answer = get(shared, f"/api/traces/{trace.hex()}/exemplars")
        assert same(answer["exemplars"], [one for one in expected if one["trace_id"] == trace.hex()])
        assert answer["trace_id"] == trace.hex()


def test_pages(shared: Server, service: str) -> None:
    trace = uuid4().bytes
    body, expected = random_request(Random(9), service, [trace])
    assert shared.post("metrics", body).status_code == 200
    path = "/api/metrics/exemplars"
    whole = get(shared, path, service=service, since="2h", limit="1000")["exemplars"]
    pages = list(walk(shared, path, service=service, since="2h", limit="7"))
    assert [one for page in pages for one in page["exemplars"]] == whole
    assert len(pages) == -(-len(expected) // 7)
    whole = get(shared, f"/api/traces/{trace.hex()}/exemplars")["exemplars"]
    pages = list(walk(shared, f"/api/traces/{trace.hex()}/exemplars", limit="5"))
    assert [one for page in pages for one in page["exemplars"]] == whole
    assert len(whole) > 20
    lines = shared.get(path, service=service, since="2h", limit="1000", format="ndjson").text.splitlines()
    assert len(lines) == len(expected)


def test_a_trace_tells_how_many_metrics_point_at_it(shared: Server, service: str) -> None:
    trace, other = uuid4().bytes, uuid4().bytes
    send_spans(shared, service, [span(1, ago(10), trace=trace)])
    send_spans(shared, service, [span(2, ago(10), trace=other)])
    body, expected = random_request(Random(4), service, [trace])
    assert shared.post("metrics", body).status_code == 200
    count = len({one["metric_name"] for one in expected if one["trace_id"]})
    assert count > 4
    found = [get(shared, f"/api/traces/{one.hex()}")["metric_count"] for one in (trace, other)]
    assert found == [count, 0]
    drawn = shared.get(f"/api/traces/{trace.hex()}", format="text").text
    assert f"Exemplars of {count} metrics: /api/traces/{trace.hex()}/exemplars?format=text\n" in drawn
    assert "Exemplars" not in shared.get(f"/api/traces/{other.hex()}", format="text").text
    series = shared.get("/api/metrics/series", service=service, since="2h", format="text").text
    assert f"Exemplars of trace {trace.hex()}:" in series
    assert f"/api/metrics/exemplars?name={service}.0&format=text" in series


def test_of_what_there_is_nothing(shared: Server, service: str) -> None:
    nobody = uuid4().hex
    assert get(shared, f"/api/traces/{nobody}/exemplars") == {
        "total": 0,
        "total_relation": "eq",
        "has_more": False,
        "next_cursor": None,
        "trace_id": nobody,
        "exemplars": [],
    }
    assert get(shared, "/api/metrics/exemplars", service=service)["exemplars"] == []
    assert shared.get("/api/traces/xyz/exemplars").json()["error"]["parameter"] == "trace_id"


STORED = f"""{DIMENSIONS}
INSERT INTO otel_metrics_data_points_histogram (series_id, time_unix_nano, count)
SELECT 3, {T} + i * 10000000000, 1 FROM generate_series(0, 20000) AS i;
INSERT INTO otel_exemplars (
    series_id, time_unix_nano, exemplar_time_unix_nano, ordinal, value_double, trace_id, span_id)
SELECT 3, {T} + i * 10000000000, {T}, o, 1, md5((i / 10)::text)::uuid, 1
FROM generate_series(0, 20000) AS i, generate_series(0, 1) AS o;
ANALYZE otel_exemplars;
"""
"""Exemplars of two and a half days, twenty of each trace."""


def planned(database_url: str, work: Any) -> tuple[str, Any]:
    """The plans of everything that `work` asks a connection, and what it returns."""

    async def session() -> tuple[str, Any]:
        database = ReadDatabase(database_url, load(environ={}))
        try:
            async with database.reading() as connection:
                explaining = Explaining(connection)
                found = await work(explaining)
                return "\n".join(explaining.plans), found
        finally:
            await database.close()

    return asyncio.run(session())


def test_a_trace_is_found_by_index_and_only_in_its_window(database_url: str) -> None:
    ask(database_url, "SELECT 1", given=STORED)
    trace = asyncio.run(trace_of(database_url, 5))

    async def look(connection: Any, window: Window) -> Any:
        asked = ExemplarSearch(trace_id=trace)
        match = await exemplars.select(connection, asked)
        return await exemplars.find(connection, match, Request(window, None, 0, 100, False), narrow=True)

    plan, rows = planned(database_url, lambda connection: look(connection, ALL_TIME))
    assert len(rows) == 20
    assert "Seq Scan on otel_exemplars" not in plan
    assert all(f"otel_exemplars_p202601{day}t00_trace_id_idx" in plan for day in ("01", "02", "03"))
    plan, rows = planned(database_url, lambda connection: look(connection, Window(T, T + HOUR)))
    assert len(rows) == 20 and "p20260101t00_trace_id_idx" in plan and "p20260102" not in plan
    lasting = Window(T + 3 * DAY, T + 3 * DAY + SECOND)
    plan, found = planned(database_url, lambda connection: exemplars.count_metrics(connection, trace, lasting))
    assert found == 0 and "p20260103t00_trace_id_idx" in plan and "p20260101" not in plan


def test_a_page_of_a_metric_looks_at_the_newest_only(database_url: str) -> None:
    ask(database_url, "SELECT 1", given=STORED)
    window = Window(T + DAY, T + 2 * DAY)

    async def look(connection: Any) -> Any:
        asked = params.read(ExemplarSearch, [("name", "latency")])
        match = await exemplars.select(connection, asked)
        return await exemplars.find(connection, match, Request(window, None, 0, 10, False), narrow=False)

    plan, rows = planned(database_url, look)
    assert [row["time_unix_nano"] for row in rows] == [T + 2 * DAY - (i // 2 + 1) * 10 * SECOND for i in range(11)]
    assert "p20260101" not in plan and "p20260103" not in plan and "Seq Scan on otel_exemplars" not in plan


async def trace_of(database_url: str, number: int) -> bytes:
    """The id of a stored trace."""
    connection = await asyncpg.connect(database_url)
    try:
        return bytes.fromhex(await connection.fetchval("SELECT md5($1)", str(number)))
    finally:
        await connection.close()


def test_the_view_finds_a_trace_by_index(database_url: str) -> None:
    asked = "EXPLAIN SELECT metric_name, value FROM v_otel_exemplars WHERE trace_key = md5('5')::uuid"
    plan = "\n".join(row["QUERY PLAN"] for row in ask(database_url, asked, given=STORED))
    assert "otel_exemplars_p20260102t00_trace_id_idx" in plan and "Seq Scan on otel_exemplars" not in plan
