"""J2 answers each question with the records that were sent."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from bench.corpus import LOGS, POINTS, SIGNALS, SPANS, read_bodies
from bench.database import empty_database
from bench.read_baseline import Asked, Reply, asking_baseline
from bench.read_load import jsonb_tables
from bench.values import value, values
from tests.bench.reading import records

EVER = {"start_time": 0, "end_time": (1 << 63) - 1, "limit": 5_000}
ERROR, SECOND = 2, 1_000_000_000


@pytest.fixture(scope="module")
def url(server_url: str, corpus: Path) -> Iterator[str]:
    """J2 with the small corpus."""
    with asyncio.Runner() as runner:
        made = empty_database(server_url)
        url = runner.run(made.__aenter__())
        runner.run(fill(url, corpus))
        yield url
        runner.run(made.__aexit__(None, None, None))


async def fill(url: str, corpus: Path) -> None:
    """Store what is in the corpus."""
    async with jsonb_tables(url) as tables:
        for signal in SIGNALS:
            await tables.store(signal, read_bodies(corpus, signal))
        await tables.finish()


def replies(url: str, name: str, *paths: str) -> list[Reply]:
    """What J2 says to paths."""

    async def ask() -> list[Reply]:
        async with asking_baseline(url) as baseline:
            return [await baseline.ask(name, path) for path in paths]

    return asyncio.run(ask())


def rows(url: str, name: str, place: str, /, **parameters: object) -> int | None:
    """How many rows J2 has for a question."""
    return replies(url, name, f"/api/{place}?{urlencode(EVER | parameters)}")[0].rows


def spans(bodies: dict[str, list[bytes]]) -> list[Any]:
    """The spans that were sent."""
    return [span for _, _, span in records(SPANS, bodies[SPANS])]


def service_of(resource: Any) -> Any:
    """The service of a resource."""
    return values(resource.attributes)["service.name"]


def traces(bodies: dict[str, list[bytes]]) -> dict[bytes, list[Any]]:
    """Spans by trace, of the traces whose root was sent."""
    found: dict[bytes, list[Any]] = {}
    for span in spans(bodies):
        found.setdefault(span.trace_id, []).append(span)
    return {id_: members for id_, members in found.items() if any(not span.parent_span_id for span in members)}


def test_spans_by_attribute(url: str, bodies: dict[str, list[bytes]]) -> None:
    sent = Counter(
        (key, str(found)) for span in spans(bodies) for key, found in values(span.attributes).items()
        if not isinstance(found, bool)
    )  # fmt: skip
    # One that is a string in some spans and a number in others, and one of many values.
    for key, text in (("http.status_code", "200"), next(pair for pair in sent if pair[0] == "http.url")):
        found = rows(url, "match-spans-by-attribute", "spans", **{f"attr.{key}": text})
        assert found == sent[key, text] > 0
    assert rows(url, "match-spans-by-attribute", "spans", **{"attr.http.url": "none"}) == 0


def test_traces(url: str, bodies: dict[str, list[bytes]]) -> None:
    sent = traces(bodies)
    failed = [id_ for id_, members in sent.items() if any(span.status.code == ERROR for span in members)]
    assert rows(url, "match-failed-traces", "traces") == len(failed) > 0
    begins = {id_: next(s for s in members if not s.parent_span_id) for id_, members in sent.items()}
    lasts = sorted(
        max(span.end_time_unix_nano for span in members) - begins[id_].start_time_unix_nano
        for id_, members in sent.items()
    )
    assert rows(url, "match-slow-traces", "traces", min_duration=lasts[-10]) == 10
    mine = {span.trace_id for resource, _, span in records(SPANS, bodies[SPANS]) if service_of(resource) == "cart"}
    assert rows(url, "match-traces-of-service", "traces", service="cart") == len(mine & set(sent)) > 0


def test_a_trace(url: str, bodies: dict[str, list[bytes]]) -> None:
    counts = Counter(span.trace_id for span in spans(bodies))
    paths = [f"/api/traces/{id_.hex()}" for id_ in counts]
    assert [reply.rows for reply in replies(url, "find-trace", *paths)] == list(counts.values())


def test_logs(url: str, bodies: dict[str, list[bytes]]) -> None:
    sent = records(LOGS, bodies[LOGS])
    severe = sum(log.severity_number >= 13 for _, _, log in sent)
    assert rows(url, "match-logs-by-severity", "logs", severity="warn") == severe > 0
    mine = sum(service_of(resource) == "cart" for resource, _, _ in sent)
    assert rows(url, "match-logs-of-service", "logs", service="cart") == mine > 0
    trace_id, lines = Counter(log.trace_id for _, _, log in sent if log.trace_id).most_common(1)[0]
    assert rows(url, "match-logs-of-trace", "logs", trace_id=trace_id.hex()) == lines
    path = f"/api/logs/trace/{trace_id.hex()}/spans"
    assert replies(url, "find-logs-by-span", path)[0].rows == lines
    key, found = next(iter(values(sent[0][2].attributes).items()))
    having = sum(values(log.attributes).get(key) == found for _, _, log in sent)
    assert rows(url, "match-logs-by-attribute", "logs", **{f"attr.{key}": found}) == having > 0


@pytest.mark.parametrize("text", ["CART", "100%", "%"])
def test_text_of_a_body_is_no_pattern(url: str, bodies: dict[str, list[bytes]], text: str) -> None:
    sent = [str(value(log.body)) for _, _, log in records(LOGS, bodies[LOGS])]
    found = rows(url, "match-logs-by-body", "logs", q=text)
    assert found == sum(text.lower() in body.lower() for body in sent)


def points(bodies: dict[str, list[bytes]], name: str) -> list[Any]:
    """The points of a metric that were sent."""
    return [
        point
        for _, _, metric in records(POINTS, bodies[POINTS])
        if metric.name == name
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def test_metrics(url: str, bodies: dict[str, list[bytes]]) -> None:
    name = "http.server.duration"
    sent = [(point.time_unix_nano, values(point.attributes)) for point in points(bodies, name)]
    place = f"metrics/{quote(name)}/labels"
    assert rows(url, "list-label-keys", place) == len({key for _, found in sent for key in found}) > 0
    routes = {found["http.route"] for _, found in sent}
    assert rows(url, "list-label-values", place, attribute="http.route") == len(routes) > 0
    name = "kafka.message.count"
    steps = {(values(p.attributes)["partition"], p.time_unix_nano // (60 * SECOND)) for p in points(bodies, name)}
    parameters = {"name": name, "group_by": "partition"}
    assert rows(url, "average-points", "metrics/series", **parameters) == len(steps) > 0


def test_a_page_is_as_long_as_asked_for_and_within_its_window(url: str, bodies: dict[str, list[bytes]]) -> None:
    assert rows(url, "match-logs-by-severity", "logs", severity="trace", limit=50) == 50
    first = min(log.time_unix_nano for _, _, log in records(LOGS, bodies[LOGS]))
    assert rows(url, "match-logs-by-severity", "logs", severity="trace", end_time=first + 1) == 1
    assert rows(url, "match-logs-by-severity", "logs", severity="trace", end_time=first) == 0


def test_a_window_is_the_hour_before_its_end() -> None:
    asked = Asked.of("/api/spans?end_time=3600000000005&attr.a=b")
    assert asked.window == (5, 3_600_000_000_005)
    assert asked.segments == ["spans"]
