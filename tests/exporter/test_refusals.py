"""What a refused or cut record leaves behind: itself in quarantine, and nothing anywhere else."""

import json
from pathlib import Path

from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exporter import promotion
from exporter.batch import Outcome
from exporter.otlp.http import Encoding
from exporter.sidecar import Sidecar
from tests.exporter.sending import (
    MALFORMED,
    NOW,
    enveloped,
    field,
    metrics,
    run,
    send,
    sent,
    span,
    spans,
)
from tests.sql.rows import ask


def test_a_cut_value_is_counted_once(store: str) -> None:
    sent(store, spans(span(1, 1, has={"k": "x" * 200})), MAX_ATTRIBUTE_VALUE_BYTES="100B")
    assert ask(store, "SELECT dropped_attributes_count AS d FROM otel_spans_fact") == [{"d": 1}]


def test_a_refused_span_leaves_no_events(store: str) -> None:
    bad = span(1, 1, events=[Span.Event(name="e")]).SerializeToString() + field(13, MALFORMED)
    sent(store, ("spans", enveloped(bad)))
    assert ask(store, "SELECT FROM otel_span_events") == []


def test_a_secret_is_in_no_message(store: str, tmp_path: Path) -> None:
    overrides = tmp_path / "o.yaml"
    overrides.write_text("drop:\n  span_events: [password]\n")
    event = {"attributes": [{"key": "password", "value": {"bytesValue": "hunter2!"}}]}
    one = {"traceId": f"{1:032x}", "spanId": f"{1:016x}", "events": [event]}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}).encode()

    async def session(running: Sidecar) -> Outcome:
        return await send(running, "spans", body, Encoding.JSON)

    outcome = run(store, session, lists=promotion.load(overrides=overrides))
    assert "hunter2" not in str(ask(store, "SELECT message FROM otel_rejected_records")), outcome


def test_a_bound_of_minus_zero_is_another_series(store: str) -> None:
    both = Metric(name="h")
    for i, bound in enumerate((0.0, -0.0)):
        both.histogram.data_points.append(HistogramDataPoint(time_unix_nano=NOW + i, explicit_bounds=[bound]))
    sent(store, metrics(both))
    assert len(ask(store, "SELECT FROM otel_metric_series_dim")) == 2
