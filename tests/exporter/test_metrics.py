"""Data points as rows: all five types with everything they carry, and refusals alone."""

import asyncio
import math
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    SummaryDataPoint,
)

from exporter.sidecar import Sidecar
from exporter.slices import SLICE
from tests.exporter.sending import (
    NOW,
    attributes,
    gauge,
    metrics,
    point,
    run,
    send,
    sent,
    totals,
)
from tests.sql.rows import ask

MOST = 2**64 - 1


def test_numbers_keep_type_and_bits(store: str) -> None:
    values: list[Any] = [2**63 - 1, -(2**63), 0, 1.0, 5e-324, math.inf, -math.inf]
    empty = point(0)
    empty.ClearField("as_int")
    empty.time_unix_nano, empty.flags = NOW + 100, 2**32 - 1
    sent(store, metrics(gauge("g", *(point(value, NOW + i) for i, value in enumerate(values)), empty)))
    rows = ask(
        store,
        "SELECT value_int AS i, value_double AS d, flags FROM otel_metrics_data_points_number ORDER BY time_unix_nano",
    )
    assert [row["d"] if row["i"] is None else row["i"] for row in rows] == [*values, None]
    assert rows[-1]["flags"] == -1
    assert [type(row["d"]) for row in rows[:4]] == [type(None)] * 3 + [float]


def test_distributions_keep_what_they_carry(store: str) -> None:
    at: dict[str, Any] = {"time_unix_nano": NOW, "start_time_unix_nano": MOST, "flags": 1}
    few, wide, none, expo, summary = (Metric(name=name) for name in ("few", "wide", "none", "expo", "summary"))
    few.histogram.data_points.append(
        HistogramDataPoint(
            count=3, sum=0, min=-1, max=math.nan, bucket_counts=[1, 2], explicit_bounds=[-math.inf], **at
        )
    )
    wide.histogram.data_points.append(
        HistogramDataPoint(count=MOST, bucket_counts=[MOST, 2**31, 0], explicit_bounds=[2, 1], **at)
    )
    none.histogram.data_points.append(HistogramDataPoint(**at))
    buckets = ExponentialHistogramDataPoint.Buckets
    expo.exponential_histogram.data_points.append(
        ExponentialHistogramDataPoint(
            scale=-(2**31), zero_count=MOST, zero_threshold=0.5, count=MOST,
            positive=buckets(offset=2**31 - 1, bucket_counts=[1]), negative=buckets(bucket_counts=[2**40]), **at,
        )
    )  # fmt: skip
    values = [SummaryDataPoint.ValueAtQuantile(quantile=q, value=v) for q, v in ((0.5, 1.0), (1.0, math.inf))]
    summary.summary.data_points.append(SummaryDataPoint(count=MOST, sum=-0.0, quantile_values=values, **at))
    sent(store, metrics(few, wide, none, expo, summary))
    found = {row["name"]: row for row in ask(
        store,
        """SELECT m.name, p.*, s.explicit_bounds FROM otel_metrics_data_points_histogram AS p
        JOIN otel_metric_series_dim AS s USING (series_id) JOIN otel_metrics_dim AS m USING (metric_id)""",
    )}  # fmt: skip
    assert (found["few"]["sum"], found["few"]["min"], found["none"]["sum"]) == (0, -1, None)
    assert math.isnan(found["few"]["max"])
    assert (found["few"]["bucket_counts"], found["few"]["explicit_bounds"]) == ([1, 2], [-math.inf])
    assert (found["wide"]["bucket_counts"], found["wide"]["bucket_counts_wide"]) == (None, [-1, 2**31, 0])
    assert (found["wide"]["count"], found["wide"]["start_time_unix_nano"]) == (-1, -1)
    assert (found["none"]["bucket_counts"], found["none"]["explicit_bounds"]) == (None, None)
    row = ask(store, "SELECT * FROM otel_metrics_data_points_exp_histogram")[0]
    assert (row["scale"], row["positive_offset"], row["zero_count"], row["zero_threshold"]) == (
        -(2**31),
        2**31 - 1,
        -1,
        0.5,
    )
    assert (row["positive_bucket_counts"], row["negative_bucket_counts_wide"]) == ([1], [2**40])
    row = ask(
        store,
        """SELECT quantile_values, quantiles, sum FROM otel_metrics_data_points_summary
        JOIN otel_metric_series_dim USING (series_id)""",
    )[0]
    assert (row["quantile_values"], row["quantiles"]) == ([1, math.inf], [0.5, 1])
    assert math.copysign(1, row["sum"]) == -1


def test_what_a_series_is(store: str) -> None:
    """Bounds, unit, description and attributes make another series; the line stays the same for all but the last."""
    delta = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    total = Metric(name="m")
    total.sum.aggregation_temporality = delta
    total.sum.data_points.append(point(1))
    bodies = [
        metrics(gauge("m", point(1))),
        metrics(gauge("m", point(1), unit="s")),
        metrics(gauge("m", point(1), description="d")),
        metrics(gauge("m", point(1), metadata=attributes({"k": 1}))),
        metrics(gauge("m", point(1, has={"a": 1}))),
        metrics(gauge("m", point(1, has={"a": "1"}))),
        metrics(gauge("m", point(1)), resource={"service.name": "other"}),
        metrics(total),
    ]
    assert totals(sent(store, *bodies)) == (8, 0, 0)
    rows = ask(store, "SELECT count(*) AS n, count(DISTINCT identity_hash) AS lines FROM otel_metric_series_dim")
    assert rows == [{"n": 8, "lines": 5}]
    ordered = [point(2, NOW + 1, {"a": 1, "b": 2}), point(3, NOW + 2, {"b": 2, "a": 1})]
    sent(store, metrics(gauge("ordered", *ordered)))
    assert len(ask(store, "SELECT FROM otel_metric_series_dim")) == 9


def test_exemplars_stay_in_order_with_their_point(store: str) -> None:
    exemplars = [
        Exemplar(as_int=1, time_unix_nano=MOST, trace_id=b"\1" * 16, span_id=b"\xff" * 8),
        Exemplar(as_double=1, trace_id=b"\1", span_id=bytes(8), filtered_attributes=attributes({"nul\0": "a\0"})),
        Exemplar(),
    ]
    sent(store, metrics(gauge("g", point(1, exemplars=exemplars), point(1, 0, exemplars=exemplars[:1]))))
    rows = ask(store, "SELECT * FROM otel_exemplars WHERE time_unix_nano = $1 ORDER BY ordinal", NOW)
    assert [(row["value_int"], row["value_double"], row["span_id"]) for row in rows] == [
        (1, None, -1),
        (None, 1, None),
        (None, None, None),
    ]
    assert [row["trace_id"] is not None for row in rows] == [True, False, False]
    assert (rows[0]["exemplar_time_unix_nano"], rows[1]["attributes"]) == (-1, {"nul\x1a0": "a\x1a0"})
    assert len(ask(store, "SELECT FROM otel_exemplars")) == 4


def test_text_with_nul_is_kept(store: str) -> None:
    nul = "a\0b"
    given = gauge(nul, point(1, has={nul: nul}), unit=nul, description=nul, metadata=attributes({nul: nul}))
    assert totals(sent(store, metrics(given), metrics(given, gauge("other", point(1))))) == (2, 1, 0)
    row = ask(
        store,
        """SELECT name, unit, description, metadata, attributes
        FROM otel_metrics_dim JOIN otel_metric_series_dim USING (metric_id) WHERE unit <> ''""",
    )
    escaped = "a\x1a0b"
    assert list(row[0].values()) == [escaped] * 3 + [{escaped: escaped}] * 2


def test_metrics_without_points_are_nothing(store: str) -> None:
    assert totals(sent(store, metrics(Metric(name="m"), Metric(), gauge("g"), gauge("")))) == (0, 0, 0)


def test_limits_cut_attributes_and_values(store: str) -> None:
    many = {f"k{i:04}": i for i in range(30)} | {"k0000": "x" * 200}
    body = metrics(
        gauge("g", point(1, has=many)), gauge("h", point(1, exemplars=[Exemplar(filtered_attributes=attributes(many))]))
    )
    sent(store, body, MAX_ATTRIBUTES="20", MAX_ATTRIBUTE_VALUE_BYTES="100B")
    for table in ("otel_metric_series_dim", "otel_exemplars"):
        kept = ask(store, f"SELECT attributes FROM {table} WHERE attributes <> '{{}}'")[0]["attributes"]
        assert (len(kept), len(kept["k0000"])) == (20, 100)


def test_others_run_between_the_slices_of_one_metric(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    yields, sleep = 0, asyncio.sleep

    async def counted(delay: float) -> None:
        nonlocal yields
        yields += delay == 0
        await sleep(delay)

    async def session(running: Sidecar) -> int:
        monkeypatch.setattr(asyncio, "sleep", counted)
        outcome = await send(running, *metrics(gauge("g", *(point(1, NOW + i) for i in range(5 * SLICE)))))
        monkeypatch.setattr(asyncio, "sleep", sleep)
        return outcome.stored

    assert run(store, session) == 5 * SLICE
    assert yields == 4
