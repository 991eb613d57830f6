"""What a small shop sent between 09:20 and 09:30: the records that docs/api.md asks for, with ids that never change."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tests.queries.samples import attributes, value
from tests.running import Server

DECLINED, CART = "5b8efff798038103d269b633813fc60c", "0af7651916cd43dd8448eb211c80319c"
"""A trace in which a card is declined, and one in which all is well."""
ROOT_SPAN, ORDER_SPAN, CHARGE_SPAN = "eee19b7ec3c1b174", "b7ad6b7169203331", "00f067aa0ba902b7"

_SECOND, _MS = 1_000_000_000, 1_000_000
_PODS = {"frontend": "frontend-5c9f7", "checkout": "checkout-7d4b9"}
_SCOPE = InstrumentationScope(name="shop.instrumentation", version="1.4.0")
_INTERNAL, _SERVER, _CLIENT = 1, 2, 3
_ERROR = 2
_CUMULATIVE: Any = 2
_POST = {"http.request.method": "POST", "http.route": "/api/checkout", "http.response.status_code": 500}
_GET = {"http.request.method": "GET", "http.route": "/api/cart", "http.response.status_code": 200}
_SPANS: tuple[tuple[str, str, str, str, str, int, int, int, bool, Mapping[str, Any]], ...] = (
    ("frontend", DECLINED, ROOT_SPAN, "", "POST /api/checkout", _SERVER, 0, 480, True, _POST),
    (
        "frontend",
        DECLINED,
        "eee19b7ec3c1b175",
        "eee19b7ec3c1b174",
        "POST",
        _CLIENT,
        12,
        471,
        True,
        {"server.address": "checkout"},
    ),
    (
        "checkout",
        DECLINED,
        ORDER_SPAN,
        "eee19b7ec3c1b175",
        "POST /orders",
        _SERVER,
        15,
        468,
        True,
        {"http.request.method": "POST", "http.route": "/orders", "http.response.status_code": 402, "order.id": 4711},
    ),
    (
        "checkout",
        DECLINED,
        "b7ad6b7169203332",
        ORDER_SPAN,
        "INSERT orders",
        _CLIENT,
        20,
        58,
        False,
        {"db.system.name": "postgresql", "db.operation.name": "INSERT"},
    ),
    (
        "checkout",
        DECLINED,
        CHARGE_SPAN,
        ORDER_SPAN,
        "payment.Charge",
        _INTERNAL,
        61,
        455,
        True,
        {"payment.provider": "acme"},
    ),
    ("frontend", CART, "c8be7c825a934b7e", "", "GET /api/cart", _SERVER, 210_930, 210_962, False, _GET),
    (
        "frontend",
        CART,
        "c8be7c825a934b7f",
        "c8be7c825a934b7e",
        "SELECT cart",
        _CLIENT,
        210_934,
        210_951,
        False,
        {"db.system.name": "postgresql", "db.operation.name": "SELECT"},
    ),
)
"""Service, trace, id, parent, name, kind, from and to in ms after the first one, whether it failed, attributes."""
_LOGS: tuple[tuple[str, str, str, int, int, str, str, Mapping[str, Any]], ...] = (
    ("checkout", DECLINED, ORDER_SPAN, 18, 9, "", "order 4711 for 3 items", {"order.id": 4711}),
    (
        "checkout",
        DECLINED,
        CHARGE_SPAN,
        452,
        17,
        "payment.declined",
        "card declined: insufficient funds",
        {"order.id": 4711, "payment.provider": "acme"},
    ),
    ("frontend", DECLINED, ROOT_SPAN, 478, 13, "", "checkout failed, answered 500", {}),
    ("frontend", CART, "c8be7c825a934b7e", 210_960, 9, "", "cart has 3 items", {}),
    ("frontend", "", "", 215_000, 5, "", "cache of products renewed", {"cache.entries": 812}),
)
"""Service, trace, span, milliseconds after the first span, severity, event, body, attributes."""
_SLOW_REQUESTS = (
    ("/api/cart", "GET", (1, 1, 0, 2, 1, 1, 2, 0, 1, 1)),
    ("/api/checkout", "POST", (3, 2, 3, 4, 9, 21, 8, 3, 2, 3)),
)
"""Route, method, and requests a minute that took longer than 0.25 s."""


def send(server: Server, now: int) -> None:
    """Store the records as they were at 09:30, `now`."""
    first = now - 350 * _SECOND + 120 * _MS
    for signal, request in (("traces", _traces(first)), ("logs", _logs(first)), ("metrics", _metrics(now))):
        answer = server.post(signal, request.SerializeToString())
        assert (answer.status_code, answer.content) == (200, b"")


def _resource(service: str) -> Resource:
    named = {"service.name": service, "service.namespace": "shop", "k8s.pod.name": _PODS[service]}
    return Resource(attributes=attributes(named))


def _traces(first: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scopes = {}
    for service in _PODS:
        scopes[service] = request.resource_spans.add(resource=_resource(service)).scope_spans.add(scope=_SCOPE)
    for service, trace_id, span_id, parent, name, kind, begin, end, failed, given in _SPANS:
        span = scopes[service].spans.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=bytes.fromhex(span_id),
            parent_span_id=bytes.fromhex(parent),
            name=name,
            kind=kind,
            start_time_unix_nano=first + begin * _MS,
            end_time_unix_nano=first + end * _MS,
            attributes=attributes(dict(given)),
        )
        if failed:
            span.status.code = _ERROR  # type: ignore[assignment]
        if span_id == CHARGE_SPAN:
            span.status.message = "card declined"
            told = {"exception.type": "CardDeclined", "exception.message": "insufficient funds"}
            span.events.add(name="exception", time_unix_nano=first + 451 * _MS, attributes=attributes(told))
    return request


def _logs(first: int) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    scopes = {}
    for service in _PODS:
        scopes[service] = request.resource_logs.add(resource=_resource(service)).scope_logs.add(scope=_SCOPE)
    for service, trace_id, span_id, after, severity, event, body, given in _LOGS:
        scopes[service].log_records.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=bytes.fromhex(span_id),
            time_unix_nano=first + after * _MS,
            observed_time_unix_nano=first + (after + 1) * _MS,
            severity_number=severity,
            event_name=event,
            body=value(body),
            attributes=attributes(dict(given)),
        )
    return request


def _metrics(now: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    started = now - 3600 * _SECOND
    frontend = request.resource_metrics.add(resource=_resource("frontend")).scope_metrics.add(scope=_SCOPE)
    durations = frontend.metrics.add(
        name="http.server.request.duration", unit="s", description="Duration of HTTP server requests."
    ).histogram
    durations.aggregation_temporality = _CUMULATIVE
    for route, method, slow_ones in _SLOW_REQUESTS:
        counts, total = [0, 0, 0], 0.0
        for minute, slow in enumerate(slow_ones):
            counts = [counts[0] + 40, counts[1] + 8, counts[2] + slow]
            total += 2.5 + 0.4 * slow
            point = durations.data_points.add(
                start_time_unix_nano=started,
                time_unix_nano=now - (10 - minute) * 60 * _SECOND,
                count=sum(counts),
                sum=total,
                explicit_bounds=[0.05, 0.25],
                bucket_counts=counts,
                attributes=attributes({"http.request.method": method, "http.route": route}),
            )
    # The last one, of a checkout.
    exemplar = {"trace_id": bytes.fromhex(DECLINED), "span_id": bytes.fromhex(ROOT_SPAN)}
    point.exemplars.add(time_unix_nano=now - 349 * _SECOND - 400 * _MS, as_double=0.48, **exemplar)
    checkout = request.resource_metrics.add(resource=_resource("checkout")).scope_metrics.add(scope=_SCOPE)
    waiting = checkout.metrics.add(name="orders.waiting", unit="{order}", description="Orders not yet paid.").gauge
    for minute, orders in enumerate((2, 3, 3, 5, 8, 9, 7, 4, 3, 2)):
        waiting.data_points.add(time_unix_nano=now - (10 - minute) * 60 * _SECOND, as_int=orders)
    return request
