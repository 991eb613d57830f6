"""Postel and its PostgreSQL are restarted and killed while a Collector sends: what was sent is stored, once."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import asyncpg
import httpx
import pytest
from msgspec import Struct

from exporter.integrity import check
from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.shop import Shop
from tests.e2e.collector import CONFIGURATIONS, collecting, free_port, require_collector
from tests.running import Server, stop, wait_until_ready

T = TypeVar("T")
RECORDS = 60
SENDING_S = 6.0
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


class Life(Struct):
    """A `postel serve` with a PostgreSQL of its own, on one port whichever process it is."""

    data_dir: Path
    port: int
    process: subprocess.Popen[str] | None = None
    pids: list[int] = []

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        bind = ("--bind", f"127.0.0.1:{self.port}", "--data-dir", str(self.data_dir))
        environment = {name: text for name, text in os.environ.items() if not name.startswith("POSTEL_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "serve", *bind], env=environment, stdout=subprocess.PIPE, text=True
        )
        self.pids.append(self.process.pid)
        assert self.process.stdout is not None
        assert any("listens on" in line for line in self.process.stdout)
        wait_until_ready(Server(f"http://127.0.0.1:{self.port}", "", self.process))

    def end(self, number: signal.Signals) -> None:
        """Send it a signal, and wait until it is gone."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(40)
        stop(self.process)

    @property
    def postmaster(self) -> list[str]:
        """The lines of postmaster.pid: process, folder, start, port, socket's folder, ..."""
        return (self.data_dir / "pgdata" / "postmaster.pid").read_text().splitlines()

    def ask(self, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """What a question finds in the database."""

        async def asked() -> T:
            port, folder = self.postmaster[3:5]
            connection = await asyncpg.connect(f"postgresql://postgres@/postgres?host={folder}&port={port}")
            try:
                return await question(connection)
            finally:
                await connection.close()

        return asyncio.run(asked())

    def counts(self) -> dict[str, tuple[int, int]]:
        """By signal: the records stored, and the different ones among them."""

        async def select(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
            return {name: tuple(*await connection.fetch(statement)) for name, statement in COUNTS.items()}

        return self.ask(select)


@contextmanager
def living() -> Iterator[Life]:
    with tempfile.TemporaryDirectory(prefix="postel-test-") as name:
        Path(name).chmod(0o755)
        life = Life(Path(name) / "data", free_port())
        life.start()
        try:
            yield life
        finally:
            life.end(signal.SIGTERM)


def send(url: str, until: float, sent: dict[str, int]) -> None:
    """Send all signals until then; `sent` counts the records that the Collector has taken."""
    shop = Shop(3, start_unix_nano=time.time_ns())
    makers = {SPANS: shop.traces(RECORDS), LOGS: shop.logs(RECORDS), METRICS: shop.metrics(RECORDS)}
    with httpx.Client(verify=False, timeout=30) as client:
        while time.monotonic() < until:
            for name, requests in makers.items():
                body = next(requests).SerializeToString()
                answer = client.post(
                    f"{url}{PATHS[name]}", content=body, headers={"content-type": "application/x-protobuf"}
                )
                assert answer.status_code == 200
                sent[name] += RECORDS
            time.sleep(0.02)


@pytest.mark.parametrize("queue", ["disk", "memory"])
def test_what_was_sent_is_stored_once_across_restarts(queue: str, tmp_path: Path) -> None:
    require_collector()
    configuration = CONFIGURATIONS / "gateway.yaml"
    if queue == "memory":
        configuration = tmp_path / "defaults.yaml"
        configuration.write_text(DEFAULTS)
    sent = {SPANS: 0, LOGS: 0, METRICS: 0}
    with living() as life, collecting(f"http://127.0.0.1:{life.port}", tmp_path, str(configuration)) as collector:
        sender = threading.Thread(target=send, args=(collector.http, time.monotonic() + SENDING_S, sent))
        sender.start()
        time.sleep(1)
        life.end(signal.SIGTERM)
        life.start()
        time.sleep(1)
        postmaster = int(life.postmaster[0])
        os.kill(postmaster, signal.SIGKILL)
        time.sleep(1)
        life.end(signal.SIGKILL)
        life.start()
        sender.join()
        print("serve ran as", life.pids, "PostgreSQL as", postmaster, "and", life.postmaster[0])
        assert len(set(life.pids)) == 3
        assert int(life.postmaster[0]) != postmaster
        assert min(sent.values()) > 10 * RECORDS
        once = {name: (count, count) for name, count in sent.items()}
        deadline = time.monotonic() + 60
        while (found := life.counts()) != once:
            assert time.monotonic() < deadline, (found, once)
            time.sleep(0.3)
        # Nothing comes after it either.
        time.sleep(1)
        assert life.counts() == once
        assert life.ask(check) == []
