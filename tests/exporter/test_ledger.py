"""A body that comes again writes nothing and is answered as it was answered first."""

import asyncio
import json
import time

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from exporter.batch import Outcome
from exporter.cli import main
from exporter.errors import ShuttingDown
from exporter.otlp.http import Encoding
from exporter.otlp.records import METRICS
from exporter.sidecar import Sidecar
from tests.exporter.sending import (
    NOW,
    gauge,
    log,
    logs,
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

PARTLY_BAD = spans(span(1, 1), span(0, 2), span(1, 3))
COUNTS = """SELECT (SELECT count(*) FROM otel_spans_fact) AS spans, (SELECT count(*) FROM otel_logs_fact) AS logs,
(SELECT count(*) FROM otel_metrics_data_points_number) AS points,
(SELECT count(*) FROM otel_rejected_records) AS rejected, (SELECT count(*) FROM otel_ingest_ledger) AS bodies"""


def counts(url: str) -> dict[str, int]:
    """What is stored, by kind."""
    return ask(url, COUNTS)[0]


def test_same_body_is_answered_as_before_also_after_a_restart(store: str) -> None:
    bodies = [PARTLY_BAD, logs(log("a"), log("a")), metrics(gauge("g", point(1)), gauge("", point(2)))]
    first = sent(store, *bodies)
    before = counts(store)
    assert before == {"spans": 2, "logs": 2, "points": 1, "rejected": 2, "bodies": 3}
    assert [(o.stored, o.rejected) for o in first] == [(2, 1), (2, 0), (1, 1)]
    assert "1 invalid_trace_id: span without identity: trace_id is all zeros" in first[0].message
    again = sent(store, *bodies, *bodies)
    assert [(o.rejected, o.message) for o in again] == [(o.rejected, o.message) for o in first] * 2
    assert totals(again) == (0, 2 * totals(first)[0], 2 * totals(first)[2])
    assert counts(store) == before


def test_same_body_at_once_is_stored_once_and_counted_once(store: str) -> None:
    async def session(running: Sidecar) -> tuple[list[Outcome], str]:
        ingest = running.ingest
        body = PARTLY_BAD[0], Encoding.PROTOBUF, PARTLY_BAD[1]
        outcomes = await asyncio.gather(*(ingest.take(*body, ingest.digest(*body)) for _ in range(8)))
        return outcomes, running.telemetry.exposition().decode()

    outcomes, exposition = run(store, session)
    assert counts(store) == {"spans": 2, "logs": 0, "points": 0, "rejected": 1, "bodies": 1}
    assert {(o.rejected, o.message) for o in outcomes} == {(1, outcomes[0].message)}
    assert totals(outcomes) == (2, 14, 8)
    assert 'postel_accepted_records_total{signal="spans"} 2.0' in exposition
    assert 'postel_deduplicated_records_total{signal="spans"} 14.0' in exposition


def test_an_answer_given_for_a_conflict_is_given_again(store: str) -> None:
    other = spans(span(1, 1, name="other"), span(1, 9))
    first, conflict, again = sent(store, spans(span(1, 1)), other, other)
    assert (first.rejected, conflict.rejected, conflict.stored) == (0, 1, 1)
    assert (again.rejected, again.message, again.stored) == (1, conflict.message, 0)
    assert "1 conflict: another record is stored" in again.message


def test_the_window_ends(store: str) -> None:
    async def session(running: Sidecar) -> list[Outcome]:
        bodies = [logs(log("a")), spans(span(1, 1))]
        early = [await send(running, *body) for body in (*bodies, *bodies)]
        await asyncio.sleep(0.6)
        return [*early, *[await send(running, *body) for body in bodies]]

    outcomes = run(store, session, {"DEDUP_WINDOW": "500ms"})
    assert [o.stored for o in outcomes] == [1, 1, 0, 0, 1, 0], "a log has no key of its own, a span has"
    assert [o.deduplicated for o in outcomes] == [0, 0, 1, 1, 0, 1]
    assert counts(store) == {"spans": 1, "logs": 2, "points": 0, "rejected": 0, "bodies": 2}
    assert daily(store) == [("logs", 2, 2, 0, 0, 0), ("spans", 2, 1, 1, 0, 0)]


def daily(url: str) -> list[tuple[str | int, ...]]:
    """(signal, received, stored, deduplicated, dropped, rejected) of all days together."""
    columns = "received", "stored", "deduplicated", "dropped", "rejected"
    sums = ", ".join(f"sum({column})::int AS {column}" for column in columns)
    rows = ask(url, f"SELECT signal, {sums} FROM v_otel_ingest_ledger GROUP BY signal ORDER BY signal")
    return [tuple(row.values()) for row in rows]


def test_daily_totals_outlive_the_pruned_bodies(store: str) -> None:
    sent(store, PARTLY_BAD, *(logs(log(f"{i}")) for i in range(30)))
    before = daily(store)
    assert before == [("logs", 30, 30, 0, 0, 0), ("spans", 3, 2, 0, 0, 1)]
    assert main(["maintain", "--database-url", store]) == 0
    assert counts(store)["bodies"] == 31, "the window is not over"
    ask(store, "UPDATE otel_ingest_ledger SET committed_at = now() - interval '7 h'")
    ask(store, "UPDATE otel_minutes_watermark SET committed_until = now() - interval '8 h'")
    assert main(["maintain", "--database-url", store]) == 0
    assert counts(store)["bodies"] == 0
    assert daily(store) == before


def test_a_body_with_a_log_without_any_time_is_never_suppressed(store: str) -> None:
    timeless = logs(log("a", 0), log("b"))
    observed = logs(LogRecord(observed_time_unix_nano=NOW))
    sent(store, timeless, timeless, observed, observed)
    assert counts(store)["logs"] == 5


def test_signal_and_encoding_are_part_of_what_a_body_is(store: str) -> None:
    async def session(running: Sidecar) -> None:
        for signal in ("spans", "logs", "metrics"):
            for body, encoding in ((b"", Encoding.PROTOBUF), (b"{}", Encoding.JSON)):
                await send(running, signal, body, encoding)

    run(store, session)
    assert counts(store)["bodies"] == 6


def test_an_answer_may_quote_what_postgresql_refuses(store: str) -> None:
    """A name with U+0000 in the message used to fail the whole body for ever."""
    points = [{"timeUnixNano": "x"}, {"timeUnixNano": str(NOW), "asInt": "1"}]
    request = {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a\0b", "gauge": {"dataPoints": points}}]}]}]
    }

    async def session(running: Sidecar) -> list[Outcome]:
        return [await send(running, METRICS, json.dumps(request).encode(), Encoding.JSON) for _ in range(2)]

    first, again = run(store, session)
    assert (first.stored, first.rejected) == (1, 1)
    assert (again.rejected, again.message) == (1, first.message)


def test_a_body_that_could_not_be_queued_is_not_waited_for(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def session(running: Sidecar) -> None:
        put = running._queue.put

        async def refuse(*_: object) -> None:
            raise ShuttingDown

        monkeypatch.setattr(running._queue, "put", refuse)
        with pytest.raises(ShuttingDown):
            await send(running, *PARTLY_BAD)
        monkeypatch.setattr(running._queue, "put", put)
        began = time.monotonic()
        await send(running, *PARTLY_BAD)
        assert time.monotonic() - began < 5

    run(store, session)


def test_ledger_says_what_became_of_every_record(store: str) -> None:
    sent(store, PARTLY_BAD, spans(span(1, 1), span(1, 3, name="other"), span(0, 0), span(7, 7, NOW + 5)))
    rows = ask(store, "SELECT * FROM otel_ingest_ledger ORDER BY received")
    assert [(r["received"], r["stored"], r["deduplicated"], r["dropped"], r["rejected"]) for r in rows] == [
        (3, 2, 0, 0, 1),
        (4, 1, 1, 0, 2),
    ]
    assert (rows[1]["min_key_unix_nano"], rows[1]["max_key_unix_nano"]) == (NOW, NOW + 5)
    refused = ask(store, "SELECT signal, reason, count FROM otel_rejected_records ORDER BY rejected_id")
    assert sorted((r["signal"], r["reason"], r["count"]) for r in refused) == [
        ("spans", "conflict", 1),
        ("spans", "invalid_trace_id", 1),
        ("spans", "invalid_trace_id", 1),
    ]
