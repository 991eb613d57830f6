"""A protobuf request at the endpoint of another signal is told where to go, and never stored as what it is not."""

import time

import pytest

from exporter.errors import UndecodableBody
from exporter.otlp.http import PATHS
from exporter.otlp.protobuf import ProtobufCodec
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.shop import Shop

SIGNALS = (SPANS, LOGS, METRICS)


def bodies() -> dict[str, bytes]:
    """A request of each signal, and of spans without names."""
    shop = Shop(1, start_unix_nano=time.time_ns())
    spans = next(shop.traces(20))
    found = {
        SPANS: spans.SerializeToString(),
        LOGS: next(shop.logs(20)).SerializeToString(),
        METRICS: next(shop.metrics(20)).SerializeToString(),
    }
    for resource in spans.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.ClearField("name")
    return {**found, f"{SPANS} without names": spans.SerializeToString()}


@pytest.mark.parametrize("endpoint", SIGNALS)
def test_another_signal_is_told_its_endpoint(endpoint: str) -> None:
    for kind, body in bodies().items():
        signal = kind.split(" ", 1)[0]
        codec = ProtobufCodec()
        if signal == endpoint:
            assert sum(len(scope.records) for scope in getattr(codec, endpoint)(body)) > 0
            continue
        with pytest.raises(UndecodableBody, match=PATHS[signal]):
            list(getattr(codec, endpoint)(body))


@pytest.mark.parametrize("endpoint", SIGNALS)
def test_nothing_is_of_any_signal(endpoint: str) -> None:
    assert list(getattr(ProtobufCodec(), endpoint)(b"")) == []
