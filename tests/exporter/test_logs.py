"""Log records as rows: bodies of every kind, every one of them kept, filed under the time that they have."""

from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from exporter.batch import Outcome
from exporter.sidecar import Sidecar
from tests.exporter.sending import (
    DAY,
    NOW,
    SECOND,
    any_value,
    log,
    logs,
    run,
    send,
    sent,
    totals,
)
from tests.sql.rows import ask


def test_bodies_of_every_kind(store: str) -> None:
    values: list[Any] = ["text", "", "a\0b", True, 7, 2**63 - 1, 1.0, b"\0", [1, None], {"a": [1.5]}, {}, [], None]
    sent(store, logs(*(log(value, NOW + i) for i, value in enumerate(values)), LogRecord(time_unix_nano=NOW + 99)))
    rows = ask(store, "SELECT body, body_other FROM otel_logs_fact ORDER BY time_unix_nano")
    assert [row["body"] for row in rows] == ["text", "", "a\x1a0b"] + [None] * 11
    assert [row["body_other"] for row in rows[3:]] == [
        True, 7, 2**63 - 1, 1.0, {"bytesValue": "AA=="}, [1, None], {"a": [1.5]}, {}, [], None, None,
    ]  # fmt: skip


def test_identical_records_are_all_kept_and_told_apart(store: str) -> None:
    sent(store, logs(*[log("same")] * 50), logs(*[log("same", trace_id=b"\1" * 16)] * 50))
    assert ask(store, "SELECT count(*) AS n, count(DISTINCT log_id) AS ids FROM otel_logs_fact") == [
        {"n": 100, "ids": 100}
    ]


def test_a_record_is_filed_under_the_time_that_it_has(store: str) -> None:
    far = [1, NOW - 365 * DAY, NOW + 365 * DAY, 2**63, 2**64 - 1]
    given = [log("own", NOW, observed_time_unix_nano=NOW + 5), log("observed", 0, observed_time_unix_nano=NOW + 6)]
    given += [log("far", at) for at in far] + [
        log("far observed", 0, observed_time_unix_nano=2**64 - 1),
        log("none", 0),
    ]
    assert totals(sent(store, logs(*given))) == (9, 0, 0)
    rows = ask(store, "SELECT body, time_unix_nano AS filed, sent_time_unix_nano AS sent FROM otel_logs_fact")
    found = {row["body"]: (row["filed"] - NOW, row["sent"]) for row in rows if row["body"] in ("own", "observed")}
    assert found == {"own": (0, None), "observed": (6, 0)}
    receipts = [row["filed"] for row in rows if row["body"] not in found]
    assert len(set(receipts)) == 7
    assert all(0 <= receipt - NOW < 3 * 3600 * SECOND for receipt in receipts)
    assert sorted(row["sent"] % 2**64 for row in rows if row["body"] == "far") == sorted(far)
    assert all(row["sent"] == 0 for row in rows if row["body"] in ("none", "far observed"))


def test_ids_correlate_where_they_are_usable(store: str) -> None:
    ids = [(b"\1" * 16, b"\2" * 8), (b"\1" * 16, b""), (bytes(16), bytes(8)), (b"\1" * 15, b"\2" * 9), (b"", b"\2" * 8)]
    sent(store, logs(*(log(str(i), trace_id=trace, span_id=span) for i, (trace, span) in enumerate(ids))))
    rows = ask(store, "SELECT has_trace, span_id, trace_key::text AS key FROM otel_logs_fact ORDER BY body")
    assert [(row["has_trace"], row["span_id"] is not None) for row in rows] == [
        (True, True), (True, False), (False, False), (False, False), (False, True),
    ]  # fmt: skip
    assert rows[0]["key"] == rows[1]["key"]


def test_every_field_is_kept(store: str) -> None:
    most = 2**32 - 1
    has = {"nul\0": "a\0", "n": 1}
    head: dict[str, Any] = {"severity_text": "s\0", "event_name": "e\0", "severity_number": 2**31 - 1}
    given = log("b", has=has, flags=most, dropped_attributes_count=most, observed_time_unix_nano=2**64 - 1, **head)
    sent(store, logs(given, log("b", has=has, severity_text="S", severity_number=9)))
    row = ask(
        store,
        """SELECT severity_number, severity_text, event_name, s.attributes, flags, dropped_attributes_count,
        observed_time_unix_nano FROM otel_logs_fact JOIN otel_log_series_dim AS s USING (series_id) WHERE flags = -1""",
    )
    assert list(row[0].values()) == [2**31 - 1, "s\x1a0", "e\x1a0", {"nul\x1a0": "a\x1a0", "n": 1}, -1, most, -1]
    assert ask(store, "SELECT count(*) AS n FROM otel_log_series_dim") == [{"n": 2}]


def test_limits_hold_wherever_a_key_lies_but_a_body_is_never_cut(store: str) -> None:
    settings = {"VERDICT_MIN_DISTINCT": "2", "VERDICT_MAX_DISTINCT": "100", "MAX_ATTRIBUTE_VALUE_BYTES": "100B"}

    async def session(running: Sidecar) -> list[Outcome]:
        for start in (0, 20):
            await send(running, *logs(*(log("x", has={"id": f"{start + i}"}) for i in range(20))))
        assert running.ingest.logs.cardinality.high == {"id"}
        long = log("y" * 5000, has={"id": "é" * 100, "other": "short"}, dropped_attributes_count=1)
        return [await send(running, *logs(long, log("z", has={"id": "é" * 50, "other": "short"})))]

    run(store, session, settings)
    rows = ask(
        store,
        "SELECT attributes->>'id' AS id, body, dropped_attributes_count AS d FROM otel_logs_fact WHERE body > 'x'",
    )
    found = {row["body"][0]: (row["id"], len(row["body"]), row["d"]) for row in rows}
    assert found["z"] == ("é" * 50, 1, None)
    assert found["y"][:2] == ("é" * 50, 5000)


def test_attributes_past_the_limit_are_counted_as_dropped(store: str) -> None:
    given = LogRecord(time_unix_nano=NOW)
    for i in range(20):
        given.attributes.add(key=f"k{i}", value=any_value(i))
    sent(store, logs(given), MAX_ATTRIBUTES="15")
    assert ask(store, "SELECT dropped_attributes_count AS d FROM otel_logs_fact") == [{"d": 5}]
