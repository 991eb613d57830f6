"""The shop is reproducible and its telemetry hangs together."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from exporter.shop import POINTS_PER_SCRAPE, RECORDS_PER_VISIT, Shop

START = 1_760_000_000_000_000_000


@pytest.fixture(scope="module")
def shop() -> Shop:
    """The shop as it is by default."""
    return Shop(start_unix_nano=START)


@pytest.fixture(scope="module")
def spans(shop: Shop) -> list[Span]:
    """The spans of about 1,000 visits."""
    return [span for request in islice(shop.traces(), 14) for span in spans_in(request)]


@pytest.fixture(scope="module")
def records(shop: Shop) -> list[LogRecord]:
    """Log records of about 700 visits."""
    return [record for request in islice(shop.logs(), 3) for record in logs_in(request)]


@pytest.fixture(scope="module")
def points(shop: Shop) -> list[tuple[str, Metric, Any]]:
    """(pod, metric, point) of five scrapes and more."""
    return [found for request in islice(shop.metrics(), 5) for found in points_in(request)]


def spans_in(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def logs_in(request: ExportLogsServiceRequest) -> Iterator[LogRecord]:
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            yield from scope.log_records


def points_in(request: ExportMetricsServiceRequest) -> Iterator[tuple[str, Metric, Any]]:
    for resource in request.resource_metrics:
        pod = attribute(resource.resource.attributes, "k8s.pod.name")
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                    yield pod, metric, point


def attribute(attributes: Any, key: str) -> str:
    return next((str(pair.value.string_value) for pair in attributes if pair.key == key), "")


@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
def test_same_seed_same_bytes(signal: str) -> None:
    def body(seed: int) -> bytes:
        request = next(getattr(Shop(seed, start_unix_nano=START), signal)(200))
        return bytes(request.SerializeToString(deterministic=True))

    assert body(7) == body(7)
    assert body(7) != body(8)


def test_streams_begin_afresh_and_go_on(shop: Shop) -> None:
    first, second = islice(shop.traces(300), 2)
    assert next(shop.traces(300)) == first
    assert first != second


@pytest.mark.parametrize("size", [1, 250])
def test_requests_have_the_size_asked_for(shop: Shop, size: int) -> None:
    assert [sum(1 for _ in spans_in(request)) for request in islice(shop.traces(size), 2)] == [size] * 2
    assert [sum(1 for _ in logs_in(request)) for request in islice(shop.logs(size), 2)] == [size] * 2
    assert [sum(1 for _ in points_in(request)) for request in islice(shop.metrics(size), 2)] == [size] * 2


def test_requests_are_grouped_by_resource_and_scope(shop: Shop) -> None:
    request = next(shop.traces())
    pods = [attribute(r.resource.attributes, "k8s.pod.name") for r in request.resource_spans]
    assert len(pods) == len(set(pods)) > 20
    for resource in request.resource_spans:
        assert 12 <= len(resource.resource.attributes) <= 18
        scopes = [(scope.scope.name, scope.scope.version) for scope in resource.scope_spans]
        assert len(scopes) == len(set(scopes))


def test_span_ids_are_unique(spans: list[Span]) -> None:
    assert len({(span.trace_id, span.span_id) for span in spans}) == len(spans)
    assert {len(span.trace_id) for span in spans} == {16}
    assert {len(span.span_id) for span in spans} == {8}


def test_span_trees_are_well_formed(spans: list[Span]) -> None:
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    # The last visit goes on in the next request.
    whole = [span for span in spans if span.trace_id != spans[-1].trace_id]
    roots = Counter(span.trace_id for span in whole if not span.parent_span_id)
    assert set(roots.values()) == {1}
    assert set(roots) == {span.trace_id for span in whole}
    for span in whole:
        assert START <= span.start_time_unix_nano < span.end_time_unix_nano
        if span.parent_span_id:
            parent = by_id[span.trace_id, span.parent_span_id]
            assert parent.start_time_unix_nano <= span.start_time_unix_nano
            # A consumer works after its producer is done.
            assert span.kind == Span.SPAN_KIND_CONSUMER or span.end_time_unix_nano <= parent.end_time_unix_nano


def test_consumers_link_to_producers(spans: list[Span]) -> None:
    producers = {(s.trace_id, s.span_id) for s in spans if s.kind == Span.SPAN_KIND_PRODUCER}
    links = [link for s in spans if s.kind == Span.SPAN_KIND_CONSUMER for link in s.links]
    assert links
    assert {(link.trace_id, link.span_id) for link in links} <= producers


def test_spans_are_shaped_like_a_demo_shop(spans: list[Span]) -> None:
    traces = Counter(span.trace_id for span in spans)
    assert 10 < len(spans) / len(traces) < 20
    assert max(traces.values()) > 30
    assert 7 < sum(len(span.attributes) for span in spans) / len(spans) < 10
    failed = [span for span in spans if span.status.code == Status.STATUS_CODE_ERROR]
    assert 0.015 < len(failed) / len(spans) < 0.04
    assert all(span.status.message for span in failed)
    exceptions = [event for span in failed for event in span.events if event.name == "exception"]
    assert all(attribute(event.attributes, "exception.stacktrace").count("\n") > 4 for event in exceptions)
    assert exceptions
    keys = {pair.key for span in spans for pair in span.attributes}
    assert keys >= {"http.method", "http.request.method", "http.route", "url.full", "db.statement", "rpc.method"}
    assert keys >= {"messaging.system", "app.order.id", "session.id", "user_agent.original", "thread.id"}


def test_users_are_the_cardinality(spans: list[Span]) -> None:
    def users(found: list[Span]) -> set[str]:
        return {attribute(span.attributes, "app.user.id") for span in found} - {""}

    few = Shop(start_unix_nano=START, users=5)
    assert len(users(list(spans_in(next(few.traces(2_000)))))) == 5
    assert len(users(spans)) > 300


def test_logs_point_at_spans(spans: list[Span], records: list[LogRecord]) -> None:
    ids = {(span.trace_id, span.span_id) for span in spans}
    correlated = [record for record in records if record.trace_id]
    assert {(record.trace_id, record.span_id) for record in correlated} <= ids
    assert 0.8 < len(correlated) / len(records) < 1


def test_logs_are_varied(records: list[LogRecord]) -> None:
    severities = Counter(record.severity_text for record in records)
    assert set(severities) == {"DEBUG", "INFO", "WARN", "ERROR"}
    assert severities["INFO"] > len(records) / 2
    assert {record.body.WhichOneof("value") for record in records} == {"string_value", "kvlist_value"}
    assert any(record.event_name for record in records)
    assert 4 < sum(len(record.attributes) for record in records) / len(records) < 7
    assert all(record.time_unix_nano < record.observed_time_unix_nano for record in records)


def test_all_types_of_metrics(points: list[tuple[str, Metric, Any]]) -> None:
    metrics = [metric for _, metric, _ in points]
    assert {metric.WhichOneof("data") for metric in metrics} == {
        "gauge",
        "sum",
        "histogram",
        "exponential_histogram",
        "summary",
    }
    cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    delta = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    sums = {(m.sum.aggregation_temporality, m.sum.is_monotonic) for m in metrics if m.HasField("sum")}
    assert sums == {(cumulative, True), (cumulative, False), (delta, True)}


def test_histograms_add_up(points: list[tuple[str, Metric, Any]]) -> None:
    for _, metric, point in points:
        if metric.HasField("histogram"):
            assert sum(point.bucket_counts) == point.count
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        if metric.HasField("exponential_histogram"):
            assert sum(point.positive.bucket_counts) == point.count


def test_series_repeat_and_counters_grow(points: list[tuple[str, Metric, Any]]) -> None:
    series: dict[tuple[str, str, bytes], list[Any]] = {}
    for pod, metric, point in points:
        attributes = b"".join(pair.SerializeToString() for pair in point.attributes)
        series.setdefault((pod, metric.name, attributes), []).append(point)
    assert len(series) == pytest.approx(3 * POINTS_PER_SCRAPE, rel=0.05)
    for (_, name, _), found in series.items():
        times = [point.time_unix_nano for point in found]
        assert times == sorted(set(times))
        if name == "k8s.pod.network.io":
            values = [point.as_int for point in found]
            assert values == sorted(values)
            assert len({point.start_time_unix_nano for point in found}) == 1
        if name == "app.orders.placed":
            # A delta begins where the one before it ended.
            assert [point.start_time_unix_nano for point in found[1:]] == times[:-1]
    assert max(len(found) for found in series.values()) >= 5


def test_exemplars_point_at_spans(spans: list[Span], points: list[tuple[str, Metric, Any]]) -> None:
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    exemplars = [e for _, metric, point in points if metric.HasField("histogram") for e in point.exemplars]
    assert len(exemplars) > 50
    for exemplar in exemplars:
        assert by_id[exemplar.trace_id, exemplar.span_id].end_time_unix_nano == exemplar.time_unix_nano


def test_pods_are_the_resources() -> None:
    request = next(Shop(start_unix_nano=START, pods=1).metrics(POINTS_PER_SCRAPE * 2))
    assert len(request.resource_metrics) == 15


def test_signals_come_in_the_order_of_their_times(shop: Shop) -> None:
    signals = Counter(signal for signal, _ in islice(shop.requests(records=100), 60))
    assert set(signals) == {"traces", "logs", "metrics"}
    assert signals["traces"] / signals["logs"] == pytest.approx(14 / (RECORDS_PER_VISIT - 14), rel=0.3)
    only = {signal for signal, _ in islice(shop.requests(["logs"], 10), 3)}
    assert only == {"logs"}


def test_time_moves_with_the_visits() -> None:
    fast = Shop(start_unix_nano=START, visits_per_second=1_000)
    last = max(span.end_time_unix_nano for span in spans_in(next(fast.traces(2_000))))
    assert last - START < 2e9
