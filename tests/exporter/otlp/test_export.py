"""Records as a codec reads them, written as OTLP/JSON: nothing is lost on the way."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from exporter.otlp import export
from exporter.otlp import records as r
from exporter.otlp.json import JsonCodec
from exporter.otlp.protobuf import ProtobufCodec
from tests.queries import otlp, samples

NOW = 1_767_225_600_000_000_000


def exported(
    codec: r.Codec, signal: str, groups: Iterable[r.ScopeRecords[Any]], refused: Callable[[r.Codec, Any], export.Json]
) -> export.Json:
    """One request of everything that a codec found in another one."""
    return export.request(
        signal,
        (
            (
                codec.resource(group.resource),
                group.resource_schema_url,
                [
                    (
                        codec.scope(group.scope),
                        group.scope_schema_url,
                        [refused(codec, record) for record in group.records],
                    )
                ],
            )
            for group in groups
        ),
    )


def read_and_exported(codec: r.Codec, signal: str, body: bytes) -> export.Json:
    if signal == "traces":
        return exported(codec, r.SPANS, codec.spans(body), export.refused_span)
    if signal == "logs":
        return exported(codec, r.LOGS, codec.logs(body), export.refused_log_record)
    return exported(codec, r.METRICS, codec.metrics(body), export.refused_metric)


@pytest.mark.parametrize("signal", otlp.REQUESTS)
def test_every_field(signal: str) -> None:
    sent = {"traces": samples.spans, "logs": samples.logs, "metrics": samples.metrics}[signal]("shop", NOW)
    from_protobuf = read_and_exported(ProtobufCodec(), signal, sent.SerializeToString())
    from_json = read_and_exported(JsonCodec(), signal, msgspec.json.encode(from_protobuf))
    # Encoded, as parts of JSON are kept as they came.
    assert msgspec.json.decode(msgspec.json.encode(from_json)) == from_protobuf
    assert otlp.records(otlp.parse(signal, from_protobuf)) == otlp.records(sent)


def test_what_has_its_default_is_left_out() -> None:
    empty = r.Span(b"", b"", b"", 0, 0, "", 0, (), (), (), b"", "", 0, 0, 0, 0)
    assert export.span(empty, [], [], [], r.Status()) == {}
    assert export.log_record(r.LogRecord(0, 0, 0, "", "", b"", (), b"", b"", 0, 0), [], None) == {}
    assert export.data_point(r.NumberDataPoint((), 0, 0, 0, (), None), []) == {}
    assert export.data_point(r.NumberDataPoint((), 0, 0, 0, (), 0), []) == {"asInt": "0"}
    assert export.metric(r.Metric("", "", "", (), 0, 0, False, ()), [], []) == {}
