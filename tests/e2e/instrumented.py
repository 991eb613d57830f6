"""A small HTTP service and its client under the OpenTelemetry Python SDK, and what the SDK says that it sent."""

import asyncio
import logging
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from hypercorn.asyncio import serve
from hypercorn.config import Config
from msgspec import Struct
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    LogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

SERVICE = "checkout"
RESOURCE = Resource(
    {"service.name": SERVICE, "service.namespace": "shop", "host.cpus": 4, "process.argv": ["serve", "--fast"]},
    "https://opentelemetry.io/schemas/1.34.0",
)
_SCOPE = ("checkout.orders", "1.2.3")
_SCOPE_SCHEMA = "https://opentelemetry.io/schemas/1.30.0"


class Sent(Struct):
    """What went out, as the SDK's own in-memory exporters have it."""

    spans: list[ReadableSpan]
    logs: list[ReadableLogRecord]
    metrics: list[MetricsData]


class _MetricsBeside(MetricExporter):
    """An exporter of the SDK's, keeping what it is given: two readers would see two times and two sets of exemplars."""

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self.given: list[MetricsData] = []
        self._exporter = exporter

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **more: Any) -> MetricExportResult:
        self.given.append(metrics_data)
        return self._exporter.export(metrics_data, timeout_millis, **more)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **more: Any) -> None:
        self._exporter.shutdown(timeout_millis, **more)


class Exporters(Struct):
    """Where an SDK sends its three signals."""

    spans: SpanExporter
    logs: LogRecordExporter
    metrics: MetricExporter


def over_http(url: str) -> Exporters:
    """OTLP/HTTP, protobuf, to the paths below `url`."""
    return Exporters(
        OTLPSpanExporter(f"{url}/v1/traces"), OTLPLogExporter(f"{url}/v1/logs"), OTLPMetricExporter(f"{url}/v1/metrics")
    )


def over_grpc(address: str) -> Exporters:
    """OTLP/gRPC without TLS."""
    return Exporters(
        GrpcSpanExporter(address, insecure=True),
        GrpcLogExporter(address, insecure=True),
        GrpcMetricExporter(address, insecure=True),
    )


class _Sdk:
    """The three providers, sending by `exporters` and into memory."""

    def __init__(self, exporters: Exporters) -> None:
        self.spans, self.logs = InMemorySpanExporter(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.metrics = _MetricsBeside(exporters.metrics)
        self.tracing = TracerProvider(resource=RESOURCE)
        self.tracing.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracing.add_span_processor(BatchSpanProcessor(exporters.spans))
        self.logging = LoggerProvider(RESOURCE)
        self.logging.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        self.logging.add_log_record_processor(BatchLogRecordProcessor(exporters.logs))
        reader = PeriodicExportingMetricReader(self.metrics, export_interval_millis=3_600_000)
        self.metering = MeterProvider([reader], RESOURCE)
        with warnings.catch_warnings():
            # It moved to another distribution; what it sends is the same.
            warnings.simplefilter("ignore", DeprecationWarning)
            handler = LoggingHandler(logger_provider=self.logging)
        self.log = logging.Logger(SERVICE)
        self.log.addHandler(handler)

    def end(self) -> Sent:
        """Send what waits."""
        self.tracing.shutdown()
        self.logging.shutdown()
        self.metering.shutdown()
        logs = list(self.logs.get_finished_logs())
        return Sent(list(self.spans.get_finished_spans()), logs, self.metrics.given)


def _service(sdk: _Sdk) -> Any:
    tracer = sdk.tracing.get_tracer(*_SCOPE, _SCOPE_SCHEMA, {"team": "orders", "tier": 1})
    meter = sdk.metering.get_meter(*_SCOPE, _SCOPE_SCHEMA, {"team": "orders"})
    orders = meter.create_counter("orders", "{order}", "Orders taken")
    value = meter.create_histogram("order.value", "EUR", "What an order is worth")
    waiting = meter.create_up_down_counter("orders.waiting", "{order}")
    temperature = meter.create_gauge("cpu.temperature", "Cel")

    async def order(request: Request) -> Response:
        number = int(request.path_params["number"])
        with tracer.start_as_current_span(
            "place order", attributes={"order.number": number, "order.price": 9.5, "order.gift": number % 2 == 0}
        ) as span:
            with tracer.start_as_current_span("reserve", kind=SpanKind.PRODUCER, links=[_link(span)]) as inner:
                inner.add_event("reserved", {"items": ["book", "pen"], "weights": [1.5, 2.0]})
                inner.set_status(Status(StatusCode.OK))
            sdk.log.info("order %d placed", number, extra={"order.number": number, "order.tags": ["new", "gift"]})
            orders.add(1, {"gift": number % 2 == 0})
            value.record(number * 12.5, {"currency": "EUR"})
            waiting.add(-1 if number % 2 else 1)
            temperature.set(40.5 + number)
            if number == 3:
                sdk.log.error("order %d failed", number, exc_info=ValueError("sold out: größer"))
                raise ValueError("sold out: größer")
        return PlainTextResponse(f"order {number}")

    app = Starlette(routes=[Route("/orders/{number:int}", order)])
    return OpenTelemetryMiddleware(app, tracer_provider=sdk.tracing, meter_provider=sdk.metering)


def _link(span: Any) -> Link:
    return Link(span.get_span_context(), {"reason": "follows", "weight": 3})


@contextmanager
def _served(app: Any) -> Iterator[str]:
    """An ASGI application in a thread, on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = None
    loop, ended = asyncio.new_event_loop(), asyncio.Event()
    run = serve(app, config, shutdown_trigger=ended.wait)
    thread = threading.Thread(target=loop.run_until_complete, args=(run,))
    thread.start()
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def run_shop(exporters: Exporters) -> Sent:
    """Call the instrumented service a few times; everything goes out by `exporters`."""
    sdk = _Sdk(exporters)
    with _served(_service(sdk)) as address, httpx.Client(base_url=address, timeout=30) as client:
        HTTPXClientInstrumentor.instrument_client(client, sdk.tracing, sdk.metering)
        statuses = [client.get(f"/orders/{number}").status_code for number in range(4)]
        assert statuses == [200, 200, 200, 500]
        sdk.log.warning({"not": "a string", "depth": [1, {"two": 2.0}]})
    return sdk.end()
