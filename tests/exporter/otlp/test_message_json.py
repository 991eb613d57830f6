"""Messages as OTLP/JSON, checked against protobuf's own JSON where the two agree."""

import json
import math
from itertools import islice

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exporter.otlp.message_json import message_to_json
from exporter.shop import POINTS_PER_SCRAPE, Shop


def test_ids_are_hex_and_other_bytes_base64() -> None:
    span = Span(trace_id=b"\xab" * 16, span_id=b"\x01" * 8, parent_span_id=b"\x02" * 8)
    assert json.loads(message_to_json(span)) == {"traceId": "ab" * 16, "spanId": "01" * 8, "parentSpanId": "02" * 8}
    assert message_to_json(AnyValue(bytes_value=b"\xff\xfe")) == b'{"bytesValue":"//4="}'


def test_what_is_set_to_zero_is_said() -> None:
    assert message_to_json(AnyValue(int_value=0)) == b'{"intValue":"0"}'
    assert message_to_json(AnyValue(bool_value=False)) == b'{"boolValue":false}'
    assert message_to_json(NumberDataPoint()) == b"{}"


def test_doubles_that_json_has_not() -> None:
    for value, text in ((math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")):
        assert json.loads(message_to_json(AnyValue(double_value=value))) == {"doubleValue": text}


def test_metrics_agree_with_protobuf_s_own_json() -> None:
    for request in islice(Shop(start_unix_nano=10**18, pods=1).metrics(POINTS_PER_SCRAPE), 2):
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.histogram.data_points:
                        # Ids are where they differ.
                        point.ClearField("exemplars")
        ours = json.loads(message_to_json(request))
        assert ours == MessageToDict(request, use_integers_for_enums=True)
        assert ParseDict(ours, type(request)()) == request
