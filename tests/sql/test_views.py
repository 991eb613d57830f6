"""The views of spans, logs and traces: the seed's columns, and what each says about a record."""

import json
from typing import Any

from tests.sql.rows import DAY, DIMENSIONS, HOUR, OTHER_TRACE, SECOND, TRACE, T, ask, insert, span

SEED_COLUMNS = {
    "v_otel_logs_enriched": "log_id time_unix_nano observed_time_unix_nano severity_number severity_text body trace_id "
    "span_id_hex resource_id service_name service_namespace scope_id scope_name scope_version attributes",
    "v_otel_traces": "trace_id start_time_unix_nano end_time_unix_nano duration_nanos span_count error_count "
    "root_span_name service_name service_namespace",
    "v_otel_spans_enriched": "span_id trace_id span_id_hex parent_span_id_hex name kind_id kind_name "
    "start_time_unix_nano end_time_unix_nano duration_nanos status_code_id status_name status_message resource_id "
    "service_name service_namespace scope_id scope_name attributes events links",
    "v_otel_metrics_number": "data_point_id metric_id metric_name unit metric_type time_unix_nano "
    "start_time_unix_nano value service_name service_namespace attributes",
}


def test_columns_of_the_seed_come_first(database_url: str) -> None:
    rows = ask(
        database_url,
        "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) AS columns "
        "FROM information_schema.columns WHERE table_name LIKE 'v_otel_%' GROUP BY table_name",
    )
    columns = {row["table_name"]: row["columns"] for row in rows}
    others = {"v_otel_metrics_enriched", "v_otel_exemplars", "v_otel_ingest_ledger", "v_otel_storage"}
    assert columns.keys() == {*SEED_COLUMNS, *others}
    for view, names in SEED_COLUMNS.items():
        assert columns[view][: len(names.split())] == names.split()
    number = columns["v_otel_metrics_number"]
    more = ["count", "sum", "min", "max", "buckets", "quantiles"]
    assert columns["v_otel_metrics_enriched"] == number + more


def test_every_view_says_what_it_shows(database_url: str) -> None:
    rows = ask(
        database_url,
        "SELECT obj_description(oid) AS comment FROM pg_class "
        "WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace",
    )
    assert len(rows) == 14
    assert all(row["comment"].endswith(".") for row in rows)


def one(url: str, view: str, given: str) -> dict[str, Any]:
    """The only row of a view after `given`."""
    [row] = ask(url, f"SELECT * FROM {view}", given=DIMENSIONS + given)
    return row


def test_span(database_url: str) -> None:
    given = span(
        0xB7AD6B7169203331 - 2**64,
        T,
        T + 5,
        parent_span_id=1,
        attributes={"http.status_code": 500, "user.id": "u1"},
        status_code_id=2,
        status_message="broke",
        trace_state="a=b",
        flags=-1,
        dropped_links_count=3,
    )
    row = one(database_url, "v_otel_spans_enriched", given)
    assert row["span_id"] == row["span_id_hex"] == "b7ad6b7169203331"
    assert (row["trace_id"], row["trace_key"].hex) == (TRACE, TRACE)
    assert row["parent_span_id_hex"] == "0000000000000001"
    assert (row["name"], row["kind_id"], row["kind_name"]) == ("GET /users", 2, "server")
    assert (row["start_time_unix_nano"], row["end_time_unix_nano"], row["duration_nanos"]) == (T, T + 5, 5)
    assert (row["status_code_id"], row["status_name"], row["status_message"]) == (2, "error", "broke")
    assert (row["service_name"], row["service_namespace"]) == ("api", "production")
    assert (row["scope_name"], row["scope_version"], row["scope_attributes"]) == ("http-lib", "1.2", {"lib": True})
    assert row["attributes"] == {"http.method": "GET", "http.status_code": 500, "user.id": "u1"}, "the row's own wins"
    assert row["resource_attributes"] == {"service.name": "api", "host.name": "a"}
    assert (row["flags"], row["trace_state"]) == (2**32 - 1, "a=b")
    assert (row["dropped_attributes_count"], row["dropped_events_count"], row["dropped_links_count"]) == (0, 0, 3)
    assert (row["events"], row["links"], row["sent_start_time_unix_nano"]) == ([], [], None)


def test_span_without_anything(database_url: str) -> None:
    row = one(database_url, "v_otel_spans_enriched", span(1, T, T, series=3, resource=3))
    assert (row["kind_id"], row["kind_name"]) == (9, None), "enums are open"
    assert (row["status_code_id"], row["status_name"], row["status_message"]) == (0, "unset", None)
    assert (row["service_name"], row["service_namespace"], row["parent_span_id_hex"]) == ("unknown_service", None, None)
    assert (row["attributes"], row["flags"]) == ({}, 0)


def test_span_times(database_url: str) -> None:
    """(sent start, end) as stored -> (sent start, end, duration) as shown; uint64 are stored as the same 64 bits."""
    cases: dict[tuple[int | None, int], tuple[int | None, int, int]] = {
        (None, T + 7): (None, T + 7, 7),
        (None, T - 1): (None, T - 1, 0),
        (0, 9): (0, 9, 9),
        (-5, -2): (2**64 - 5, 2**64 - 2, 3),
        (5, -2): (5, 2**64 - 2, 2**63 - 1),
        (-2, 5): (2**64 - 2, 5, 0),
    }
    given = "".join(span(n, T, end, sent_start_time_unix_nano=sent) for n, (sent, end) in enumerate(cases))
    rows = ask(
        database_url,
        "SELECT sent_start_time_unix_nano, end_time_unix_nano, duration_nanos FROM v_otel_spans_enriched "
        "ORDER BY span_id",
        given=DIMENSIONS + given,
    )
    assert [tuple(row.values()) for row in rows] == list(cases.values())


def test_events_and_links_in_their_order(database_url: str) -> None:
    key: dict[str, Any] = {"trace_id": TRACE, "span_id": 1, "start_time_unix_nano": T}
    link = {"linked_trace_id": r"\x01ab", "linked_span_id": r"\xff"}
    given = (
        span(1, T, T + 5)
        + span(1, T + 1, T + 5)
        + insert("otel_span_events", **key, ordinal=1, time_unix_nano=-1, name="late", attributes={"a": 1})
        + insert("otel_span_events", **key, ordinal=0, time_unix_nano=T, name="early", dropped_attributes_count=2)
        + insert("otel_span_links", **key, ordinal=1, **link, flags=-1, trace_state="x=y", attributes={"b": "c"})
        + insert("otel_span_links", **key, ordinal=0, linked_trace_id=r"\x", linked_span_id=r"\x")
    )
    first, second = ask(
        database_url,
        "SELECT events, links FROM v_otel_spans_enriched ORDER BY start_time_unix_nano",
        given=DIMENSIONS + given,
    )
    assert first["events"] == [
        {"name": "early", "time_unix_nano": T, "attributes": {}, "dropped_attributes_count": 2},
        {"name": "late", "time_unix_nano": 2**64 - 1, "attributes": {"a": 1}, "dropped_attributes_count": 0},
    ]
    nothing = {"attributes": {}, "dropped_attributes_count": 0}
    assert first["links"] == [
        {"trace_id": "", "span_id": "", "trace_state": None, "flags": 0} | nothing,
        {"trace_id": "01ab", "span_id": "ff", "trace_state": "x=y", "flags": 2**32 - 1}
        | nothing
        | {"attributes": {"b": "c"}},
    ]
    assert second == {"events": [], "links": []}, "the same ids at another time are another span"


def log(**columns: object) -> str:
    """The statement that inserts a log; `columns` beside or instead of the ones here."""
    usual = {"trace_key": TRACE, "time_unix_nano": T, "log_id": 2**53 - 1, "has_trace": True, "resource_id": 1}
    return insert("otel_logs_fact", **(usual | {"series_id": 1} | columns))


def test_log(database_url: str) -> None:
    row = one(
        database_url,
        "v_otel_logs_enriched",
        log(
            observed_time_unix_nano=-1,
            span_id=255,
            body="Failed to connect",
            attributes={"db.name": "users"},
            flags=-255,
            dropped_attributes_count=1,
        ),
    )
    assert (row["log_id"], row["time_unix_nano"], row["observed_time_unix_nano"]) == (2**53 - 1, T, 2**64 - 1)
    assert (row["severity_number"], row["severity_text"], row["severity_name"]) == (17, "ERROR", "ERROR")
    assert (row["body"], row["body_type_id"], row["event_name"]) == ("Failed to connect", 1, "db.failed")
    assert (row["trace_id"], row["span_id_hex"], row["span_id"]) == (TRACE, "00000000000000ff", "00000000000000ff")
    assert (row["service_name"], row["scope_name"], row["scope_version"]) == ("api", "http-lib", "1.2")
    assert row["attributes"] == {"error.type": "connection_error", "db.name": "users"}
    assert (row["flags"], row["trace_flags"], row["dropped_attributes_count"]) == (2**32 - 255, 1, 1)
    assert row["sent_time_unix_nano"] is None


def test_log_without_anything(database_url: str) -> None:
    made = "0193a1c0-0000-7000-8000-000000000001"
    given = log(trace_key=made, has_trace=False, sent_time_unix_nano=-3, series_id=2, resource_id=3)
    row = one(database_url, "v_otel_logs_enriched", given)
    assert (row["trace_id"], row["span_id_hex"], str(row["trace_key"])) == (None, None, made)
    assert (row["severity_number"], row["severity_name"]) == (30, None), "enums are open"
    assert (row["body"], row["body_type_id"], row["service_name"]) == (None, 0, "unknown_service")
    assert (row["sent_time_unix_nano"], row["observed_time_unix_nano"]) == (2**64 - 3, None)
    assert (row["flags"], row["trace_flags"], row["dropped_attributes_count"], row["attributes"]) == (0, 0, 0, {})


def test_log_bodies(database_url: str) -> None:
    kinds = {
        "null": "empty",
        "true": "bool",
        "5": "int",
        "-9223372036854775808": "int",
        "9223372036854775808": "double",
        "5.0": "double",
        '{"doubleValue": "NaN"}': "double",
        '{"bytesValue": "AAE="}': "bytes",
        "[1, null]": "array",
        "{}": "kvlist",
        '{"a": {"b": 1}}': "kvlist",
        '{"bytesValue": "AAE=", "a": 1}': "kvlist",
        '{"kvlistValue": {"values": []}}': "kvlist",
    }
    rows = ask(
        database_url,
        "SELECT l.body, b.name FROM v_otel_logs_enriched AS l JOIN log_body_types AS b USING (body_type_id) "
        "ORDER BY l.log_id",
        given=DIMENSIONS + "".join(log(log_id=n, body_other=stored) for n, stored in enumerate(kinds)),
    )
    assert [(row["body"], row["name"]) for row in rows] == [(json.loads(body), kind) for body, kind in kinds.items()]


def test_stored_form_of_nul_is_shown(database_url: str) -> None:
    row = one(database_url, "v_otel_logs_enriched", log(body="a\x1a0b", attributes={"k\x1a0": "\x1a1"}))
    assert row["body"] == "a\x1a0b"
    assert row["attributes"] == {"error.type": "connection_error", "k\x1a0": "\x1a1"}


def hour(number: int, **columns: object) -> str:
    """The statement that inserts the rollup of one span, an hour `number` after T; `columns` instead of that."""
    start = T + number * HOUR
    usual = {
        "trace_id": TRACE,
        "hour_unix_nano": start,
        "start_time_unix_nano": start,
        "end_time_unix_nano": start + 1,
        "root_start_time_unix_nano": start,
        "root_span_id": number + 1,
        "root_series_id": 1,
        "root_resource_id": 1,
        "span_count": 1,
        "error_count": 0,
        "has_root": False,
        "resource_ids": [1],
    }
    return insert("otel_traces", **(usual | columns))


def test_trace(database_url: str) -> None:
    row = one(database_url, "v_otel_traces", hour(0, has_root=True, span_count=4, resource_ids=[3, 1]))
    assert (row["trace_id"], row["trace_key"].hex) == (TRACE, TRACE)
    assert (row["start_time_unix_nano"], row["end_time_unix_nano"], row["duration_nanos"]) == (T, T + 1, 1)
    assert (row["span_count"], row["error_count"], row["status"]) == (4, 0, "ok")
    assert (row["root_span_name"], row["root_span_kind"], row["root_span_id"]) == ("GET /users", "server", f"{1:016x}")
    assert (row["service_name"], row["service_namespace"]) == ("api", "production")
    assert (row["services"], row["has_root"]) == (["api", "unknown_service"], True)


def test_trace_over_midnight_is_one_row(database_url: str) -> None:
    """The root came in the second hour: a clock that runs ahead, or a parent that was sent late."""
    later = {"root_series_id": 2, "root_resource_id": 2, "resource_ids": [2, 1], "has_root": True}
    given = (
        hour(23, error_count=1, end_time_unix_nano=T + 30 * HOUR)
        + hour(24, span_count=2, error_count=2, **later)
        + hour(24, trace_id=OTHER_TRACE)
    )
    rows = ask(database_url, "SELECT * FROM v_otel_traces ORDER BY start_time_unix_nano", given=DIMENSIONS + given)
    assert [row["trace_id"] for row in rows] == [TRACE, OTHER_TRACE]
    assert (rows[0]["start_time_unix_nano"], rows[0]["end_time_unix_nano"]) == (T + 23 * HOUR, T + 30 * HOUR)
    assert (rows[0]["duration_nanos"], rows[0]["span_count"], rows[0]["error_count"]) == (7 * HOUR, 3, 3)
    assert (rows[0]["root_span_name"], rows[0]["root_span_kind"]) == ("query", "client")
    assert (rows[0]["service_name"], rows[0]["services"], rows[0]["status"]) == ("db", ["api", "db"], "error")


def test_trace_without_root_shows_its_earliest_span(database_url: str) -> None:
    given = hour(3, root_series_id=2) + hour(5, root_resource_id=2)
    row = one(database_url, "v_otel_traces", given)
    assert (row["root_span_name"], row["service_name"], row["has_root"]) == ("query", "api", False)


def test_trace_filters_look_at_the_whole_trace(database_url: str) -> None:
    given = hour(0) + hour(2, error_count=1, resource_ids=[2]) + hour(0, trace_id=OTHER_TRACE)
    rows = ask(
        database_url,
        "SELECT trace_id FROM v_otel_traces WHERE duration_nanos > $1 AND status = 'error' AND 'db' = ANY (services)",
        HOUR,
        given=DIMENSIONS + given,
    )
    assert [row["trace_id"] for row in rows] == [TRACE]


def test_window_reads_its_partitions_only(database_url: str) -> None:
    """Every column is asked for, so that no part of a view is optimised away."""
    given = DIMENSIONS + "".join(span(n, T + n * DAY, T) + log(time_unix_nano=T + n * DAY) for n in range(3))
    for view in (
        "v_otel_spans_enriched",
        "v_otel_logs_enriched",
        "v_otel_metrics_number",
        "v_otel_metrics_enriched",
        "v_otel_exemplars",
    ):
        time = "start_time_unix_nano" if view == "v_otel_spans_enriched" else "time_unix_nano"
        window = f"{time} >= {T + DAY} AND {time} < {T + DAY + 60 * SECOND}"
        query = f"SELECT * FROM {view} WHERE {window} ORDER BY {time} DESC LIMIT 50"
        read = relations_read(database_url, query, given)
        assert {name.rpartition("_p")[2] for name in read if "_p2026" in name} == {"20260102t00"}, view
        given = ""


def test_trace_key_is_indexed(database_url: str) -> None:
    given = DIMENSIONS
    for view in ("v_otel_spans_enriched", "v_otel_logs_enriched", "v_otel_traces", "v_otel_exemplars"):
        statement = f"EXPLAIN (FORMAT JSON) SELECT * FROM {view} WHERE trace_key = '{TRACE}'"
        [row] = ask(database_url, statement, given=given + "SET enable_seqscan = off")
        conditions = [node.get("Index Cond", "") for node in nodes(json.loads(row["QUERY PLAN"])[0]["Plan"])]
        assert any(TRACE[:8] in condition for condition in conditions), view
        given = ""


def relations_read(url: str, statement: str, given: str) -> set[str]:
    """The tables that a statement really reads: pruning may happen as late as when it runs."""
    [row] = ask(url, f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", given=given)
    plan = nodes(json.loads(row["QUERY PLAN"])[0]["Plan"])
    return {node["Relation Name"] for node in plan if "Relation Name" in node and node["Actual Loops"]}


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes of a plan."""
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]
