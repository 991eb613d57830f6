"""Spans that an SDK samples with consistent probability: adjusted counts estimate how many there were."""

from random import Random

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace._sampling_experimental import composable_traceid_ratio_based, composite_sampler
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from tests.queries.sending import get
from tests.running import Server

REQUESTS, FAILED_EVERY = 4000, 5


class Ids(IdGenerator):
    """Ids that are the same in every run."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def generate_span_id(self) -> int:
        return self._rng.getrandbits(64) | 1

    def generate_trace_id(self) -> int:
        return self._rng.getrandbits(128) | 1


def serve_requests(server: Server, service: str, share: float) -> None:
    """Root spans with a child each, of which a share is sampled and sent."""
    # Both spans of a trace are sampled or none: they share what is random. (Below composable_parent_threshold children
    # lack the threshold, as this SDK does not tell its samplers the parent's tracestate.)
    sampler = composite_sampler(composable_traceid_ratio_based(share))
    provider = TracerProvider(sampler, Resource({"service.name": service}), id_generator=Ids(Random(5)))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{server.url}/v1/traces"), max_queue_size=10_000))
    tracer = provider.get_tracer("sampled")
    for number in range(REQUESTS):
        root = tracer.start_span("GET /", kind=SpanKind.SERVER)
        if number % FAILED_EVERY == 0:
            root.set_status(Status(StatusCode.ERROR))
        tracer.start_span("work", set_span_in_context(root)).end()
        root.end()
    provider.shutdown()


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_adjusted_counts_estimate_what_there_was(server: Server, share: float) -> None:
    service = f"sampled-{share}"
    serve_requests(server, service, share)
    path = f"/api/services/{service}/operations"
    stored = {o["name"]: o for o in get(server, path, since="1h")["operations"]}
    adjusted = {o["name"]: o for o in get(server, path, since="1h", adjusted="true")["operations"]}
    for name, failed in (("GET /", REQUESTS / FAILED_EVERY), ("work", 0)):
        # Five standard deviations of how many are sampled, divided by the share.
        off = 5 * (REQUESTS * (1 - share) / share) ** 0.5
        assert adjusted[name]["calls"] == pytest.approx(REQUESTS, abs=off + 1e-3)
        assert adjusted[name]["calls"] == pytest.approx(stored[name]["calls"] / share, rel=1e-4)
        assert adjusted[name]["errors"] == pytest.approx(failed, abs=5 * (failed * (1 - share) / share) ** 0.5 + 1e-3)
        assert adjusted[name]["rate"] == pytest.approx(stored[name]["rate"] / share, rel=0.1)
    (span, *_) = get(server, "/api/spans", service=service, since="1h", limit="1")["spans"]
    assert span["trace_state"].startswith("ot=th:")
    assert span["adjusted_count"] == pytest.approx(1 / share, rel=1e-4)
