"""Several processes on one database, and commits whose outcome nobody was told: each record once, none lost."""

import asyncio
import random
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exporter.batch import Outcome
from exporter.otlp.http import PATHS
from tests.exporter.cutting import CuttingProxy
from tests.exporter.sending import (
    NOW,
    gauge,
    log,
    logs,
    metrics,
    point,
    send_until_stored,
    sidecar,
    span,
    spans,
    totals,
)
from tests.running import Server, serving
from tests.sql.rows import ask

SPANS_STORED = "SELECT count(*) AS n, count(DISTINCT (trace_id, span_id)) AS ids FROM otel_spans_fact"
Body = tuple[str, bytes]


def post(client: httpx.Client, server: Server, body: Body) -> httpx.Response:
    """Send once, over connections that are kept."""
    headers = {"content-type": "application/x-protobuf"}
    return client.post(f"{server.url}{PATHS[body[0]]}", content=body[1], headers=headers)


def post_until_taken(client: httpx.Client, server: Server, body: Body) -> httpx.Response:
    """Send as a client does: again while the answer is 503 or the connection breaks."""
    for _ in range(100):
        try:
            response = post(client, server, body)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if response.status_code != 503:
            return response
        time.sleep(0.1)
    raise AssertionError("never taken")


def refused_spans(responses: Sequence[httpx.Response]) -> int:
    """How many spans were refused in all; every answer must be 200."""
    assert {response.status_code for response in responses} == {200}
    answers = (ExportTraceServiceResponse.FromString(response.content) for response in responses)
    return sum(answer.partial_success.rejected_spans for answer in answers)


def test_three_replicas_store_each_record_once(store: str) -> None:
    """Of what they get 30 % were in other bodies before; traces are shared, new dimensions come to all at once."""
    rng = random.Random(5)
    records: list[Span] = []
    for trace in range(1, 121):
        for number in range(1, 21):
            parent = b"" if number == 20 else (20).to_bytes(8, "big")
            has = {"route": f"r{trace % 40}", "n": number % 3, "user": f"u{trace * number}"}
            start = NOW + rng.randrange(7200) * 1_000_000_000
            records.append(span(trace, number, start, has, name=f"op{number}", parent_span_id=parent))
            records[-1].events.add(name="e", time_unix_nano=trace)
    rng.shuffle(records)
    points = [gauge(f"g{i % 20}", point(i, NOW + i, {"a": i % 7})) for i in range(900)]

    def batched(each: int) -> list[Body]:
        doubled_spans = records + rng.sample(records, len(records) * 3 // 7)
        doubled_points: list[Metric] = points + rng.sample(points, len(points) * 3 // 7)
        rng.shuffle(doubled_spans)
        rng.shuffle(doubled_points)
        bodies = [spans(*doubled_spans[i : i + each]) for i in range(0, len(doubled_spans), each)]
        return bodies + [metrics(*doubled_points[i : i + each]) for i in range(0, len(doubled_points), each)]

    bodies = batched(100)
    rng.shuffle(bodies)
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(store)) for _ in range(3)]
        with httpx.Client(timeout=60, verify=False) as client, ThreadPoolExecutor(12) as pool:
            responses = list(
                pool.map(lambda i: post_until_taken(client, servers[i % 3], bodies[i]), range(len(bodies)))
            )
            # One body to all three at once: they race on its row of the ledger.
            raced = spans(*(span(999, i + 1) for i in range(50)), span(0, 1))
            same = list(pool.map(lambda i: post_until_taken(client, servers[i % 3], raced), range(12)))
    of_spans = [r for body, r in zip(bodies, responses, strict=True) if body[0] == "spans"]
    assert refused_spans(of_spans) == 0
    assert {response.status_code for response in responses} == {200}
    assert refused_spans(same) == 12, "each is told of the one that is refused"
    assert ask(store, SPANS_STORED) == [{"n": 2450, "ids": 2450}]
    assert ask(store, "SELECT count(*) AS n FROM otel_span_events") == [{"n": 2400}]
    assert ask(store, "SELECT count(*) AS n FROM otel_metrics_data_points_number") == [{"n": 900}]
    assert ask(store, "SELECT sum(count)::int AS n FROM otel_rejected_records") == [{"n": 1}]
    counted = "SELECT sum(stored)::int AS stored, sum(deduplicated)::int AS again FROM otel_ingest_ledger"
    assert ask(store, counted) == [{"stored": 3350, "again": 2400 * 3 // 7 + 900 * 3 // 7}]


def test_a_commit_without_reply_doubles_nothing_and_loses_nothing(store: str) -> None:
    async def session() -> tuple[list[Outcome], int]:
        proxy = CuttingProxy(store, every=3)
        async with proxy.serving(), sidecar(proxy.url) as running:
            outcomes: list[Outcome] = []
            proxy.armed = True
            for turn in range(8):
                bodies = [
                    spans(*(span(turn + 1, i + 1, has={"turn": turn}, events=[{"name": "e"}]) for i in range(10))),
                    spans(*(span(turn + 1, i + 100, 0) for i in range(10))),
                    logs(*(log(f"{turn} {i}", has={"turn": turn}) for i in range(10))),
                    logs(*(log(f"timeless {turn} {i}", 0) for i in range(10))),
                    metrics(gauge(f"g{turn}", *(point(i, NOW + i, exemplars=[{"as_int": 1}]) for i in range(10)))),
                    metrics(gauge(f"late{turn}", *(point(i, 0) for i in range(10)))),
                ]
                tasks = [asyncio.create_task(send_until_stored(running, *body)) for body in bodies]
                outcomes += await asyncio.gather(*tasks)
                # And again from the client's side, as after an answer that was lost.
                again = (bodies[0], bodies[2], bodies[5])
                outcomes += await asyncio.gather(*(send_until_stored(running, *body) for body in again))
            return outcomes, proxy.cuts

    outcomes, cuts = asyncio.run(session())
    assert cuts >= 8
    stored, deduplicated, rejected = totals(outcomes)
    assert (stored + deduplicated, rejected) == (8 * 90, 0)
    assert ask(store, SPANS_STORED) == [{"n": 160, "ids": 160}]
    assert ask(store, "SELECT count(*) AS n, count(DISTINCT body) AS b FROM otel_logs_fact") == [{"n": 160, "b": 160}]
    assert ask(store, "SELECT count(*) AS n FROM otel_metrics_data_points_number") == [{"n": 160}]
    assert ask(store, "SELECT count(*) AS n FROM otel_exemplars") == [{"n": 80}]


def test_sigterm_under_load_loses_nothing_that_was_acknowledged(store: str) -> None:
    bodies = [spans(*(span(i + 1, j + 1) for j in range(50))) for i in range(200)]
    answered = threading.Semaphore(0)
    with serving(store) as server, httpx.Client(timeout=60, verify=False) as client, ThreadPoolExecutor(8) as pool:

        def status_of(body: Body) -> int:
            try:
                return post(client, server, body).status_code
            except httpx.TransportError:
                return 0
            finally:
                answered.release()

        waiting = [pool.submit(status_of, body) for body in bodies]
        for _ in range(20):
            assert answered.acquire(timeout=20)
        server.process.send_signal(signal.SIGTERM)
        statuses = [future.result() for future in waiting]
        assert server.process.wait(20) == 0
    assert set(statuses) <= {200, 503, 0}
    acknowledged = [i + 1 for i, status in enumerate(statuses) if status == 200]
    assert 0 < len(acknowledged) < 200
    rows = ask(store, "SELECT right(trace_id::text, 4) AS trace, span_count FROM otel_traces")
    found = {int(row["trace"], 16): row["span_count"] for row in rows}
    assert {trace: found.get(trace) for trace in acknowledged} == dict.fromkeys(acknowledged, 50)
    assert set(found.values()) == {50}, "a body is stored whole"
