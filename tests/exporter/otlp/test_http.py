"""Media types and answers, checked against the official messages."""

import json
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from exporter.errors import UnsupportedMediaType
from exporter.otlp.http import PATHS, Encoding, encoding, status, success
from exporter.otlp.records import LOGS, METRICS, SPANS

RESPONSES: dict[str, Any] = {
    SPANS: ExportTraceServiceResponse,
    LOGS: ExportLogsServiceResponse,
    METRICS: ExportMetricsServiceResponse,
}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("application/x-protobuf", Encoding.PROTOBUF),
        ("Application/X-Protobuf", Encoding.PROTOBUF),
        ("application/json; charset=utf-8", Encoding.JSON),
        (" application/JSON ;charset=UTF-8", Encoding.JSON),
    ],
)
def test_media_types_match_in_any_case_and_with_parameters(header: str, expected: Encoding) -> None:
    assert encoding(header) is expected


@pytest.mark.parametrize("header", ["", "text/plain", "application/protobuf", "application/jsonx", "json", ";"])
def test_other_media_types_are_refused(header: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="application/json"):
        encoding(header)


@pytest.mark.parametrize("signal", PATHS)
def test_full_success_leaves_partial_success_unset(signal: str) -> None:
    assert success(Encoding.PROTOBUF, signal) == b""
    assert success(Encoding.JSON, signal) == b"{}"


@settings(deadline=None)
@given(st.sampled_from(sorted(PATHS)), st.integers(0, 2**63 - 1), st.text())
def test_partial_success_is_what_the_official_message_says(signal: str, rejected: int, text: str) -> None:
    response = RESPONSES[signal].FromString(success(Encoding.PROTOBUF, signal, rejected, text))
    number, message = response.partial_success.DESCRIPTOR.fields
    assert getattr(response.partial_success, number.name) == rejected
    assert getattr(response.partial_success, message.name) == text
    assert json.loads(success(Encoding.JSON, signal, rejected, text)) == MessageToDict(response)


@settings(deadline=None)
@given(st.integers(0, 16), st.text())
def test_status_is_a_google_rpc_status(code: int, text: str) -> None:
    read = status_message().FromString(status(Encoding.PROTOBUF, code, text))
    assert (read.code, read.message) == (code, text)
    assert json.loads(status(Encoding.JSON, code, text)) == {"code": code, "message": text}
    assert status(None, code, text) == status(Encoding.PROTOBUF, code, text)


@pytest.mark.parametrize("text", ["x" * 10**6, "\x00" * 5000, "€" * 4094, "\ud800" * 4095])
@pytest.mark.parametrize("answer_in", Encoding)
def test_answers_stay_below_4_kib_and_are_cut_between_characters(text: str, answer_in: Encoding) -> None:
    for written in (success(answer_in, SPANS, 7, text), status(answer_in, 3, text)):
        assert 1000 < len(written) < 4096
    if answer_in is Encoding.PROTOBUF:
        assert (
            "\ufffd"
            not in RESPONSES[SPANS].FromString(success(answer_in, SPANS, 7, text)).partial_success.error_message
        )


def status_message() -> Any:
    """google.rpc.Status without its details, built here: googleapis-common-protos is not a dependency."""
    file = descriptor_pb2.FileDescriptorProto(name="test/status.proto", package="test", syntax="proto3")
    message = file.message_type.add(name="Status")
    message.field.add(name="code", number=1, type=5, label=1)
    message.field.add(name="message", number=2, type=9, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.Status"))
