"""What JSONB baselines and the seed's make of parts of a record: official protobuf messages to what JSON can hold."""

from collections.abc import Iterable
from struct import Struct as Packing
from typing import Any

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

encode = msgspec.json.Encoder().encode
signed = Packing(">q").unpack
"""A span id as (bigint,)."""
METRIC_TYPES = {"gauge": 1, "sum": 2, "histogram": 3, "exponential_histogram": 4, "summary": 5}


def value(of: AnyValue) -> Any:
    """A value as JSON has it; bytes are base64."""
    kind = of.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in of.array_value.values]
    if kind == "kvlist_value":
        return values(of.kvlist_value.values)
    return getattr(of, kind) if kind else None


def values(pairs: Iterable[Any]) -> dict[str, Any]:
    """Attributes as an object."""
    # Nearly every value is a string or an integer: asking for these first is a sixth of the decoding time.
    found = {}
    for pair in pairs:
        of = pair.value
        kind = of.WhichOneof("value")
        if kind == "string_value":
            found[pair.key] = of.string_value
        elif kind == "int_value":
            found[pair.key] = of.int_value
        else:
            found[pair.key] = value(of)
    return found


def attributes(pairs: Iterable[Any]) -> bytes:
    """Attributes as JSON."""
    return encode(values(pairs))


def exemplars(of: Iterable[Any]) -> bytes:
    """Exemplars as JSON."""
    return encode(
        [
            {
                "time_unix_nano": exemplar.time_unix_nano,
                "value": getattr(exemplar, exemplar.WhichOneof("value")),
                "trace_id": exemplar.trace_id.hex(),
                "span_id": exemplar.span_id.hex(),
                "attributes": values(exemplar.filtered_attributes),
            }
            for exemplar in of
        ]
    )


def quantiles(point: Any) -> list[dict[str, float]]:
    """The quantiles of a summary's point."""
    return [{"quantile": item.quantile, "value": item.value} for item in point.quantile_values]


def temporality(kind: str, data: Any) -> int | None:
    """The aggregation temporality of a metric's data, where its type has one."""
    return data.aggregation_temporality if 1 < METRIC_TYPES[kind] < 5 else None


def is_monotonic(kind: str, data: Any) -> bool | None:
    """Whether a sum only grows; None of other types."""
    return data.is_monotonic if kind == "sum" else None
