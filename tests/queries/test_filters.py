"""Filters on attributes: the answer is that of a plain Python filter over what was sent, wherever a value is stored."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from exporter import promotion, row_indexes
from exporter.promotion import Promotion
from queries.errors import QueryError
from queries.filters import parse
from tests.queries import filter_oracle as oracle
from tests.queries.samples import attributes
from tests.queries.sending import SECOND, ago, get, send_points, send_spans, span
from tests.running import Server, serving

BODIES, RECORDS, ASKED = 12, 40, 150
FLIPPING = {
    "VERDICT_MIN_DISTINCT": "60",
    "VERDICT_NEW_VALUE_SHARE": "0.3",
    "VERDICT_SERIES_TOKENS": "400",
    "VERDICT_RECORDS_PER_SERIES": "20",
}
"""Every key leaves the series while records arrive."""


def ask(server: Server, path: str, member: str, filters: list[tuple[str, str, str, str]], **more: str) -> list[Any]:
    """All records that some filters leave, page by page."""
    given = {f"{on}.{key}{operator and '__' + operator}": value for on, key, operator, value in filters}
    found: list[Any] = []
    page: Any = {"next_cursor": ""}
    while page["next_cursor"] is not None:
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
        page = get(server, path, **given, **more, **cursor, limit="200")
        found += page[member]
    if len(found) <= 200:
        assert page["total"] == len(found)
    return found


def send_logs(server: Server, service: str, base: int, records: list[dict[str, Any]], first: int) -> None:
    request = ExportLogsServiceRequest()
    place = request.resource_logs.add()
    place.resource.attributes.extend(attributes({"service.name": service}))
    scope = place.scope_logs.add()
    for number, found in enumerate(records, first):
        scope.log_records.add(time_unix_nano=base + number, attributes=attributes(found))
    assert server.post("logs", request.SerializeToString()).status_code == 200


@pytest.mark.parametrize("signal", ["spans", "logs"])
def test_any_filter_is_that_of_plain_python(signal: str, database_url: str) -> None:
    rng = random.Random(11)
    base = ago(60)
    sent: list[dict[str, Any]] = []
    with serving(database_url, FLIPPING) as server:
        for turn in range(BODIES):
            records = [oracle.random_attributes(rng, turn) for _ in range(RECORDS)]
            if signal == "spans":
                spans = [span(len(sent) + i + 1, base + len(sent) + i, attributes=a) for i, a in enumerate(records)]
                send_spans(server, "shop", spans)
            else:
                send_logs(server, "shop", base, records, len(sent))
            sent += records
        high = rows(server, f"SELECT key FROM attribute_keys WHERE {signal}_high_cardinality")
        assert len(high) >= len(oracle.KEYS) - 1, "hardly any key left the series"
        assert rows(server, f"SELECT FROM otel_{signal[:-1]}_series_dim WHERE attributes ? 'k0'")
        compare(server, signal, base, sent, rng)
        every = {owner: dict.fromkeys(oracle.KEYS, frozenset(("string",))) for owner in promotion.OWNERS}
        assert asyncio.run(row_indexes.make(server.database_url, Promotion(every, promotion.load().drops))) > 0
        compare(server, signal, base, sent, rng)


def compare(
    server: Server, signal: str, base: int, sent: Sequence[dict[str, Any]], rng: random.Random, asked: int = ASKED
) -> None:
    """Random filters answer the records that match, by their times."""
    time = "start_time_unix_nano" if signal == "spans" else "time_unix_nano"
    for _ in range(asked):
        chosen = [oracle.random_filter(rng, rng.choice(sent)) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        filters = list({one[:2]: one for one in chosen}.values())
        expected = [base + i for i, found in enumerate(sent) if all(oracle.matches(found, *f) for f in filters)]
        answered = ask(server, f"/api/{signal}", signal, [("attr", *one) for one in filters])
        assert [record[time] for record in answered] == expected[::-1], filters


def rows(server: Server, statement: str) -> list[Any]:
    """What a statement finds."""

    async def fetch() -> list[Any]:
        connection: Any = await asyncpg.connect(server.database_url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    return asyncio.run(fetch())


def test_filters_on_resource_scope_and_events(shared: Server, service: str) -> None:
    now = ago(10)
    plain, other = span(1, now), span(2, now + 1, attributes={"a": 1})
    other.events.add(name="x", attributes=attributes({"exception.type": "E", "n": 1}))
    other.events.add(name="y", attributes=attributes({"exception.type": "F", "n": 2}))
    send_spans(shared, service, [plain], **{"host.name": "h1"})
    send_spans(shared, service, [other], **{"host.name": "h2", "process.pid": 7})

    def found(path: str = "/api/spans", member: str = "spans", **filters: str) -> list[str]:
        given = {name.replace("_DOT_", "."): value for name, value in filters.items()}
        return [item["trace_id"] for item in get(shared, path, service=service, **given)[member]]

    first, second = plain.trace_id.hex(), other.trace_id.hex()
    whole = get(shared, f"/api/traces/{second}/spans", **{"attr.a": "1", "event.n": "2", "resource.host.name": "h2"})
    assert whole["total"] == 1
    assert get(shared, f"/api/traces/{second}/spans", **{"event.n": "3"})["spans"] == []
    for path, member in (("/api/spans", "spans"), ("/api/traces", "traces")):
        assert found(path, member, **{"resource.host.name": "h1"}) == [first]
        assert found(path, member, **{"resource.process.pid__gt": "6"}) == [second]
        assert found(path, member, **{"resource.process.pid__exists": "false"}) == [first]
        assert found(path, member, **{"scope.x": "1"}) == []
        assert found(path, member, **{"scope.x__exists": "false"}) == [second, first]
        assert found(path, member, **{"event.exception.type": "E"}) == [second]
        assert found(path, member, **{"event.exception.type": "E", "event.n": "1"}) == [second]
        assert found(path, member, **{"event.exception.type": "E", "event.n": "2"}) == []
        assert found(path, member, **{"attr.a": "1", "event.n": "2", "resource.host.name": "h2"}) == [second]


def test_filters_on_points(shared: Server, service: str) -> None:
    send_points(shared, service, service, [ago(2)], route="/a", code=200)
    send_points(shared, service, service, [ago(1)], route="/b", code=500)
    for filters, expected in (
        ({"attr.code__gte": "500"}, ["/b"]),
        ({"attr.route": "/a"}, ["/a"]),
        ({"attr.route__exists": "true", "attr.code__in": "200,500"}, ["/a", "/b"]),
        ({"resource.service.name": service, "attr.code__ne": "200"}, ["/b"]),
        ({"attr.none": "1"}, []),
    ):
        answer = get(shared, "/api/metrics/series", name=service, **filters)
        assert sorted(line["attributes"]["route"] for line in answer["series"]) == expected


def test_traces_of_many_and_of_few_matching_spans(shared: Server, service: str) -> None:
    base = ago(600)
    spans = []
    for number in range(700):
        trace = uuid4().bytes
        start = base + number * SECOND // 2
        spans.append(span(1, start, trace=trace, attributes={"common": 1, "number": number}))
        spans.append(span(2, start + 1, trace=trace, parent=1, name=f"child {number % 2}"))
    send_spans(shared, service, spans)
    for filters, expected in (
        ({"attr.common": "1"}, 700),
        ({"attr.number__lt": "30"}, 30),
        ({"attr.number": "30"}, 1),
        ({"name": "child 1"}, 350),
        ({"name": "child 1", "attr.common": "1"}, 0),
        ({"attr.common": "1", "attr.number__gte": "650", "status": "ok"}, 50),
    ):
        answer = get(shared, "/api/traces", service=service, limit="1000", **filters)
        assert len(answer["traces"]) == answer["total"] == expected, filters
        pages = ask(shared, "/api/traces", "traces", [], service=service, **filters)
        assert [trace["trace_id"] for trace in pages] == [trace["trace_id"] for trace in answer["traces"]]


def test_root_service(shared: Server, service: str) -> None:
    now, trace = ago(20), uuid4().bytes
    send_spans(shared, service, [span(1, now, trace=trace)])
    send_spans(shared, f"{service}-db", [span(2, now + 1, trace=trace, parent=1)])

    def count(**filters: str) -> int:
        return int(get(shared, "/api/traces", **filters)["total"])

    assert (count(service=f"{service}-db"), count(root_service=f"{service}-db"), count(root_service=service)) == (
        1,
        0,
        1,
    )
    assert count(service=f"{service}-db", root_service=service) == 1


@pytest.mark.parametrize(
    ("given", "value", "parameter", "hint"),
    [
        ("attr.a__exists", "maybe", "attr.a__exists", "attr.a__exists=true"),
        ("attr.a__like", "x\\", "attr.a__like", "backslash"),
    ],
)
def test_filters_that_are_refused(given: str, value: str, parameter: str, hint: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(given, value)
    error = caught.value.body()["error"]
    assert error["parameter"] == parameter and hint in error["hint"]


def test_a_slip_in_a_prefix(shared: Server) -> None:
    answer = shared.get("/api/logs", **{"atr.http.route": "x"})
    assert (answer.status_code, answer.json()["error"]["hint"]) == (400, "did you mean attr.http.route?")
    answer = shared.get("/api/logs", **{"event.x": "x"})
    assert answer.status_code == 400


def test_no_more_filters_than_can_be_answered_in_time(shared: Server) -> None:
    answer = shared.get("/api/spans", **{f"event.k{n}__exists": "true" for n in range(33)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
