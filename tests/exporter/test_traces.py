"""Spans as rows and as traces: each field kept, the rollup what the spans add up to, and refusals alone."""

from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.exporter.sending import (
    DAY,
    HOUR,
    NOW,
    SECOND,
    attributes,
    sent,
    span,
    spans,
    totals,
)
from tests.sql.rows import ask

ERROR = Status(code=Status.STATUS_CODE_ERROR)
PARENT = b"\0\0\0\0\0\0\0\1"


def test_rollup_is_what_the_spans_add_up_to_whatever_their_order(store: str) -> None:
    """The fixture compares every row with its recomputation."""
    earlier = NOW - HOUR
    bodies = [
        # The root comes last, and begins neither first nor in the first hour.
        spans(span(1, 3, NOW + 5, parent_span_id=PARENT), span(1, 2, NOW + 7, parent_span_id=PARENT, status=ERROR)),
        spans(span(1, 5, earlier - 1, parent_span_id=PARENT), span(1, 6, earlier, parent_span_id=PARENT)),
        spans(span(1, 1, NOW + 6, name="root"), resource={"service.name": "front"}),
        # Two roots, the later one first; an end before the start; a trace of one moment.
        spans(span(2, 2, NOW + 9)),
        spans(span(2, 1, NOW + 8, end_time_unix_nano=1), span(3, 1, NOW, end_time_unix_nano=NOW)),
        # Out of range: filed under the receipt, the duration stays.
        spans(
            span(4, 1, 0, end_time_unix_nano=7),
            span(4, 2, 2**64 - 9, end_time_unix_nano=2**64 - 2),
            span(4, 3, 2**63 - 5, end_time_unix_nano=2**63 + 5, parent_span_id=PARENT, status=ERROR),
            span(4, 4, NOW + 40 * 365 * DAY, end_time_unix_nano=0),
            span(4, 5, 1, end_time_unix_nano=2**64 - 1),
            span(5, 1, NOW, end_time_unix_nano=2**64 - 1),
        ),
        # The same spans again beside new ones.
        spans(span(2, 2, NOW + 9), span(2, 3, NOW + 1, parent_span_id=PARENT), span(3, 1, NOW, end_time_unix_nano=NOW)),
    ]
    assert totals(sent(store, *bodies, *bodies)) == (15, 19, 0)
    rows = ask(
        store,
        """SELECT t.trace_id::text AS trace, t.hour_unix_nano AS hour, t.start_time_unix_nano - $1 AS start,
            t.end_time_unix_nano - $1 AS end, s.name AS root, r.service_name AS service, t.span_count AS spans,
            t.error_count AS errors, t.has_root, cardinality(t.resource_ids) AS resources
        FROM otel_traces AS t JOIN otel_span_series_dim AS s ON s.series_id = t.root_series_id
        JOIN otel_resources_dim AS r ON r.resource_id = t.root_resource_id ORDER BY 1, 2""",
        NOW,
    )
    first = [list(row.values())[2:] for row in rows if row["trace"].endswith("1")]
    assert first == [
        [-HOUR - 1, SECOND - HOUR - 1, "work", "shop", 1, 0, False, 1],
        [-HOUR, SECOND - HOUR, "work", "shop", 1, 0, False, 1],
        [5, SECOND + 7, "root", "front", 3, 1, True, 2],
    ]
    second = next(row for row in rows if row["trace"].endswith("2"))
    assert (second["start"], second["end"], second["spans"]) == (1, SECOND + 9, 3)
    late = [row for row in rows if row["trace"].endswith("4")]
    assert sum(row["spans"] for row in late) == 5
    assert sum(row["errors"] for row in late) == 1


def test_text_with_nul_is_kept_everywhere(store: str) -> None:
    nul = "a\0b\x1a"
    has = {nul: nul, "list": [nul, {nul: nul}]}
    odd = span(1, 1, has=has, name=nul, trace_state=nul, status=Status(message=nul))
    odd.events.add(name=nul, attributes=attributes(has))
    odd.links.add(trace_id=b"\1", span_id=b"\2" * 8, trace_state=nul, attributes=attributes(has))
    again = span(2, 1, has=has)
    outcomes = sent(store, spans(odd, resource=has, scope=nul), spans(odd, again, resource=has, scope=nul))
    assert totals(outcomes) == (2, 1, 0), "the same when it is read back"
    escaped = "a\x1a0b\x1a1"
    stored = ask(
        store,
        """SELECT s.name, s.attributes, f.trace_state, f.status_message, e.name AS event, e.attributes AS on_event,
            l.trace_state AS link, l.attributes AS on_link, r.attributes AS resource, c.name AS scope
        FROM otel_spans_fact AS f JOIN otel_span_series_dim AS s USING (series_id)
        JOIN otel_span_events AS e USING (trace_id) JOIN otel_span_links AS l USING (trace_id)
        JOIN otel_resources_dim AS r USING (resource_id) JOIN otel_scopes_dim AS c USING (scope_id)""",
    )
    kept = {escaped: escaped, "list": [escaped, {escaped: escaped}]}
    assert [value for value in stored[0].values() if isinstance(value, dict)] == [kept] * 4
    assert {value for value in stored[0].values() if isinstance(value, str)} == {escaped}


def test_numbers_keep_all_their_bits(store: str) -> None:
    most = 2**32 - 1
    given = span(1, 1, NOW, flags=most, dropped_attributes_count=most, dropped_events_count=most, kind=2**31 - 1)
    given.dropped_links_count, given.parent_span_id = most, b"\xff" * 8
    given.events.add(time_unix_nano=2**64 - 1, dropped_attributes_count=most)
    given.links.add(flags=most, dropped_attributes_count=most)
    given.links.add(trace_id=b"\1" * 17)
    sent(store, spans(given))
    row = ask(store, "SELECT * FROM otel_spans_fact")[0]
    assert (row["flags"], row["dropped_attributes_count"], row["parent_span_id"]) == (-1, most, -1)
    assert (row["dropped_events_count"], row["dropped_links_count"]) == (most, most + 1)
    assert ask(store, "SELECT time_unix_nano AS t, dropped_attributes_count AS d FROM otel_span_events") == [
        {"t": -1, "d": most}
    ]
    assert ask(store, "SELECT flags, dropped_attributes_count AS d FROM otel_span_links") == [{"flags": -1, "d": most}]
    assert ask(store, "SELECT kind_id FROM otel_span_series_dim") == [{"kind_id": 2**31 - 1}]


def test_attributes_past_the_limit_are_counted_as_dropped(store: str) -> None:
    many = {f"k{i}": i for i in range(1_030)}
    given = span(1, 1, has=many, dropped_attributes_count=4)
    given.events.add(name="e", attributes=attributes(many))
    given.links.add(attributes=attributes(many), dropped_attributes_count=1)
    warm = span(1, 2, has={"warm": 1})
    sent(store, spans(warm, resource=many), spans(given, resource=many))
    counts = [
        ask(store, f"SELECT max(dropped_attributes_count) AS d FROM otel_{table}")[0]["d"]
        for table in ("spans_fact", "span_events", "span_links", "resources_dim")
    ]
    assert counts == [10, 6, 7, 6]
    kept = ask(store, "SELECT count(*) AS n FROM v_otel_spans_enriched, jsonb_object_keys(attributes) AS k (k)")
    assert kept == [{"n": 1_025}]
