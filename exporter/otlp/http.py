"""What OTLP/HTTP asks of requests and answers beside their records: media types, paths, response messages.

Source: opentelemetry-proto `docs/specification.md`, "OTLP/HTTP", and `collector/*/v1/*_service.proto`;
googleapis `google/rpc/status.proto`.
"""

from collections.abc import Callable
from enum import Enum

import msgspec

from exporter.errors import UnsupportedMediaType
from exporter.otlp.records import LOGS, METRICS, SPANS

PATHS = {SPANS: "/v1/traces", LOGS: "/v1/logs", METRICS: "/v1/metrics"}

MAX_RESPONSE_BYTES = 4095
"""Senders read answers of up to 4 KiB."""

_REJECTED = {SPANS: "rejectedSpans", LOGS: "rejectedLogRecords", METRICS: "rejectedDataPoints"}


class Encoding(Enum):
    """The encoding of a request and of its answer; the value is the answer's Content-Type, exactly."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def encoding(content_type: str) -> Encoding:
    """The encoding that a Content-Type header names, in any case and with any parameters.

    Raises UnsupportedMediaType.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        return Encoding(media_type)
    except ValueError:
        raise UnsupportedMediaType(
            f"Content-Type {content_type[:100]!r}: use application/x-protobuf or application/json"
        ) from None


def success(answer_in: Encoding, signal: str, rejected: int = 0, message: str = "") -> bytes:
    """The Export*ServiceResponse of `signal` (SPANS, LOGS, METRICS), less than 4 KiB.

    Full success (nothing rejected, no message) leaves partial_success unset: b"" or {}. A `message` without
    `rejected` is a warning. A message too long is cut.
    """
    if not rejected and not message:
        return b"" if answer_in is Encoding.PROTOBUF else b"{}"
    if answer_in is Encoding.PROTOBUF:
        return _fitted(lambda text: _delimited(1, _number_and_text(rejected, text)), message)
    return _fitted(lambda text: _success_json(_REJECTED[signal], rejected, text), message)


def status(answer_in: Encoding | None, code: int, message: str) -> bytes:
    """A google.rpc.Status of less than 4 KiB; `code` is a google.rpc.Code. Protobuf where none is known."""
    if answer_in is Encoding.JSON:
        return _fitted(lambda text: msgspec.json.encode({"code": code, "message": text}), message)
    return _fitted(lambda text: _number_and_text(code, text), message)


def _fitted(write: Callable[[str], bytes], message: str) -> bytes:
    # Messages may quote what was sent: lone surrogates have no UTF-8.
    message = message.encode(errors="replace").decode()
    written = write(message)
    while len(written) > MAX_RESPONSE_BYTES:
        message = message[: min(len(message), MAX_RESPONSE_BYTES) * 3 // 4] + "…"
        written = write(message)
    return written


def _success_json(rejected_name: str, rejected: int, message: str) -> bytes:
    # Protobuf's JSON mapping: 64-bit integers are strings, and what is unset is left out.
    partial = {rejected_name: str(rejected)} if rejected else {}
    if message:
        partial["errorMessage"] = message
    return msgspec.json.encode({"partialSuccess": partial})


def _number_and_text(number: int, text: str) -> bytes:
    """A protobuf message {1: integer, 2: string}: both google.rpc.Status and every Export*PartialSuccess."""
    head = b"\x08" + _varint(number) if number else b""
    return head + (_delimited(2, text.encode()) if text else b"")


def _delimited(field: int, content: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    low = number & 127
    return bytes((low,)) if low == number else bytes((low | 128,)) + _varint(number >> 7)
