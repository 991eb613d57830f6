"""The OpenTelemetry Python SDK as a sender of one record, which says how that went: `one SIGNAL`.

OTEL_EXPORTER_OTLP_ENDPOINT says where to.
"""

import json
import sys
import time

from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_FLUSH_MS = 90_000


def send_one(signal: str) -> bool:
    """Whether the SDK's flush says that one record of a signal went out."""
    if signal == "traces":
        tracing = TracerProvider()
        tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        tracing.get_tracer("sender").start_span("one").end()
        return tracing.force_flush(_FLUSH_MS)
    if signal == "logs":
        logging = LoggerProvider()
        logging.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        logging.get_logger("sender").emit(LogRecord(body="one"))
        return logging.force_flush(_FLUSH_MS)
    metering = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), 3_600_000)])
    metering.get_meter("sender").create_counter("one").add(1)
    return metering.force_flush(_FLUSH_MS)


if __name__ == "__main__":
    started = time.monotonic()
    flushed = send_one(sys.argv[2])
    print(json.dumps({"error": None if flushed else "not flushed", "seconds": time.monotonic() - started}))
