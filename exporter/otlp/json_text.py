"""A JSON body made fit for the decoder: checked for UTF-8, rid of lone surrogates, searched for keys it will ignore.

Source: RFC 8259 section 8; opentelemetry-proto `docs/specification.md`, "JSON Protobuf Encoding" (lowerCamelCase only).
"""

import codecs
import re
from collections.abc import Iterator

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.errors import UndecodableBody
from exporter.otlp.records import Findings

MAX_WARNINGS = 8
"""Ignored keys named in one answer."""

WINDOW_BYTES = 1024 * 1024
"""Searched at once: `re` and the UTF-8 decoder let nobody else run meanwhile."""

_REPLACEMENT = rb"\ufffd"
_LONGEST_KEY_BYTES = 256
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A surrogate behind an odd run of backslashes; the look-behind starts at the run's first, so this stays linear.
_SURROGATES = re.compile(
    rb"\\(?<!\\\\)(?:\\\\)*+u[dD](?:[89abAB][0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)
# Patterns begin with a literal, which `re` skips to: this one runs over every body.
_SNAKE_HINT = re.compile(rb'_[a-z]*"\s*:')


def prepare(body: bytes, findings: Findings) -> bytes:
    """The body to decode; says in `findings` what was replaced and which keys will be ignored.

    Raises UndecodableBody where the body is not UTF-8.
    """
    if not body.isascii():
        body = body.removeprefix(_BYTE_ORDER_MARK)
        _check_utf8(body)
    if b"\\" in body and (b"\\ud" in body or b"\\uD" in body):
        body = _replace_lone_surrogates(body, findings)
    if b'"instrumentationLibrary' in body or any(_SNAKE_HINT.search(body, *window) for window in _windows(body)):
        findings.warnings.extend(_ignored_keys(body))
    return body


def _windows(body: bytes) -> Iterator[tuple[int, int]]:
    """Where parts of the body begin and end that overlap by the longest key."""
    for start in range(0, len(body), WINDOW_BYTES):
        yield start, start + WINDOW_BYTES + _LONGEST_KEY_BYTES


def _check_utf8(body: bytes) -> None:
    start = 0
    while start < len(body):
        end = start + WINDOW_BYTES
        try:
            # A character that is cut off at a window's end is read in the next one.
            start += codecs.utf_8_decode(body[start:end], "strict", end >= len(body))[1]
        except UnicodeDecodeError as error:
            raise UndecodableBody(f"the body is not UTF-8: {error.reason} at byte {start + error.start}") from None


def _replace_lone_surrogates(body: bytes, findings: Findings) -> bytes:
    lone = 0
    fixed = bytearray()
    for found in _SURROGATES.finditer(body):
        if not found[1]:
            # Escapes are all of one length: nothing moves.
            fixed = fixed or bytearray(body)
            fixed[found.end() - len(_REPLACEMENT) : found.end()] = _REPLACEMENT
            lone += 1
    if lone:
        findings.sanitise("lone_surrogate", lone)
    return bytes(fixed) or body


def _ignored_keys(body: bytes) -> Iterator[str]:
    found = {match[1].decode() for window in _windows(body) for match in _SUSPICIOUS.finditer(body, *window)}
    keys = sorted(key for key in found if key in _SNAKE or key.startswith("instrumentation"))
    for key in keys[:MAX_WARNINGS]:
        camel = _SNAKE.get(key)
        use = f'lowerCamelCase, "{camel}"' if camel else "scopes instead of instrumentation libraries"
        yield f'ignored the JSON key "{key}": OTLP/JSON has {use}'
    if len(keys) > MAX_WARNINGS:
        yield f"and {len(keys) - MAX_WARNINGS} more ignored keys"


def _snake_names() -> dict[str, str]:
    """Every field name of the three requests that is not its own JSON name, with that."""
    names: dict[str, str] = {}
    todo = [r.DESCRIPTOR for r in (ExportTraceServiceRequest, ExportLogsServiceRequest, ExportMetricsServiceRequest)]
    seen = set()
    while todo:
        message = todo.pop()
        if message.full_name not in seen:
            seen.add(message.full_name)
            names |= {f.name: f.camelcase_name for f in message.fields if f.name != f.camelcase_name}
            todo += [f.message_type for f in message.fields if f.message_type is not None]
    return names


_SNAKE = _snake_names()
_SUSPICIOUS = re.compile(rb'"(instrumentationLibrary[A-Za-z]*|instrumentation_library[a-z_]*|[a-z]+_[a-z_]+)"\s*:')
