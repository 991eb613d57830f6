"""Refused records: the bad one alone, kept with what was around it, and what becomes of it later."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from exporter import promotion, writer
from exporter.cli import main
from exporter.database import Database
from exporter.errors import UndecodableBody
from exporter.otlp.http import Encoding
from exporter.quarantine import Quarantine
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

KEPT = "SELECT signal, reason, count, message, context, record FROM otel_rejected_records ORDER BY rejected_id"


def kept(url: str) -> list[dict[str, Any]]:
    """What is in quarantine, its JSON decoded."""
    rows = ask(url, KEPT)
    return [row | {key: row[key] and json.loads(row[key]) for key in ("context", "record")} for row in rows]


def count(url: str, table: str) -> int:
    return int(ask(url, f"SELECT count(*) AS n FROM {table}")[0]["n"])


def test_a_conflict_is_kept_as_it_was_sent(store: str) -> None:
    # The first is built after the second, as its series has to be stored before.
    known = span(9, 9, name="known")
    twice = spans(span(1, 1, name="new series", has={"n": 1}), span(1, 1, name="known", has={"n": 2}), span(1, 2))
    first, second = sent(store, spans(known), twice)
    assert (first.stored, second.stored, second.rejected) == (1, 2, 1)
    (row,) = kept(store)
    stored = {
        r["name"] for r in ask(store, "SELECT name FROM v_otel_spans_enriched WHERE span_id = '0000000000000001'")
    }
    assert stored | {row["record"]["name"]} == {"new series", "known"}
    assert (row["signal"], row["reason"], row["count"]) == ("spans", "conflict", 1)
    (resource,) = row["context"]["resourceSpans"]
    assert resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "shop"}}]
    assert [s["scope"]["name"] for s in resource["scopeSpans"]] == ["lib"]


def test_of_a_metric_only_the_point_is_kept(store: str) -> None:
    g = gauge("g", *(point(i, NOW + i) for i in range(5)))
    other = gauge("g", point(0, NOW), point(77, NOW + 3), point(5, NOW + 5))
    outcomes = sent(store, metrics(g), metrics(gauge("before", point(1)), other))
    assert totals(outcomes) == (7, 1, 1)
    (row,) = kept(store)
    assert row["record"]["name"] == "g"
    assert [p["asInt"] for p in row["record"]["gauge"]["dataPoints"]] == ["77"]


def rows_of_each_signal() -> list[tuple[str, str, tuple[str, bytes], str]]:
    """(table, condition that one row of a thousand breaks, body, what tells the record) for each signal."""
    n, odd = 1000, 617
    number = "value_int <> 617"
    return [
        (
            "otel_spans_fact",
            f"span_id <> {odd}",
            spans(*(span(5, i + 1, name=f"s{i + 1}", events=[{"name": "e"}]) for i in range(n))),
            f"s{odd}",
        ),
        ("otel_span_events", f"name <> 'e{odd}'", spans(*(_eventful(i) for i in range(n))), f"s{odd}"),
        ("otel_logs_fact", f"body <> 'l{odd}'", logs(*(log(f"l{i}") for i in range(n))), f"l{odd}"),
        (
            "otel_metrics_data_points_number",
            number,
            metrics(*(gauge(f"g{i}", *(point(i * 10 + j, NOW + j) for j in range(10))) for i in range(100))),
            '"617"',
        ),
    ]


def _eventful(i: int) -> Any:
    return span(6, i + 1, name=f"s{i}", events=[{"name": f"e{i}"}])


@pytest.mark.parametrize("place", range(4))
def test_what_postgresql_refuses_is_found_in_few_steps(store: str, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table, condition, body, odd = rows_of_each_signal()[place]
    ask(store, "SELECT", given=f"ALTER TABLE {table} ADD CONSTRAINT odd CHECK ({condition})")
    halving, steps = writer._put_pieces, []

    async def counted(connection: Any, signal: Any, tables: Any) -> Any:
        steps.append(sum(map(len, tables[: signal.facts])))
        return await halving(connection, signal, tables)

    monkeypatch.setattr(writer, "_put_pieces", counted)
    (outcome,) = sent(store, body)
    assert (outcome.stored, outcome.rejected) == (999, 1)
    assert outcome.message == "1 unstorable: PostgreSQL refuses the record: 23514 CheckViolationError"
    (row,) = kept(store)
    assert odd in json.dumps(row["record"])
    assert (row["reason"], row["count"]) == ("unstorable", 1)
    # All of it, then two halves, ten times: a savepoint each.
    assert steps[0] == 1000 and 3 < len(steps) < 25
    # No row bears the number of a savepoint: a tail knows rows by the number of their transaction.
    of_rows, of_ledger = (f"SELECT DISTINCT xmin::text FROM {name}" for name in (table, "otel_ingest_ledger"))
    assert ask(store, of_rows) == ask(store, of_ledger)
    ledger = ask(store, "SELECT received, stored, rejected FROM otel_ingest_ledger")
    assert ledger == [{"received": 1000, "stored": 999, "rejected": 1}]


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ("otel_span_series_dim", "name <> 's617'"),
        ("otel_resources_dim", "service_name <> 'odd'"),
        ("otel_scopes_dim", "name <> 'odd'"),
    ],
)
def test_a_dimension_that_postgresql_refuses_takes_along_only_its_records(
    store: str, table: str, condition: str
) -> None:
    ask(store, "SELECT", given=f"ALTER TABLE {table} ADD CONSTRAINT odd CHECK ({condition})")
    many = [span(5, i + 1, name=f"s{i + 1}") for i in range(1000)]
    outcomes = sent(
        store,
        spans(*many),
        spans(span(7, 1), resource={"service.name": "odd"}),
        spans(span(7, 2), scope="odd"),
        spans(span(7, 3)),
    )
    assert sum(outcome.rejected for outcome in outcomes) == 1
    assert count(store, "otel_spans_fact") == 1002
    assert [row["reason"] for row in kept(store)] == ["unstorable"]


def test_what_cannot_be_decoded_leaves_its_reason_and_size(store: str) -> None:
    secret = b"\xffhunter2 hunter2"

    async def session(running: Sidecar) -> str:
        for _ in range(2):
            for encoding in (Encoding.PROTOBUF, Encoding.JSON):
                with pytest.raises(UndecodableBody):
                    await send(running, "logs", secret, encoding)
        return running.telemetry.exposition().decode()

    exposition = run(store, session)
    rows = kept(store)
    assert [(row["reason"], row["count"], row["record"]) for row in rows] == [("undecodable_body", 0, None)] * 2
    assert rows[0]["message"] == "a body of 16 bytes that cannot be decoded"
    assert "hunter2" not in exposition + str(ask(store, "SELECT message FROM otel_ingest_ledger"))


def test_quarantine_holds_no_more_than_its_bound_and_the_newest(store: str) -> None:
    bodies = [spans(span(0, i + 1, name=f"bad{i:02}" + "x" * 1000)) for i in range(40)]

    async def session(running: Sidecar) -> list[int]:
        sizes = []
        for some in (bodies[:20], bodies[20:]):
            for body in some:
                assert (await send(running, *body)).rejected == 1
            sizes.append(len([row for row in await asyncio.to_thread(kept, store) if row["record"]]))
            await running._quarantine.prune(running._control)
        return sizes

    full, later = run(store, session, {"MAX_REJECTED_BYTES": "20KiB"})
    assert 8 < full < 15
    assert full - 3 <= later <= full + 3
    rows = kept(store)
    assert sum(len(json.dumps(row)) for row in rows) < 25_000
    assert rows[-1]["record"] is None, "what found no room is still told"
    assert count(store, "otel_ingest_ledger") == 40


def test_quarantine_forgets_in_time(store: str) -> None:
    sent(store, spans(span(0, 1)), spans(span(0, 2)))
    ask(
        store,
        "SELECT",
        given="UPDATE otel_rejected_records SET received_at = now() - interval '2 h' WHERE rejected_id = 1",
    )

    async def prune() -> None:
        database = Database(store, 1, 5.0)
        await Quarantine(1 << 20, 3600).prune(database)
        await database.close()

    asyncio.run(prune())
    assert count(store, "otel_rejected_records") == 1


def replayed(url: str, *flags: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and what is said of `postel replay`."""
    code = main(["replay", "--database-url", url, *flags])
    return code, capsys.readouterr().out.strip()


def test_replay_stores_what_can_be_stored_after_a_fix(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask(store, "SELECT", given="ALTER TABLE otel_spans_fact ADD CONSTRAINT odd CHECK (span_id <> 617)")
    ask(store, "SELECT", given="ALTER TABLE otel_logs_fact ADD CONSTRAINT odd CHECK (body <> 'odd')")
    everything: dict[str, Any] = {
        "has": {"a": [1, {"b": b"\0x"}], "nul": "x\0y"},
        "events": [{"name": "e"}],
        "trace_state": "k=v",
    }
    sent(
        store,
        spans(*(span(5, i + 1, **everything) for i in range(700)), resource={"service.name": "shop", "x": 1.5}),
        spans(span(0, 1)),
        logs(log("odd", 0), log("even", 0)),
    )
    reasons = sorted(row["reason"] for row in kept(store))
    assert reasons == ["invalid_trace_id", "unstorable", "unstorable"]
    assert replayed(store, "--reason", "unstorable", capsys=capsys) == (
        1,
        "2 records replayed: 0 stored, 0 stored before, 2 refused again",
    )
    assert sorted(row["reason"] for row in kept(store)) == reasons, "nothing is kept twice"
    for table in ("otel_spans_fact", "otel_logs_fact"):
        ask(store, "SELECT", given=f"ALTER TABLE {table} DROP CONSTRAINT odd")
    assert replayed(store, "--since", "1h", capsys=capsys) == (
        1,
        "3 records replayed: 2 stored, 0 stored before, 1 refused again",
    )
    assert [row["reason"] for row in kept(store)] == ["invalid_trace_id"]
    same = ask(store, "SELECT DISTINCT resource_id, series_id, attributes::text, trace_state FROM otel_spans_fact")
    assert len(same) == 1, "as its neighbours"
    assert count(store, "otel_span_events") == 700
    assert count(store, "otel_logs_fact") == 2
    assert replayed(store, "--reason", "unstorable", capsys=capsys) == (
        0,
        "0 records replayed: 0 stored, 0 stored before",
    )


def test_a_dropped_key_takes_nothing_else_of_what_is_around_a_record(store: str, tmp_path: Path) -> None:
    overrides = tmp_path / "o.yaml"
    overrides.write_text("drop:\n  resource: [resource, secret]\n  scope: [scope]\n  spans: [spans]\n")
    body = spans(span(0, 1), resource={"service.name": "shop", "secret": "s", "resource": "r"})

    async def session(running: Sidecar) -> int:
        return (await send(running, *body)).rejected

    assert run(store, session, lists=promotion.load(overrides=overrides)) == 1
    (row,) = kept(store)
    (resource,) = row["context"]["resourceSpans"]
    assert [attribute["key"] for attribute in resource["resource"]["attributes"]] == ["service.name"]
    assert resource["scopeSpans"] == [{"scope": {"name": "lib"}, "spans": []}]


def test_replay_makes_no_database_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("replay", "maintain"):
        # Not below pytest's own folder, which only its owner enters.
        with tempfile.TemporaryDirectory(prefix="postel-test-") as name:
            Path(name).chmod(0o755)
            assert main([command, "--data-dir", f"{name}/nothing"]) == 2
        assert capsys.readouterr().err.endswith("no PostgreSQL here: give --data-dir or --database-url\n")


def test_replay_says_what_cannot_be(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["replay", "--database-url", store, "--since", "yesterday"])
    assert end.value.code == 2
    assert "--since" in capsys.readouterr().err
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    assert main(["replay", "--database-url", nowhere]) == 1
    assert "postel replay: " in capsys.readouterr().err
