"""The check path: records that come back in other bodies are known, and others under the same key are refused."""

import asyncio
import json
import math
import time
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from exporter.batch import Outcome
from exporter.otlp.http import Encoding
from exporter.sidecar import Sidecar
from tests.exporter.sending import (
    NOW,
    SECOND,
    attributes,
    gauge,
    metrics,
    point,
    run,
    send,
    sent,
    span,
    spans,
    totals,
)
from tests.sql.rows import ask

ODD = {
    "integral": 5.0,
    "nan": math.nan,
    "inf": -math.inf,
    "minus zero": -0.0,
    "large": 1.5e300,
    "past int64": 1e20,
    "tiny": 5e-324,
    "bytes": b"\0\1",
    "list": [1, 1.0, True, "1", None, {"a": b"x"}],
    "map": {"stringValue": 1},
    "nul\0": "a\0b\x1a",
    "most": 2**63 - 1,
    "least": -(2**63),
    "long": "z\0" * 5000,
    "empty": {},
    "x" * 5000: "long key",
}
"""Attributes that are stored in another form than sent, or hardly fit."""


def full_span(**fields: Any) -> Span:
    """A span that has everything, but for `fields`."""
    event = Span.Event(name="e\0", time_unix_nano=5, attributes=attributes(ODD), dropped_attributes_count=2**32 - 1)
    link = Span.Link(
        trace_id=b"\1" * 16, span_id=b"\2" * 8, attributes=attributes(ODD), flags=2**32 - 1, trace_state="x"
    )
    given: dict[str, Any] = {
        "events": [event, Span.Event(name="f")],
        "links": [link, Span.Link()],
        "flags": 2**32 - 1,
        "kind": 3,
        "trace_state": "a\0",
        "parent_span_id": b"\xff" * 8,
        "status": Status(code=Status.STATUS_CODE_ERROR, message="no\0"),
        "dropped_attributes_count": 2**32 - 1,
        "dropped_events_count": 1,
        "dropped_links_count": 2,
        "has": ODD,
    }
    return span(1, 1, **(given | fields))


def events(*names: str) -> list[Span.Event]:
    return [Span.Event(name=name, time_unix_nano=NOW) for name in names]


def count(url: str, table: str) -> int:
    """The rows of a table."""
    return int(ask(url, f"SELECT count(*) AS n FROM {table}")[0]["n"])


def test_a_span_that_comes_back_in_another_body_is_known(store: str) -> None:
    reordered = full_span(has=dict(reversed(ODD.items())))
    outcomes = sent(store, spans(full_span()), spans(full_span(), span(2, 2)), spans(span(3, 3), reordered))
    assert [(o.stored, o.deduplicated, o.rejected) for o in outcomes] == [(1, 0, 0), (1, 1, 0), (1, 1, 0)]
    assert (count(store, "otel_spans_fact"), count(store, "otel_span_events")) == (3, 2)
    assert (count(store, "otel_span_links"), count(store, "otel_rejected_records")) == (2, 0)


def test_any_difference_is_a_conflict(store: str) -> None:
    base = full_span()
    more = events("g")
    first, second = base.events
    others = [
        full_span(name="other"),
        full_span(kind=2),
        full_span(end_time_unix_nano=NOW + 1),
        full_span(flags=1),
        full_span(trace_state="b"),
        full_span(parent_span_id=b""),
        full_span(status=Status(code=Status.STATUS_CODE_OK, message="no\0")),
        full_span(status=Status(code=Status.STATUS_CODE_ERROR)),
        full_span(dropped_attributes_count=1),
        full_span(dropped_events_count=2),
        full_span(dropped_links_count=1),
        *(full_span(has=ODD | {"integral": value}) for value in (5, "5.0", True, None, [5.0])),
        full_span(has=ODD | {"more": 1}),
        full_span(has={key: value for key, value in ODD.items() if key != "nan"}),
        full_span(has=ODD | {"long": "z\0" * 4999}),
        full_span(events=[first]),
        full_span(events=[second, first]),
        full_span(events=[first, second, *more]),
        full_span(events=[first, Span.Event(name="f", time_unix_nano=1)]),
        full_span(events=[first, Span.Event(name="f", attributes=attributes({"a": 1}))]),
        full_span(links=[]),
        full_span(links=[base.links[1], base.links[0]]),
        full_span(links=[base.links[0], Span.Link(flags=1)]),
        full_span(links=[base.links[0], Span.Link(span_id=b"\1")]),
    ]
    bodies = [spans(other) for other in others]
    bodies += [spans(base, resource={"service.name": "other"}), spans(base, scope="other")]
    outcomes = sent(store, spans(base), *bodies)
    assert [(o.stored, o.rejected) for o in outcomes] == [(1, 0), *([(0, 1)] * len(bodies))]
    assert all(o.message.startswith("1 conflict: ") for o in outcomes[1:])
    refused = ask(store, "SELECT reason, sum(count)::int AS n FROM otel_rejected_records GROUP BY reason")
    assert refused == [{"reason": "conflict", "n": len(bodies)}]
    assert ask(store, "SELECT name FROM v_otel_spans_enriched") == [{"name": "work"}], "the first is kept"


def test_the_same_ids_with_another_start_are_another_span(store: str) -> None:
    outcomes = sent(store, spans(span(1, 1)), spans(span(1, 1, NOW + 1), span(1, 1, NOW - 1)))
    assert totals(outcomes) == (3, 0, 0)


def test_of_two_under_one_key_in_a_body_the_first_is_kept_with_its_own_children(store: str) -> None:
    """The children of the second used to be stored as the first's."""
    long = span(1, 1, events=events("a", "b", "c"))
    conflict, same, bare = sent(
        store,
        spans(span(1, 1, events=events("a")), long),
        spans(span(2, 1, events=events("a")), span(2, 1, events=events("a"))),
        spans(span(3, 1), span(3, 1, events=events("a"))),
    )
    assert (conflict.stored, conflict.deduplicated, conflict.rejected) == (1, 0, 1)
    assert (same.stored, same.deduplicated, same.rejected) == (1, 1, 0)
    assert (bare.stored, bare.deduplicated, bare.rejected) == (1, 0, 1)
    stored = ask(store, "SELECT trace_id::text AS trace, name FROM otel_span_events ORDER BY 1, ordinal")
    assert [(row["trace"][-1], row["name"]) for row in stored] == [("1", "a"), ("2", "a")]


def test_duplicates_that_meet_in_one_group_are_the_same(store: str) -> None:
    """Their children used to be taken together, so that none was the same as what is stored."""
    twice = span(1, 1, events=events("a", "b"))
    gauged = gauge("g", point(1, exemplars=[Exemplar(as_int=1), Exemplar(as_int=2)]))

    async def session(running: Sidecar) -> list[Outcome]:
        outcomes = [await send(running, *spans(twice)), await send(running, *metrics(gauged))]
        bodies = [spans(twice, span(i, 1)) for i in (2, 3)] + [spans(span(4, 1), twice, twice)]
        bodies += [metrics(gauged, gauge(f"g{i}", point(1))) for i in range(3)]
        return outcomes + await asyncio.gather(*(send(running, *body) for body in bodies))

    outcomes = run(store, session)
    assert totals(outcomes) == (8, 7, 0)
    assert (count(store, "otel_span_events"), count(store, "otel_exemplars")) == (2, 2)


def test_a_span_is_the_same_wherever_its_attributes_lie(store: str) -> None:
    """The key leaves the series between the first time and the second."""
    settings = {"VERDICT_MIN_DISTINCT": "2", "VERDICT_MAX_DISTINCT": "100"}
    once = span(1, 1, has={"user.id": "u", "kept": "k"})

    async def session(running: Sidecar) -> list[Outcome]:
        outcomes = [await send(running, *spans(once))]
        assert running.ingest.traces.cardinality.high == set()
        await send(running, *spans(*(span(2, i + 1, has={"user.id": f"u{i}"}) for i in range(20))))
        assert running.ingest.traces.cardinality.high == {"user.id"}
        outcomes.append(await send(running, *spans(once, span(3, 1))))
        other = span(1, 1, has={"user.id": "v", "kept": "k"})
        return [*outcomes, await send(running, *spans(other))]

    assert [(o.stored, o.deduplicated, o.rejected) for o in run(store, session, settings)] == [
        (1, 0, 0),
        (1, 1, 0),
        (0, 0, 1),
    ]


def test_clamped_records_are_known_by_the_time_they_were_sent_with(store: str) -> None:
    times = [0, 1, 1 << 62, 2**63, 11651379494838206464, 2**64 - 1, NOW + 400 * 86_400 * SECOND]
    late = [span(1, 1, at, end_time_unix_nano=min(at + 7, 2**64 - 1), events=events("a")) for at in times]
    gauges = [gauge("g", *(point(1, at) for at in times[1:]))]
    outcomes = sent(
        store,
        spans(*late),
        spans(*late, span(2, 2)),
        spans(span(1, 1, 0, events=events("b"))),
        metrics(*gauges),
        metrics(*gauges, gauge("h", point(1))),
        metrics(gauge("g", point(2, 1))),
    )
    assert [(o.stored, o.deduplicated, o.rejected) for o in outcomes] == [
        (7, 0, 0),
        (1, 7, 0),
        (0, 0, 1),
        (6, 0, 0),
        (1, 6, 0),
        (0, 0, 1),
    ]
    rows = ask(store, "SELECT sent_start_time_unix_nano AS t FROM otel_spans_fact WHERE span_id = 1")
    assert sorted(row["t"] % 2**64 for row in rows) == sorted(times)


def test_points_at_time_zero_have_no_key(store: str) -> None:
    body, other = metrics(gauge("g", point(1, 0))), metrics(gauge("g", point(1, 0)), gauge("h", point(1)))
    assert [o.stored for o in sent(store, body, body, other)] == [1, 0, 2]


def test_a_record_that_aged_out_of_the_window_is_still_known(store: str) -> None:
    """It used to be stored again, under the time of its receipt."""

    async def session(running: Sidecar) -> list[Outcome]:
        old = span(1, 1, time.time_ns() - SECOND), gauge("g", point(1, time.time_ns() - SECOND))
        bodies = [spans(old[0]), metrics(old[1]), spans(old[0], span(2, 2)), metrics(old[1], gauge("h", point(1, 1)))]
        outcomes = [await send(running, *body) for body in bodies[:2]]
        await asyncio.sleep(1.1)
        return outcomes + [await send(running, *body) for body in bodies[2:]]

    outcomes = run(store, session, {"ACCEPT_PAST": "2s"})
    assert [(o.stored, o.deduplicated) for o in outcomes] == [(1, 0), (1, 0), (1, 1), (1, 1)]


def five_types(value: float = 1.5) -> list[Metric]:
    """A metric of each type, with exemplars where there can be some."""
    exemplar = Exemplar(time_unix_nano=NOW, as_double=value, trace_id=b"\1" * 16, filtered_attributes=attributes(ODD))
    by_type = [Metric(name=name) for name in ("gauge", "sum", "histogram", "exponential", "summary")]
    at: dict[str, Any] = {"time_unix_nano": NOW, "attributes": attributes(ODD)}
    number = NumberDataPoint(as_double=value, exemplars=[exemplar], flags=1, **at)
    by_type[0].gauge.data_points.append(number)
    by_type[1].sum.data_points.append(number)
    by_type[2].histogram.data_points.append(
        HistogramDataPoint(
            count=2, sum=value, min=0, bucket_counts=[1, 2**40], explicit_bounds=[0.5], exemplars=[exemplar], **at
        )
    )
    buckets = ExponentialHistogramDataPoint.Buckets(offset=-3, bucket_counts=[1, 2])
    by_type[3].exponential_histogram.data_points.append(
        ExponentialHistogramDataPoint(count=2, sum=value, scale=2, zero_count=1, positive=buckets, **at)
    )
    quantile = SummaryDataPoint.ValueAtQuantile(quantile=0.5, value=value)
    by_type[4].summary.data_points.append(SummaryDataPoint(count=1, sum=5, quantile_values=[quantile], **at))
    return by_type


def test_points_of_every_type_are_known_and_conflict(store: str) -> None:
    nan = gauge("nan", point(math.nan))
    outcomes = sent(
        store,
        metrics(*five_types(), nan),
        metrics(*five_types(), nan, gauge("more", point(1))),
        metrics(*five_types(2.5)),
    )
    assert [(o.stored, o.deduplicated, o.rejected) for o in outcomes] == [(6, 0, 0), (1, 6, 0), (0, 0, 5)]
    assert count(store, "otel_exemplars") == 3


def test_both_encodings_say_the_same(store: str) -> None:
    point_json = {"timeUnixNano": str(NOW), "count": "1", "sum": 5, "min": 5, "bucketCounts": ["1"]}
    span_json = {"traceId": f"{1:032x}", "spanId": f"{1:016X}", "name": "work", "startTimeUnixNano": NOW}
    service = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    scoped: dict[str, Any] = {"scope": {"name": "lib"}, "spans": [span_json | {"endTimeUnixNano": NOW + SECOND}]}
    metric = {"name": "h", "histogram": {"dataPoints": [point_json]}}
    bodies = {
        "spans": {"resourceSpans": [{"resource": service, "scopeSpans": [scoped]}]},
        "metrics": {"resourceMetrics": [{"resource": service, "scopeMetrics": [{"metrics": [metric]}]}]},
    }
    histogram = Metric(name="h")
    histogram.histogram.data_points.append(
        HistogramDataPoint(time_unix_nano=NOW, count=1, sum=5, min=5, bucket_counts=[1])
    )

    async def session(running: Sidecar) -> list[Outcome]:
        outcomes = [await send(running, *spans(span(1, 1))), await send(running, *metrics(histogram))]
        for signal, body in bodies.items():
            outcomes.append(await send(running, signal, json.dumps(body).encode(), Encoding.JSON))
        return outcomes

    assert totals(run(store, session)) == (2, 2, 0)
