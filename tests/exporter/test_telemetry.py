"""What Postel counts of itself, as Prometheus reads it."""

import asyncio

import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.telemetry import Telemetry
from tests.exporter.asking import Postel, postel
from tests.exporter.sending import NOW, gauge, log, logs, metrics, point, span, spans


def test_what_is_counted(store: str) -> None:
    async def session() -> dict[str, float]:
        async with postel(store) as app:
            sent = [
                spans(span(1, 1), span(1, 2), span(0, 3)),
                spans(span(1, 1), span(1, 2), span(0, 3)),
                spans(span(1, 1, name="another")),
                logs(log("x"), log("y", at=1), log("z", trace_id=b"short")),
                metrics(gauge("g", point(1), point(2, NOW + 1))),
            ]
            for signal, body in sent:
                assert (await app.post(PATHS[signal], body)).status_code == 200
            assert (await app.post("/v1/logs", b"?")).status_code == 400
            return await _samples(app)

    found = asyncio.run(session())
    expected = {
        'accepted_records_total{signal="spans"}': 2,
        'accepted_records_total{signal="logs"}': 3,
        'accepted_records_total{signal="metrics"}': 2,
        'deduplicated_records_total{signal="spans"}': 2,
        'rejected_records_total{reason="conflict",signal="spans"}': 1,
        'http_requests_total{path="/v1/traces",status="200"}': 3,
        'http_requests_total{path="/v1/logs",status="400"}': 1,
        'acknowledgement_seconds_count{signal="spans"}': 3,
        'sanitised_values_total{reason="unreadable_id",signal="logs"}': 1,
        "in_flight_bytes": 0,
        'received_records_total{signal="spans"}': 7,
        'dropped_records_total{signal="spans"}': 0,
        'dimension_rows_created_total{table="otel_span_series_dim"}': 2,
        'dimension_rows_missed_total{table="otel_span_series_dim"}': 2,
        'dimension_rows_cached{table="otel_resources_dim"}': 1,
        'partitions_ahead{signal="logs"}': 2,
    }
    assert {name: found.get(f"postel_{name}") for name in expected} == expected
    refused = {name: count for name, count in found.items() if "rejected_records_total" in name}
    assert sum(refused.values()) == 3  # the same record once more is refused once more
    assert 0 <= found["postel_last_commit_age_seconds"] < 60
    assert found["postel_commit_seconds_count"] >= 4
    assert found["postel_quarantine_bytes"] > 100
    assert sums(found) == {"spans": (7, 7), "logs": (3, 3), "metrics": (2, 2)}


def test_failures_to_write_are_counted_by_what_postgresql_said(store: str) -> None:
    async def session() -> dict[str, float]:
        async with postel(store, {"STATEMENT_TIMEOUT": "300ms", "REQUEST_DEADLINE": "500ms"}) as app:
            blocker = await asyncpg.connect(store)
            async with blocker.transaction():
                await blocker.execute("LOCK TABLE otel_logs_fact IN ACCESS EXCLUSIVE MODE")
                assert (await app.post("/v1/logs", logs(log("x"))[1])).status_code == 503
            await blocker.close()
            async with asyncio.timeout(20):
                while (await app.post("/v1/logs", logs(log("x"))[1])).status_code != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            return await _samples(app)

    found = asyncio.run(session())
    assert sum(count for name, count in found.items() if name.startswith("postel_write_failures_total{")) >= 1
    # The first attempt may have landed after its answer: then the second one found it.
    assert sums(found)["logs"] in ((1, 1), (2, 2))


def sums(found: dict[str, float]) -> dict[str, tuple[float, float]]:
    """By signal: the records received, and all that is known to have become of them."""

    def total(name: str, signal: str) -> float:
        marks = f"postel_{name}_records_total{{", f'signal="{signal}"'
        return sum(count for sample, count in found.items() if all(mark in sample for mark in marks))

    became = "accepted", "deduplicated", "dropped", "rejected"
    return {
        signal: (total("received", signal), sum(total(name, signal) for name in became))
        for signal in (SPANS, LOGS, METRICS)
    }


def test_senders_are_counted_by_their_product(store: str) -> None:
    agents = {
        "OTel-OTLP-Exporter-Python/1.44.0": "OTel-OTLP-Exporter-Python",
        "Mozilla/5.0 (X11; Linux x86_64)": "Mozilla",
        "curl": "curl",
        "": "none",
        'a"}b{c/1': "a__b_c",
        "x" * 200: "x" * 64,
    }

    async def session() -> dict[str, float]:
        async with postel(store) as app:
            for number, agent in enumerate(agents):
                body = logs(log("x", at=number))[1]
                assert (await app.post("/v1/logs", body, user_agent=agent)).status_code == 200
            assert (await app.post("/v1/logs", b"?", user_agent="refused")).status_code == 400
            return await _samples(app)

    assert _senders(asyncio.run(session())) == dict.fromkeys(agents.values(), 1)


def test_no_more_senders_are_told_apart_than_a_hundred() -> None:
    telemetry = Telemetry()
    for number in range(150):
        telemetry.count_sender(f"agent-{number}/1")
    telemetry.count_sender("agent-0/2")
    found = _senders(_parsed(telemetry.exposition().decode()))
    assert (len(found), found["other"], found["agent-0"], found["agent-99"]) == (101, 50, 2, 1)


def _senders(samples: dict[str, float]) -> dict[str, float]:
    """User-Agent -> requests."""
    return {name.split('"')[1]: count for name, count in samples.items() if name.startswith("postel_senders_total{")}


async def _samples(app: Postel) -> dict[str, float]:
    answer = await app.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return _parsed(answer.text)


def _parsed(exposition: str) -> dict[str, float]:
    return {
        sample.name + (f"{{{labels}}}" if labels else ""): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        for labels in [",".join(f'{name}="{text}"' for name, text in sorted(sample.labels.items()))]
    }
