"""A real Collector between senders and Postel while everything behind it is restarted and killed: row 23."""

import os
import signal
import threading
import time
from pathlib import Path

import asyncpg
import httpx

from exporter.integrity import check
from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.shop import Shop
from tests.e2e.collector import CONFIGURATIONS, collecting
from tests.faults.life import Life, living
from tests.faults.oracle import Verdict
from tests.faults.outcome import Outcome

RECORDS = 60
DEFAULTS = """\
# What somebody writes who reads the exporter's README: retries for five minutes, a queue in memory.
receivers:
  otlp: {protocols: {grpc: {endpoint: "${env:OTLP_GRPC_ENDPOINT}"}, http: {endpoint: "${env:OTLP_HTTP_ENDPOINT}"}}}
processors: {batch: {}}
exporters: {otlphttp: {endpoint: "${env:POSTEL_URL}"}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [otlphttp]}
    logs: {receivers: [otlp], processors: [batch], exporters: [otlphttp]}
    metrics: {receivers: [otlp], processors: [batch], exporters: [otlphttp]}
"""
COUNTS = {
    SPANS: "SELECT count(*), count(DISTINCT (trace_id, span_id)) FROM otel_spans_fact",
    LOGS: "SELECT count(*), count(DISTINCT (trace_key, time_unix_nano, log_id)) FROM otel_logs_fact",
    METRICS: "SELECT count(*), count(DISTINCT data_point_id) FROM v_otel_metrics_enriched",
}


def counts(life: Life) -> dict[str, tuple[int, int]]:
    """By signal: the records stored, and the different ones among them."""

    async def select(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
        return {name: tuple(*await connection.fetch(statement)) for name, statement in COUNTS.items()}

    return life.ask(select)


def send(url: str, over: threading.Event, sent: dict[str, int]) -> None:
    """Send all signals until it is over; `sent` counts the records that the Collector has taken."""
    shop = Shop(3, start_unix_nano=time.time_ns())
    makers = {SPANS: shop.traces(RECORDS), LOGS: shop.logs(RECORDS), METRICS: shop.metrics(RECORDS)}
    with httpx.Client(verify=False, timeout=30) as client:
        while not over.is_set():
            for name, requests in makers.items():
                body = next(requests).SerializeToString()
                answer = client.post(
                    f"{url}{PATHS[name]}", content=body, headers={"content-type": "application/x-protobuf"}
                )
                assert answer.status_code == 200
                sent[name] += RECORDS
            time.sleep(0.02)


def across_restarts(queue: str, times: int, folder: Path) -> Outcome:
    """Row 23: Postel stopped, its PostgreSQL killed, Postel killed, some times; the `queue` is on disk or in memory."""
    configuration = CONFIGURATIONS / "gateway.yaml"
    if queue == "memory":
        configuration = folder / "defaults.yaml"
        configuration.write_text(DEFAULTS)
    sent = {SPANS: 0, LOGS: 0, METRICS: 0}
    over = threading.Event()
    with living() as life, collecting(life.url, folder, str(configuration)) as collector:
        sender = threading.Thread(target=send, args=(collector.http, over, sent))
        sender.start()
        servers = [pid for _ in range(times) for pid in _restart(life)]
        over.set()
        sender.join()
        once = {name: (count, count) for name, count in sent.items()}
        deadline = time.monotonic() + 60
        while (found := counts(life)) != once and time.monotonic() < deadline:
            time.sleep(0.3)
        # Nothing comes after it either.
        time.sleep(1)
        found = counts(life)
        verdict = Verdict(sum(sent.values()), sum(sent.values()), problems=life.ask(check))
        print("serve ran as", *life.pids, "PostgreSQL as", *servers, flush=True)
    for name, count in sent.items():
        verdict.lost += max(0, count - found[name][1])
        verdict.duplicates += max(0, found[name][0] - count)
    if verdict.lost or verdict.duplicates:
        verdict.problems.append(f"sent {sent}, stored {found}")
    if (len(set(life.pids)), len(set(servers))) != (2 * times + 1, 2 * times) or min(sent.values()) < 10 * RECORDS:
        verdict.problems.append(f"serve ran as {life.pids}, PostgreSQL as {servers}; sent {sent}")
    return Outcome(f"behind a Collector (queue: {queue}): SIGTERM, PostgreSQL killed, kill -9", 3 * times, verdict)


def _restart(life: Life) -> list[int]:
    """Stop and start Postel, kill its PostgreSQL, kill Postel; the process ids of both PostgreSQL servers."""
    time.sleep(1)
    life.end(signal.SIGTERM)
    life.start()
    time.sleep(1)
    postmaster = int(life.postmaster[0])
    os.kill(postmaster, signal.SIGKILL)
    time.sleep(1)
    life.end(signal.SIGKILL)
    life.start()
    time.sleep(1)
    return [postmaster, int(life.postmaster[0])]
