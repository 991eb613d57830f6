"""A real Collector, with the configurations that the manifests ship, between senders and Postel."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.shop import Shop
from tests.e2e.collector import USER_AGENT, Collector, collecting, require_collector, stored, wait_until_stored
from tests.e2e.stored_rows import Rows, rows_of
from tests.exporter.asking import own_database
from tests.exporter.test_access import bearer, certificates
from tests.running import Server, serving

__all__ = ["certificates"]  # a fixture
MINUTE_NANO = 60_000_000_000
SENT = {SPANS: 120, LOGS: 120, METRICS: 300}
Bodies = list[tuple[str, bytes]]


@pytest.fixture(autouse=True, scope="module")
def _collector() -> None:
    require_collector()


def bodies(**records: int) -> Bodies:
    """Requests of the web shop, by signal; few enough attributes that none of them is demoted."""
    shop = Shop(7, start_unix_nano=time.time_ns() // MINUTE_NANO * MINUTE_NANO - 10 * MINUTE_NANO)
    makers = {SPANS: shop.traces, LOGS: shop.logs, METRICS: shop.metrics}
    requests = [(signal, next(iter(makers[signal](count)))) for signal, count in records.items()]
    for signal, request in requests:
        if signal == METRICS:
            _fill_sides(request)
    return [(signal, request.SerializeToString()) for signal, request in requests]


def _fill_sides(request: Any) -> None:
    """The Collector gives every exponential histogram both its sides, an empty one where it had none."""
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.exponential_histogram.data_points:
                    point.positive.SetInParent()
                    point.negative.SetInParent()


def send(url: str, sent: Bodies, token: str | None = None) -> None:
    headers = {"content-type": "application/x-protobuf", **(bearer(token) if token else {})}
    for signal, body in sent:
        answer = httpx.post(f"{url}{PATHS[signal]}", content=body, headers=headers, timeout=60, verify=False)
        # The Collector says full success by an empty partial_success.
        assert (answer.status_code, answer.content) in ((200, b""), (200, b"\n\0"))


@pytest.fixture(scope="module")
def sent() -> Bodies:
    return bodies(**SENT)


@pytest.fixture(scope="module")
def straight(sent: Bodies, server_url: str, template: str) -> tuple[dict[str, int], dict[str, Rows]]:
    """How many records there are, and what is stored of them when they are sent straight to Postel."""
    with own_database(server_url, template) as url:
        with serving(url) as server:
            send(server.url, sent)
            counts = stored(server)
        return counts, asyncio.run(rows_of(url))


def assert_same(found: dict[str, Rows], expected: dict[str, Rows]) -> None:
    for table, rows in expected.items():
        assert (table, found[table] - rows, rows - found[table]) == (table, Counter(), Counter())


@pytest.mark.parametrize("encoding", ["proto", "json"])
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_what_the_collector_sends_is_stored_as_sent_straight(
    encoding: str,
    compression: str,
    sent: Bodies,
    straight: tuple[dict[str, int], dict[str, Rows]],
    server_url: str,
    template: str,
    tmp_path: Path,
) -> None:
    counts, expected = straight
    way = {"POSTEL_ENCODING": encoding, "POSTEL_COMPRESSION": compression}
    with own_database(server_url, template) as url:
        with (
            serving(url) as server,
            collecting(server.url, tmp_path, "gateway.yaml", settings=way) as collector,
        ):
            send(collector.http, sent)
            wait_until_stored(server, counts)
            assert stored(server) == counts
            assert_sent_by_it(server)
        assert_same(asyncio.run(rows_of(url)), expected)


def assert_sent_by_it(server: Server) -> None:
    """Every request came from the Collector."""
    exposed = server.get("/metrics").text
    agents = {line.split('"')[1] for line in exposed.splitlines() if line.startswith("postel_senders_total{")}
    assert agents == {USER_AGENT}


def test_a_token_is_brought(sent: Bodies, server_url: str, template: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("only-this")
    with (
        own_database(server_url, template) as url,
        serving(url, {"INGEST_TOKEN_FILE": str(tmp_path / "token")}) as server,
    ):
        settings = {"POSTEL_TOKEN_FILE": str(tmp_path / "token")}
        with collecting(server.url, tmp_path, "gateway.yaml", "token.yaml", settings=settings) as collector:
            send(collector.http, sent[:1])
            wait_until_stored(server, {SPANS: SENT[SPANS]})
        assert server.post("traces", sent[0][1]).status_code == 401


def test_both_sides_bring_certificates(
    sent: Bodies, certificates: Path, server_url: str, template: str, tmp_path: Path
) -> None:
    tls = {"TLS_CERTIFICATE": "server.pem", "TLS_KEY": "server.key", "TLS_CLIENT_CA": "ca.pem"}
    theirs = {"POSTEL_CA_FILE": "ca.pem", "POSTEL_CERT_FILE": "client.pem", "POSTEL_KEY_FILE": "client.key"}
    ours, theirs = ({name: str(certificates / file) for name, file in pairs.items()} for pairs in (tls, theirs))
    with (
        own_database(server_url, template) as url,
        serving(url, ours, ready=False) as server,
        collecting(server.url, tmp_path, "gateway.yaml", "tls.yaml", settings=theirs) as collector,
    ):
        send(collector.http, sent[:1])
        wait_for_rows(url, SENT[SPANS])


def wait_for_rows(url: str, spans: int) -> None:
    async def count() -> int:
        connection = await asyncpg.connect(url)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM otel_spans_fact"))
        finally:
            await connection.close()

    deadline = time.monotonic() + 30
    while (found := asyncio.run(count())) < spans:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


@pytest.fixture(scope="module")
def agent(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Collector, Path]]:
    """The agent on this machine, and the log file that it follows."""
    folder = tmp_path_factory.mktemp("agent")
    with own_database(server_url, template) as url, serving(url) as server:
        settings = {
            "HOSTMETRICS_INTERVAL": "1s",
            "SCRAPE_INTERVAL": "1s",
            "SPANMETRICS_INTERVAL": "1s",
            "LOG_FILES": str(folder / "*.log.txt"),
            "POSTEL_METRICS_TARGET": server.url.removeprefix("http://"),
        }
        with collecting(server.url, folder, "gateway.yaml", "agent.yaml", settings=settings) as collector:
            yield server, collector, folder / "shop.log.txt"


def answered(server: Server, path: str, field: str, complete: int = 1, **parameters: str) -> list[Any]:
    """What the API has of something, once there is enough of it."""
    deadline = time.monotonic() + 30
    while True:
        answer = server.get(path, since="1h", limit="1000", **parameters)
        assert answer.status_code in (200, 404), answer.text
        found: list[Any] = answer.json()[field] if answer.status_code == 200 else []
        if len(found) >= complete:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_lines_of_a_log_file_are_stored(agent: tuple[Server, Collector, Path]) -> None:
    server, _, file = agent
    lines = [f"2026-11-23 order {number} größer\t\u0001 {'x' * (number + 1)}" for number in range(50)]
    file.write_text("\n".join(lines) + "\n")
    logs = answered(server, "/api/logs", "logs", 50)
    assert Counter(log["body"] for log in logs) == Counter(lines)
    assert {log["attributes"]["log.file.name"] for log in logs} == {file.name}


def test_metrics_of_this_machine_are_stored(agent: tuple[Server, Collector, Path]) -> None:
    server, _, _ = agent
    (total,) = [
        point["value"]
        for line in answered(server, "/api/metrics/series", "series", name="system.memory.usage")
        if line["attributes"] == {"state": "used"}
        for point in line["data_points"][-1:]
    ]
    kib = dict(line.split()[:2] for line in Path("/proc/meminfo").read_text().splitlines())
    assert 0 < total < int(kib["MemTotal:"]) * 1024
    names = {metric["name"] for metric in answered(server, "/api/metrics", "metrics", 10)}
    assert {"system.cpu.time", "system.cpu.load_average.1m", "system.network.io", "system.filesystem.usage"} <= names


def test_what_postel_says_of_itself_comes_back_through_a_scrape(agent: tuple[Server, Collector, Path]) -> None:
    server, _, _ = agent
    series = answered(server, "/api/metrics/series", "series", name="postel_accepted_records_total")
    assert {line["attributes"]["signal"] for line in series} <= {SPANS, LOGS, METRICS}
    values = [point["value"] for line in series for point in line["data_points"]]
    assert values
    assert max(values) <= sum(stored(server).values())
    histograms = answered(server, "/api/metrics/series", "series", name="postel_acknowledgement_seconds")
    assert {line["metric_type"] for line in histograms} == {"histogram"}


def test_durations_of_the_spans_that_pass_are_exponential_histograms(agent: tuple[Server, Collector, Path]) -> None:
    server, collector, _ = agent
    ((_, body),) = bodies(**{SPANS: 200})
    before = stored(server).get(SPANS, 0)
    send(collector.http, [(SPANS, body)])
    wait_until_stored(server, {SPANS: before + 200})
    series = answered(server, "/api/metrics/series", "series", name="traces.span.metrics.duration")
    assert {line["metric_type"] for line in series} == {"exponential_histogram"}
    newest = [max(line["data_points"], key=lambda point: point["time_unix_nano"]) for line in series]
    deadline = time.monotonic() + 30
    while sum(point["count"] for point in newest) < 200:
        assert time.monotonic() < deadline
        series = answered(server, "/api/metrics/series", "series", name="traces.span.metrics.duration")
        newest = [max(line["data_points"], key=lambda point: point["time_unix_nano"]) for line in series]
    assert sum(point["count"] for point in newest) == 200
