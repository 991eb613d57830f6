"""Tells a request of another signal, which protobuf by itself would take for a strange one of this signal.

The envelopes of the three signals are the same on the wire. What differs is the first field of a record: 16 bytes of a
span, a fixed64 of a log record, the name of a metric.
"""

from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exporter.errors import UndecodableBody
from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS

_RECORDS: dict[str, Any] = {SPANS: Span, LOGS: LogRecord, METRICS: Metric}


def looks_right(signal: str, record: Any) -> bool:
    """A cheap look at a parsed record: whether it need not be checked."""
    if signal == SPANS:
        return len(record.trace_id) == 16
    if signal == LOGS:
        return bool(record.time_unix_nano or record.observed_time_unix_nano)
    return record.WhichOneof("data") is not None


def check_signal(signal: str, record: bytes) -> None:
    """Raises UndecodableBody, naming the right endpoint, where a record is one of another signal."""
    if not _is(signal, record):
        for other in _RECORDS:
            if other != signal and _is(other, record):
                raise UndecodableBody(f"the body holds {other}: send it to {PATHS[other]}")


def _is(signal: str, record: bytes) -> bool:
    """Whether the bytes are a record of the signal, with nothing left over."""
    try:
        message = _RECORDS[signal].FromString(record)
    except DecodeError:
        return False
    if len(UnknownFieldSet(message)):
        return False
    if signal == SPANS:
        return len(message.trace_id) == 16
    return signal == LOGS or (bool(message.name) and message.WhichOneof("data") is not None)
