"""What Postel counts of itself, as Prometheus reads it."""

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from exporter.otlp.http import PATHS
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
    }
    assert {name: found.get(f"postel_{name}") for name in expected} == expected
    refused = {name: count for name, count in found.items() if "rejected_records_total" in name}
    assert sum(refused.values()) == 3  # the same record once more is refused once more


async def _samples(app: Postel) -> dict[str, float]:
    answer = await app.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        sample.name + (f"{{{labels}}}" if labels else ""): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        for labels in [",".join(f'{name}="{text}"' for name, text in sorted(sample.labels.items()))]
    }
