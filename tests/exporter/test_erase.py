"""An erasure leaves what a database would hold to which the erased records had never been sent."""

import asyncio
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import asyncpg
import pytest

from exporter.batch import Outcome
from exporter.cli import main
from exporter.database import Database
from exporter.dropping import Dropping
from exporter.minutes import Minutes, Pace
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.partitions import SIGNALS, Partitions
from exporter.settings import Retention
from exporter.sidecar import Sidecar
from tests.conftest import Clones, database_of
from tests.exporter.conftest import violations
from tests.exporter.erasing import KEY, SECRET, bodies, contents, tables_with
from tests.exporter.sending import (
    DAY,
    NOW,
    attributes,
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
)
from tests.exporter.test_dimensions import WAITING
from tests.sql.rows import ask

ERASURES = """SELECT spans, logs, metrics, rejected, dimension_rows, signals, role, ended_at IS NOT NULL AS ended
FROM otel_erasures ORDER BY erasure_id"""
COUNTS = """SELECT (SELECT count(*) FROM otel_spans_fact) AS spans, (SELECT count(*) FROM otel_logs_fact) AS logs,
(SELECT count(*) FROM otel_metrics_data_points_number) AS points"""


@pytest.fixture
def other(server_url: str, clones: Clones) -> Iterator[str]:
    """A second database, to compare with."""
    name = clones.take()
    yield database_of(server_url, name)
    clones.drop(name)


def erase(url: str, *flags: str) -> int:
    """The exit code of the command."""
    return main(["erase", "--database-url", url, *flags])


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_left_but_what_else_was_sent(seed: int, store: str, other: str) -> None:
    rng = Random(seed)
    mine, rest = bodies(rng, 25)
    together = [*mine, *rest]
    rng.shuffle(together)
    sent(store, *together)
    ask(store, "ANALYZE")
    assert tables_with(store, [SECRET])
    sent(other, *rest)
    if seed % 2:
        contents(store)
    assert erase(store, "--attr", f"{KEY}={SECRET}") == 0
    assert contents(store) == contents(other)
    assert tables_with(store, [SECRET]) == []
    assert ask(store, "SELECT sum(stored) >= 50 AS kept FROM otel_ingest_ledger")[0]["kept"], "it says what was stored"


@pytest.mark.parametrize(
    ("text", "values", "others"),
    [
        ("42", [42, "42", 42.0], [43, "042", True, "42 ", [42], b"42", {"a": 42}]),
        ("true", [True, "true"], [1, "True", False]),
        ("0", [0, -0.0, "0", 0.0], [False, "", "00"]),
        ("NaN", [float("nan"), "NaN"], ["nan", 0]),
        ("a\0b", ["a\0b"], ["ab", "a"]),
        ("YWI=", [b"ab", "YWI="], ["ab"]),
    ],
)
def test_a_value_is_known_by_its_text(text: str, values: list[Any], others: list[Any], store: str) -> None:
    sent(
        store,
        *(spans(span(1, i, has={KEY: v, "wanted": True})) for i, v in enumerate(values, 1)),
        *(spans(span(1, i, has={KEY: v, "wanted": False})) for i, v in enumerate(others, 100)),
        logs(*(log("x", has={KEY: v, "wanted": v in values}) for v in values)),
        metrics(*(gauge(f"g{i}", point(1, has={KEY: v})) for i, v in enumerate(values))),
    )
    assert erase(store, "--attr", f"{KEY}={text}") == 0
    assert ask(store, COUNTS) == [{"spans": len(others), "logs": 0, "points": 0}]
    left = ask(store, "SELECT DISTINCT attributes -> 'wanted' AS wanted FROM v_otel_spans_enriched")
    assert left == [{"wanted": False}]


def test_several_attributes_have_to_hold_together(store: str) -> None:
    shop, lab = {"service.name": "shop", "tenant": "7"}, {"service.name": "lab"}
    sent(
        store,
        spans(span(1, 1, has={KEY: 42}), span(1, 2, has={KEY: 43}), resource=shop),
        spans(span(2, 1, has={KEY: 42}), resource=lab),
        logs(log("a", has={KEY: 42}), resource=lab),
    )
    assert erase(store, "--attr", f"{KEY}=42", "--attr", "tenant=7") == 0
    assert ask(store, COUNTS) == [{"spans": 2, "logs": 1, "points": 0}]
    rows = ask(store, "SELECT attributes FROM v_otel_spans_enriched ORDER BY span_id")
    assert [row["attributes"] for row in rows] == [{KEY: 42}, {KEY: 43}], "others keep what they share with them"
    tenants = ask(store, "SELECT attributes ->> 'tenant' AS tenant FROM otel_resources_dim ORDER BY 1")
    assert [row["tenant"] for row in tenants] == ["7", None]


def test_only_some_signals_and_some_time(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    old = NOW - 3 * DAY
    has = {KEY: 42}
    sent(
        store,
        spans(span(1, 1, has=has), span(1, 2, old, has)),
        logs(log("a", has=has), log("b", old, has)),
        metrics(gauge("g", point(1, has=has), point(2, old, has))),
    )
    assert erase(store, "--attr", f"{KEY}=42", "--signal", "spans", "--signal", "metrics", "--since", "2d") == 0
    assert ask(store, COUNTS) == [{"spans": 1, "logs": 2, "points": 1}]
    assert "still have it" in capsys.readouterr().out
    assert ask(store, "SELECT attributes FROM v_otel_spans_enriched") == [{"attributes": has}]
    assert erase(store, "--attr", f"{KEY}=42") == 0
    assert ask(store, COUNTS) == [{"spans": 0, "logs": 0, "points": 0}]
    assert [row["signals"] for row in ask(store, ERASURES)] == [[SPANS, METRICS], [SPANS, LOGS, METRICS]]


def test_a_dry_run_counts_and_erases_nothing(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    mine, rest = bodies(Random(7), 20)
    sent(store, *mine, *rest)
    before = contents(store)
    assert erase(store, "--attr", f"{KEY}={SECRET}", "--dry-run") == 0
    dry = dict(line.rsplit(None, 1) for line in capsys.readouterr().out.splitlines()[:4])
    assert contents(store) == before
    assert ask(store, ERASURES) == []
    assert erase(store, "--attr", f"{KEY}={SECRET}") == 0
    wet = dict(line.rsplit(None, 1) for line in capsys.readouterr().out.splitlines()[:4])
    assert dry == wet
    assert all(int(dry[name]) > 0 for name in (SPANS, LOGS, METRICS))


def test_the_trail_names_no_value(store: str) -> None:
    sent(store, spans(span(1, 1, has={KEY: SECRET})))
    for _ in range(2):
        erase(store, "--attr", f"{KEY}={SECRET}")
    erase(store, "--attr", f"{KEY}=other")
    rows = ask(store, ERASURES)
    assert [row["spans"] for row in rows] == [1, 0, 0]
    assert all(row["ended"] and row["role"] for row in rows)
    digests = [row["d"] for row in ask(store, "SELECT criteria_digest AS d FROM otel_erasures ORDER BY erasure_id")]
    assert digests[0] == digests[1] != digests[2]
    assert tables_with(store, [SECRET]) == []


@pytest.mark.parametrize(
    ("record", "goes"),
    [
        ({"attributes": [{"key": KEY, "value": {"intValue": "42"}}]}, True),
        ({"attributes": [{"key": KEY, "value": {"stringValue": "42"}}]}, True),
        ({"events": [{"attributes": [{"key": KEY, "value": {"doubleValue": 42}}]}]}, True),
        ({KEY: 42}, True),
        ({"attributes": [{"key": KEY, "value": {"intValue": [42]}}]}, False),
        ({"attributes": [{"key": KEY, "value": {"stringValue": "43"}}]}, False),
        ({"attributes": [{"key": "other", "value": {"stringValue": "42"}}]}, False),
        ('{"attributes": [{"key": "user.id", "value": "42"', True),
        ('{"attributes": [{"key": "user.id", "value": "7"', False),
        (None, False),
    ],
)
def test_what_was_refused_goes_too(record: Any, goes: bool, store: str) -> None:
    text = record if record is None or isinstance(record, str) else json.dumps(record)
    ask(
        store,
        "INSERT INTO otel_rejected_records (count, signal, reason, message, context, record) "
        "VALUES (1, 'spans', 'r', 'm', NULL, $1), (1, 'spans', 'r', 'm', $1, '{}'), (1, 'logs', 'r', 'm', '{}', $1)",
        text,
    )
    assert erase(store, "--attr", f"{KEY}=42", "--signal", "spans") == 0
    assert len(ask(store, "SELECT FROM otel_rejected_records")) == (1 if goes else 3)


def test_who_remembers_ids_hears_of_it(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.sidecar._ROUND_S", 0.05)
    resource = {"service.name": "shop", KEY: SECRET}

    async def session(running: Sidecar) -> None:
        await send(running, *spans(span(1, 1, has={KEY: SECRET}), resource=resource))
        await send(running, *metrics(gauge("g", point(1)), resource=resource))
        assert await asyncio.to_thread(erase, store, "--attr", f"{KEY}={SECRET}") == 0
        await asyncio.sleep(0.5)
        await send(running, *spans(span(1, 2, has={KEY: SECRET}), resource=resource))
        await send(running, *metrics(gauge("g", point(2, NOW + 1)), resource=resource))

    run(store, session)
    for view, own in (("v_otel_spans_enriched", {KEY: SECRET}), ("v_otel_metrics_enriched", {})):
        (row,) = ask(store, f"SELECT attributes, resource_attributes FROM {view}")
        assert row == {"attributes": own, "resource_attributes": resource}, view
    assert erase(store, "--attr", f"{KEY}={SECRET}") == 0
    assert tables_with(store, [SECRET]) == []


def test_a_record_may_meet_a_rewritten_row(store: str) -> None:
    """Until its writer heard of it."""
    resource = {"service.name": "shop", KEY: SECRET}

    async def session(running: Sidecar) -> None:
        for number in (1, 2):
            await send(running, *spans(span(1, number, has={KEY: SECRET}), resource=resource))
            if number == 1:
                await asyncio.to_thread(erase, store, "--attr", f"{KEY}={SECRET}")

    run(store, session)
    (row,) = ask(store, "SELECT attributes, resource_attributes FROM v_otel_spans_enriched")
    assert row == {"attributes": {}, "resource_attributes": {"service.name": "shop"}}
    assert tables_with(store, [SECRET]) == []


def test_a_service_may_be_erased(store: str) -> None:
    has = {"service.name": SECRET, "service.namespace": "kept"}
    sent(store, spans(span(1, 1), resource=has), spans(span(1, 2)), logs(log("a"), resource=has))
    assert erase(store, "--attr", f"service.name={SECRET}") == 0
    assert tables_with(store, [SECRET]) == []
    assert ask(store, COUNTS) == [{"spans": 1, "logs": 0, "points": 0}]
    rows = ask(store, "SELECT service_name, service_namespace FROM otel_resources_dim ORDER BY 1")
    assert [tuple(row.values()) for row in rows] == [("shop", None), (None, "kept")]


def test_what_metrics_say_of_themselves_counts(store: str) -> None:
    sent(store, metrics(gauge("g", point(1), metadata=attributes({KEY: SECRET})), gauge("g", point(1, NOW + 1))))
    assert erase(store, "--attr", f"{KEY}={SECRET}") == 0
    assert ask(store, COUNTS) == [{"spans": 0, "logs": 0, "points": 1}]
    assert tables_with(store, [SECRET]) == []


def test_who_is_killed_goes_on_the_next_time(
    store: str, other: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("exporter.deletion.BATCH", 3)
    monkeypatch.setattr("exporter.deletion.PAGE", 7)
    mine, rest = bodies(Random(11), 40)
    sent(store, *mine, *rest)
    sent(other, *rest)
    seen = 0
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postel erase'"
    done = "SELECT coalesce(sum(spans + logs + metrics), 0)::int FROM otel_erasures"

    async def killed() -> None:
        nonlocal seen
        connection = await asyncpg.connect(store)
        before = await connection.fetchval(done)
        command = asyncio.create_task(asyncio.to_thread(erase, store, "--attr", f"{KEY}={SECRET}"))
        while not command.done():
            await asyncio.sleep(0.005)
            if await connection.fetchval(done) > before:
                await connection.fetch(kill)
        seen += await command
        await connection.close()

    for _ in range(3):
        asyncio.run(killed())
        assert asyncio.run(violations(store)) == []
    assert seen == 3, "each was cut off"
    assert erase(store, "--attr", f"{KEY}={SECRET}") == 0
    assert contents(store) == contents(other)
    total = ask(store, "SELECT sum(spans + logs + metrics)::int AS n, count(ended_at)::int AS ended FROM otel_erasures")
    kept = sum(ask(store, "SELECT (SELECT sum(stored) FROM otel_ingest_ledger)::int AS n")[0].values())
    left = ask(
        store,
        "SELECT ((SELECT count(*) FROM otel_spans_fact) + (SELECT count(*) FROM otel_logs_fact) "
        "+ (SELECT count(*) FROM v_otel_metrics_enriched))::int AS n",
    )
    assert total == [{"n": kept - left[0]["n"], "ended": 1}], "the trail counts what each did"


def test_others_lose_nothing_beside_it(store: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything that is made of their records wrong afterwards, whoever computes it meanwhile."""
    monkeypatch.setattr("exporter.deletion.BATCH", 20)
    rng = Random(13)

    async def session(running: Sidecar) -> list[tuple[str, bytes]]:
        kept: list[tuple[str, bytes]] = []
        minutes = Minutes(running._control, running._partitions, Pace(0, 0, 0))
        erasing = asyncio.create_task(asyncio.to_thread(erase, store, "--attr", f"{KEY}={SECRET}"))
        while len(kept) < 240:
            mine, rest = bodies(rng, 6)
            together = [*mine, *rest]
            rng.shuffle(together)
            *outcomes, _ = await asyncio.gather(*(send(running, *body) for body in together), minutes.roll_up())
            assert not any(outcome.rejected for outcome in outcomes if isinstance(outcome, Outcome))
            kept += rest
            if erasing.done():
                assert erasing.result() == 0
                erasing = asyncio.create_task(asyncio.to_thread(erase, store, "--attr", f"{KEY}={SECRET}"))
        assert await erasing == 0
        return kept

    kept = run(store, session)
    before = ask(
        store, "SELECT span_id, trace_id FROM v_otel_spans_enriched WHERE attributes::text NOT LIKE '%5ecre7%'"
    )
    sent(other, *kept)
    expected = ask(other, "SELECT span_id, trace_id FROM v_otel_spans_enriched")
    found = {tuple(row.values()) for row in before}
    assert found >= {tuple(row.values()) for row in expected}
    assert asyncio.run(violations(store)) == []


def test_partitions_may_be_dropped_meanwhile(store: str) -> None:
    """The records of some are past their retention: each is gone after it was listed, before it is vacuumed."""
    old = [spans(span(number, 1, NOW - number * DAY, has={KEY: 42})) for number in range(5, 9)]
    sent(store, *old, spans(span(1, 1, has={KEY: 42})))

    async def session() -> int:
        holder: Any = await asyncpg.connect(store)
        erasing = asyncio.create_task(asyncio.to_thread(erase, store, "--attr", f"{KEY}=42"))
        async with holder.transaction():
            # Partitions are vacuumed in the order of their names.
            await holder.execute("LOCK TABLE otel_logs_fact IN SHARE UPDATE EXCLUSIVE MODE")
            while not await holder.fetchval(WAITING):
                assert not erasing.done()
                await asyncio.sleep(0.01)
            assert len(await asyncio.to_thread(dropped, store)) == 4 * 6
        await holder.close()
        return await erasing

    assert asyncio.run(session()) == 0


def test_what_was_not_touched_is_not_analysed(store: str) -> None:
    """Though the statistics over all partitions are."""
    sent(store, spans(span(1, 1, has={KEY: 42}), span(1, 2)), spans(span(2, 1, NOW - 5 * DAY)))
    ask(store, "SELECT", given="ANALYZE ONLY otel_spans_fact")
    analysed = "SELECT relname FROM pg_stat_user_tables WHERE relname LIKE 'otel_spans_fact%' AND analyze_count > 0"
    assert [row["relname"] for row in ask(store, analysed)] == ["otel_spans_fact"]
    assert erase(store, "--attr", f"{KEY}=42") == 0
    (today,) = ask(store, "SELECT tableoid::regclass::text AS name FROM otel_spans_fact WHERE trace_id::text LIKE '%1'")
    assert sorted(row["relname"] for row in ask(store, analysed)) == ["otel_spans_fact", today["name"]]
    (whole,) = ask(store, "SELECT analyze_count AS n FROM pg_stat_user_tables WHERE relname = 'otel_spans_fact'")
    assert whole["n"] == 2


def dropped(url: str) -> list[str]:
    """What is dropped where spans are kept for three days."""

    async def session() -> list[str]:
        database = Database(url, 1, 8.0)
        kept = Retention(spans=3 * 86_400, logs=None, metrics=None, max_size=None)
        try:
            return await Dropping(database, Partitions(database, dict.fromkeys(SIGNALS, 86_400.0), 2), kept).drop()
        finally:
            await database.close()

    return asyncio.run(session())


@pytest.mark.parametrize(
    "flag",
    [
        ["--attr", "user.id"],
        ["--attr", "=42"],
        [],
        ["--attr", "a=b", "--signal", "x"],
        ["--attr", "a=b", "--since", "36500000d"],
        ["--attr", "a=b", "--since", "0s"],
    ],
)
def test_bad_usage(flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["erase", *flag])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_database_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert erase("postgresql://nobody@127.0.0.1:1/none", "--attr", "a=b") == 1
    assert "postel erase:" in capsys.readouterr().err
