"""Every row of the bad-record table that concerns metrics: the odd one as its row says, the 999 around it stored.

Source: docs/ingest.md, "Bad records".
"""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from exporter.otlp.records import METRICS
from tests.exporter.sending import MALFORMED, NOW, attributes, field, gauge, point
from tests.faults.odd_records import (
    FAR_TIMES,
    ODD,
    TOKEN,
    TRACE_ID,
    Case,
    Store,
    as_json,
    check,
    each_way,
    grouped,
    name_of,
    new_store,
)

Buckets = ExponentialHistogramDataPoint.Buckets
U64_MAX = 2**64 - 1
GOOD = f"good {TOKEN}"


def case(odd: str, sent: Any = None, **expected: Any) -> Case:
    """A case of a metric."""
    return Case(odd=odd, signal=METRICS, sent=sent, **expected)


def metric(kind: str, *points: Any, **fields: Any) -> Metric:
    """The odd metric, of any type; `fields` are the type's."""
    made = Metric(name=ODD)
    data = getattr(made, kind)
    data.SetInParent()
    data.data_points.extend(points)
    for name, value in fields.items():
        setattr(data, name, value)
    return made


def histogram(**fields: Any) -> Metric:
    """A histogram of one point."""
    return metric("histogram", HistogramDataPoint(time_unix_nano=NOW, **fields), aggregation_temporality=2)


def exponential(**fields: Any) -> Metric:
    """An exponential histogram of one point."""
    odd = ExponentialHistogramDataPoint(time_unix_nano=NOW, **fields)
    return metric("exponential_histogram", odd, aggregation_temporality=1)


def summary(*pairs: tuple[float, float], **fields: Any) -> Metric:
    """A summary of one point."""
    quantiles = [SummaryDataPoint.ValueAtQuantile(quantile=q, value=v) for q, v in pairs]
    return metric("summary", SummaryDataPoint(time_unix_nano=NOW, quantile_values=quantiles, **fields))


def in_json(odd: str, says: str, records: int = 2, /, **fields: Any) -> Case:
    """A metric that is not of its type in JSON: its points are refused, told where, kept as they were sent."""
    sent = as_json(gauge(ODD, point(1), point(2, NOW + 1)), **fields)
    says = f"metrics[499]{says}"
    return case(odd, json=sent, refused="malformed", says=says, records=records)


def point_in_json(odd: str, kind: str = "gauge", says: str = "", /, **fields: Any) -> Case:
    """A point that is not of its type in JSON, beside a good one: refused alone, kept as it was sent."""
    bad = as_json(point(2, NOW + 1)) | fields
    good = (
        point(1) if kind in ("gauge", "sum") else {"histogram": HistogramDataPoint}[kind](time_unix_nano=NOW, count=1)
    )
    metric_of_both = metric(kind, good)
    sent = as_json(metric_of_both)
    sent[kind]["dataPoints"].append(bad)
    says = says or f"metrics[499]({ODD[:-4]}"
    kept = bad if says.startswith("metrics") else as_json(metric(kind)) | {kind: {"dataPoints": [bad]}}
    return case(
        odd,
        json=sent,
        stored=metric_of_both,
        records=2,
        rejected=1,
        refused="malformed",
        says=says,
        kept=kept,
    )


REFUSED = [
    case(
        "no name",
        gauge("", point(1), point(2, NOW + 1)),
        records=2,
        refused="no_metric_name",
        says="metric without a name",
    ),
    in_json("a name that is a number", ".name", name=5),
    in_json("points that are an object", "", 1, gauge={"dataPoints": {}}),
    in_json("a gauge that is a list", ".gauge", 1, gauge=[]),
    in_json("a bool that is a string", ".isMonotonic", sum={"isMonotonic": "true", "dataPoints": [{}, {}]}, gauge=None),
    in_json(
        "a temporality that the protocol does not know",
        ".aggregationTemporality",
        histogram={"aggregationTemporality": "DAILY", "dataPoints": [{}, {}]},
        gauge=None,
    ),
    in_json("metadata that are a string", ".metadata", metadata="none"),
    case(
        "metadata without an object",
        json=as_json(gauge(ODD, point(1), point(2, NOW + 1)), metadata=[5]),
        records=2,
        refused="malformed",
        says="malformed: a metric's metadata: ",
    ),
    case("a metric that is a number", json=5, refused="malformed", says="metrics[499]: "),
    point_in_json("a time that is a word", timeUnixNano="soon"),
    point_in_json("an int with a fraction", asInt="1.5"),
    point_in_json("an int of 2^63", asInt=2**63),
    point_in_json("attributes that are an object", attributes={"a": 1}),
    point_in_json("exemplars that are a word", exemplars="none"),
    point_in_json("a count of 2^64", "histogram", bucketCounts=[1, 2**64]),
    point_in_json("a bound that is a word", "histogram", explicitBounds=["low"]),
    point_in_json("an attribute without an object", "gauge", "a data point's attribute or exemplar: ", attributes=[5]),
    point_in_json("an exemplar that is a word", "gauge", "a data point's attribute or exemplar: ", exemplars=["none"]),
    *(
        case(
            f"{odd} that is no protobuf",
            wire=field(1, ODD.encode()) + field(5, field(1, point(1).SerializeToString()) + field(1, bad)),
            stored=gauge(ODD, point(1)),
            records=2,
            rejected=1,
            refused="malformed",
            says="malformed: a data point's attribute or exemplar: ",
        )
        for odd, bad in {
            "a point's attribute": point(2, NOW + 1).SerializeToString() + field(7, MALFORMED),
            "an exemplar": point(2, NOW + 1, exemplars=[Exemplar()]).SerializeToString() + field(5, MALFORMED),
        }.items()
    ),
    case(
        "metadata that are no protobuf",
        wire=gauge(ODD, point(1)).SerializeToString() + field(12, MALFORMED),
        refused="malformed",
        says="malformed: a metric's metadata: ",
    ),
]

IN_ANOTHER_FORM = [
    case(
        "a temporality by name",
        json={
            "name": ODD,
            "sum": {
                "aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA",
                "dataPoints": [{"timeUnixNano": NOW, "asInt": 1}],
            },
        },
        stored=metric("sum", point(1), aggregation_temporality=1),
        sanitised={"enum_name": 1},
    ),
    case(
        "null in the list of points",
        json={"name": ODD, "gauge": {"dataPoints": [None, as_json(point(1)), None]}},
        stored=gauge(ODD, point(1)),
    ),
    case("null in the list of metrics", json=None, records=0),
    case(
        "a key in snake_case",
        json={"name": ODD, "gauge": {"data_points": [], "dataPoints": [as_json(point(1))]}},
        stored=gauge(ODD, point(1)),
        says='ignored the JSON key "data_points"',
    ),
    case(
        "the word NaN",
        json={"name": ODD, "gauge": {"dataPoints": [{"timeUnixNano": str(NOW), "asDouble": "NaN"}]}},
        stored=gauge(ODD, point(math.nan)),
    ),
    case(
        "exemplars with ids in base64",
        json={
            "name": ODD,
            "gauge": {"dataPoints": [as_json(point(1), exemplars=[{"asInt": 1, "spanId": "AAAAAAAAA+g="}])]},
        },
        stored=gauge(ODD, point(1, exemplars=[Exemplar(as_int=1, span_id=(1000).to_bytes(8, "big"))])),
        sanitised={"base64_id": 1},
    ),
    case(
        "a description that is no UTF-8",
        wire=gauge(ODD, point(1), description="a@b").SerializeToString().replace(b"a@b", b"a\xffb"),
        stored=gauge(ODD, point(1), description="a\ufffdb"),
        sanitised={"invalid_utf8": 1},
    ),
]

UNCORRELATED = [
    case(
        f"exemplars with {odd} ids",
        gauge(ODD, point(1, exemplars=[Exemplar(as_int=5, trace_id=b"\1" * trace, span_id=b"\1" * span)])),
        stored=gauge(ODD, point(1, exemplars=[Exemplar(as_int=5)])),
        sanitised={"unreadable_id": 2},
    )
    for odd, trace, span in (("short", 15, 7), ("long", 17, 9))
] + [
    case(
        "exemplars with ids of zeros",
        gauge(ODD, point(1, exemplars=[Exemplar(as_double=5, trace_id=bytes(16), span_id=bytes(8))])),
        stored=gauge(ODD, point(1, exemplars=[Exemplar(as_double=5)])),
        sanitised={"unreadable_id": 2},
    ),
    case("an exemplar of a trace alone", gauge(ODD, point(1, exemplars=[Exemplar(trace_id=TRACE_ID)]))),
]

AS_SENT = [
    *(
        case(f"the value {value}", gauge(ODD, point(value)))
        for value in (math.nan, math.inf, -math.inf, -0.0, -(2**63))
    ),
    *(
        case(f"a time {odd}", gauge(ODD, point(1, time)), sanitised={"out_of_range_time": 1})
        for odd, time in FAR_TIMES.items()
    ),
    case("a start of 2^64-1", gauge(ODD, point(1, start_time_unix_nano=U64_MAX))),
    case("an exemplar's time of 2^64-1", gauge(ODD, point(1, exemplars=[Exemplar(time_unix_nano=U64_MAX)]))),
    case("no value", gauge(ODD, NumberDataPoint(time_unix_nano=NOW))),
    case("no value, and told so", gauge(ODD, NumberDataPoint(time_unix_nano=NOW, flags=1))),
    case(
        "U+0000",
        gauge(ODD, point(1, has={"a\0": "\0"}), unit="\0", description="\x1a0", metadata=attributes({"\0": 1})),
    ),
    case("no temporality", metric("sum", point(1), aggregation_temporality=0)),
    case("an unknown temporality", metric("sum", point(1), aggregation_temporality=77, is_monotonic=True)),
    case("too few counts", histogram(count=3, explicit_bounds=[1, 2, 3], bucket_counts=[3])),
    case("too many counts", histogram(count=6, explicit_bounds=[1], bucket_counts=[1, 2, 3])),
    case("counts without bounds", histogram(count=6, bucket_counts=[1, 2, 3])),
    case("bounds in disorder", histogram(explicit_bounds=[3, 1, 1], bucket_counts=[1, 2, 3, 4])),
    case("odd bounds", histogram(explicit_bounds=[-math.inf, -0.0, math.nan, math.inf], bucket_counts=[1] * 5)),
    case("sums that differ from the count", histogram(count=1, sum=-5, min=9, max=1, bucket_counts=[U64_MAX, 2])),
    case("a count of 2^64-1", histogram(count=U64_MAX, sum=math.nan, bucket_counts=[U64_MAX])),
    case("extreme scales", exponential(scale=-(2**31), positive=Buckets(offset=2**31 - 1, bucket_counts=[1]))),
    case(
        "extreme offsets",
        exponential(
            scale=2**31 - 1,
            zero_count=U64_MAX,
            zero_threshold=-0.0,
            negative=Buckets(offset=-(2**31), bucket_counts=[U64_MAX, 0]),
        ),
    ),
    case("odd quantiles", summary((2, math.nan), (-1, -0.0), (2, 1), count=U64_MAX, sum=math.inf)),
    case(
        "a value of 5 MB",
        gauge(ODD, point(1, has={"a": "x" * 2_000_000})),
        stored=gauge(ODD, point(1, has={"a": "x" * (1 << 20)})),
        sanitised={"truncated_attribute": 1},
    ),
]

FIRST = point(1, NOW + 1)
ONCE_MORE = [
    case("the same point again", gauge(GOOD, FIRST), known=1),
    case(
        "the same series and time with another value",
        gauge(GOOD, point(2, NOW + 1)),
        refused="conflict",
        says="the first is kept",
    ),
    case("the same with another unit", grouped(METRICS, gauge(ODD, FIRST), gauge(ODD, FIRST, unit="s")), records=2),
    case(
        "the same with another description",
        grouped(METRICS, gauge(ODD, FIRST), gauge(ODD, FIRST, description="d")),
        records=2,
    ),
    case(
        "points without a time",
        gauge(ODD, point(1, 0), point(1, 0), point(2, 0)),
        records=3,
        sanitised={"out_of_range_time": 3},
    ),
]

CASES = REFUSED + IN_ANOTHER_FORM + UNCORRELATED + AS_SENT + ONCE_MORE


@pytest.fixture(scope="module")
def store(server_url: str, template: str) -> Iterator[Store]:
    """The module's store."""
    with new_store(server_url, template) as made:
        yield made


@pytest.mark.parametrize(("odd", "media_type"), each_way(CASES), ids=name_of)
def test_the_odd_metric_suffers_alone(store: Store, odd: Case, media_type: str) -> None:
    check(store, odd, media_type)
