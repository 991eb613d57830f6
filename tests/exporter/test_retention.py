"""Rules of retention: what they name goes when its time is over, nothing younger and nothing else, once."""

import asyncio
import time
from itertools import count
from pathlib import Path
from random import Random

import pytest

from exporter import settings
from exporter.cli import main
from exporter.database import Database
from exporter.errors import ConfigurationError
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.retention import Rules
from exporter.settings_rules import Match, Rule
from exporter.sidecar import Sidecar
from tests.exporter.erasing import contents
from tests.exporter.sending import (
    DAY,
    HOUR,
    NOW,
    SECOND,
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

HOUR_S = 3600.0
LEFT = """SELECT 'spans' AS signal, service_name AS service, count(*)::int AS n FROM v_otel_spans_enriched GROUP BY 2
UNION ALL SELECT 'logs', service_name, count(*)::int FROM v_otel_logs_enriched GROUP BY 2
UNION ALL SELECT 'metrics', service_name, count(*)::int FROM v_otel_metrics_enriched GROUP BY 2 ORDER BY 1, 2"""


def applied(url: str, *rules: Rule, budget_s: float = 60.0) -> int:
    """How many records a process deletes that does nothing else."""

    async def session() -> int:
        database = Database(url, 1, 8.0)
        try:
            return await Rules(database, rules).apply(budget_s, 0.0)
        finally:
            await database.close()

    return asyncio.run(session())


def left(url: str) -> dict[tuple[str, str], int]:
    """How many records there are by signal and service."""
    return {(row["signal"], row["service"]): row["n"] for row in ask(url, LEFT)}


def everything(at: int, service: str, namespace: str | None = None) -> list[tuple[str, bytes]]:
    """A record of each signal."""
    resource = {"service.name": service} | ({} if namespace is None else {"service.namespace": namespace})
    identity = at % (1 << 60) + len(service)
    return [
        spans(span(identity, identity, at), resource=resource),
        logs(log("a", at, severity_number=5), resource=resource),
        metrics(gauge("g", point(1, at)), resource=resource),
    ]


@pytest.mark.parametrize(
    ("match", "gone"),
    [
        (Match(service="batch"), {(s, "batch") for s in (SPANS, LOGS, METRICS)}),
        (Match(service="batch", signal=METRICS), {(METRICS, "batch")}),
        (Match(service="batch", signal=SPANS), {(SPANS, "batch")}),
        (Match(namespace="lab"), {(s, "cart") for s in (SPANS, LOGS, METRICS)}),
        (Match(service="cart", namespace="shop"), set()),
        (Match(severity_below=9), {(LOGS, "batch"), (LOGS, "cart"), (LOGS, "web")}),
        (Match(severity_below=9, service="web"), {(LOGS, "web")}),
        (Match(severity_below=5), set()),
        (Match(service="nobody"), set()),
    ],
)
def test_a_rule_is_about_what_it_names(match: Match, gone: set[tuple[str, str]], store: str) -> None:
    old = NOW - 5 * HOUR
    bodies = everything(old, "batch") + everything(old, "web") + everything(old, "cart", "lab")
    sent(store, *bodies, *everything(NOW, "batch"), *everything(NOW, "cart", "lab"))
    contents(store)
    before = left(store)
    assert applied(store, Rule(match, 4 * HOUR_S)) == len(gone)
    after = left(store)
    assert {key for key in before if after.get(key, 0) < before[key]} == gone
    assert sum(before.values()) - sum(after.values()) == len(gone)
    assert applied(store, Rule(match, 4 * HOUR_S)) == 0
    contents(store)


def test_severities_and_those_without(store: str) -> None:
    sent(store, logs(*(log(str(n), NOW - 3 * HOUR, severity_number=n) for n in range(25))))
    assert applied(store, Rule(Match(severity_below=9), HOUR_S)) == 8
    rows = ask(store, "SELECT severity_number AS n FROM v_otel_logs_enriched ORDER BY 1")
    assert [row["n"] for row in rows] == [0, *range(9, 25)], "of one without a severity nobody knows"


def test_nothing_goes_before_its_time(store: str) -> None:
    now = time.time_ns()
    ages = [HOUR - 30 * SECOND, HOUR - 20 * SECOND, HOUR, HOUR + 1, 2 * HOUR, 40 * HOUR, 10 * DAY]
    sent(store, logs(*(log(str(age), now - age, severity_number=1) for age in ages)))
    assert applied(store, Rule(Match(severity_below=2), HOUR_S)) == 5
    kept = ask(store, "SELECT body #>> '{}' AS age FROM v_otel_logs_enriched ORDER BY time_unix_nano DESC")
    assert [int(row["age"]) for row in kept] == ages[:2]


def test_the_oldest_go_first_and_a_round_ends_in_time(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.deletion.BATCH", 10)
    monkeypatch.setattr("exporter.deletion.PAGE", 25)
    sent(store, logs(*(log("x", NOW - HOUR - i * HOUR, severity_number=1) for i in range(100))))
    rule = Rule(Match(severity_below=2), 60.0)
    ticks = count()
    monkeypatch.setattr("exporter.retention.monotonic", lambda: next(ticks))
    deleted = applied(store, rule, budget_s=6)
    assert 0 < deleted < 100
    kept = ask(store, "SELECT min(time_unix_nano) AS t, count(*)::int AS n FROM otel_logs_fact")
    assert kept == [{"t": NOW - (100 - deleted) * HOUR, "n": 100 - deleted}]
    assert deleted + applied(store, rule, budget_s=1000) == 100


def test_a_rule_that_never_comes_to_an_end_leaves_time_to_others(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.deletion.BATCH", 5)
    old = NOW - 9 * HOUR
    for name in ("a", "b"):
        sent(store, logs(*(log(f"{name} {i}", old) for i in range(100)), resource={"service.name": name}))

    async def session() -> None:
        database = Database(store, 1, 8.0)
        rules = Rules(database, [Rule(Match(service=name, signal=LOGS), 8 * HOUR_S) for name in ("a", "b")])
        # A clock that ticks when it is looked at.
        monkeypatch.setattr("exporter.retention.monotonic", count().__next__)
        for _ in range(2):
            assert 0 < await rules.apply(12, 0.0) < 100
        await database.close()

    asyncio.run(session())
    assert all(0 < left(store)[LOGS, name] < 100 for name in ("a", "b"))


def test_one_of_several_does_it(store: str) -> None:
    sent(store, logs(*(log("x", NOW - HOUR, severity_number=1) for _ in range(10))))
    rule = Rule(Match(severity_below=2), 60.0)

    async def session() -> list[int]:
        databases = [Database(store, 1, 8.0) for _ in range(4)]
        found = await asyncio.gather(*(Rules(database, [rule]).apply() for database in databases))
        for database in databases:
            await database.close()
        return found

    assert sorted(asyncio.run(session())) == [0, 0, 0, 10]
    sent(store, logs(log("x", NOW - HOUR, severity_number=1)))
    assert asyncio.run(session()) == [0, 0, 0, 0], "somebody was just at it"


def test_ingest_beside_it_loses_nothing(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.deletion.BATCH", 50)
    rng = Random(1)
    rules = [Rule(Match(severity_below=9), 2 * HOUR_S), Rule(Match(service="batch"), 2 * HOUR_S)]

    def some(number: int) -> list[tuple[str, bytes]]:
        made: list[tuple[str, bytes]] = []
        for service in ("batch", "web"):
            at = [NOW - rng.choice((0, 5)) * HOUR + rng.randrange(HOUR // 4) for _ in range(8)]
            resource = {"service.name": service}
            made.append(spans(*(span(rng.randrange(1, 30), rng.getrandbits(50) + 1, t) for t in at), resource=resource))
            made.append(
                logs(*(log(f"{number}", t, severity_number=rng.choice((5, 13))) for t in at), resource=resource)
            )
        return made

    async def session(running: Sidecar) -> int:
        stored = 0
        for number in range(40):
            working = asyncio.create_task(Rules(running._control, rules).apply(1.0, 0.0))
            outcomes = await asyncio.gather(*(send(running, *body) for body in some(number)))
            stored += totals(outcomes)[0]
            await working
        await Rules(running._control, rules).apply(30.0, 0.0)
        return stored

    assert run(store, session) == 40 * 32
    contents(store)
    old = NOW - 2 * HOUR
    rows = ask(
        store,
        """SELECT DISTINCT service_name, severity_number < 9 AS low FROM v_otel_logs_enriched
        WHERE time_unix_nano < $1""",
        old,
    )
    assert [tuple(row.values()) for row in rows] == [("web", False)]
    rows = ask(store, "SELECT DISTINCT service_name FROM v_otel_spans_enriched WHERE start_time_unix_nano < $1", old)
    assert [row["service_name"] for row in rows] == ["web"]


def test_the_server_applies_them_and_counts(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.sidecar._ROUND_S", 0.05)
    file = tmp_path / "postel.yaml"
    file.write_text("retention:\n  rules:\n  - {match: {severity_below: info}, keep: 1h}\n")
    sent(store, logs(log("x", NOW - 2 * HOUR, severity_number=5), log("y", NOW - 2 * HOUR, severity_number=9)))

    async def session(running: Sidecar) -> str:
        async with asyncio.timeout(20):
            while len(await asyncio.to_thread(ask, store, "SELECT FROM otel_logs_fact")) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            shown = 'postel_retention_deleted_records_total{rule="logs severity_below=9"} 1.0'
            while shown not in (found := running.telemetry.exposition().decode()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return found

    assert run(store, session, {"CONFIG": str(file)})


def test_the_command_applies_them(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "postel.yaml"
    file.write_text("retention: {rules: [{match: {service: batch}, keep: 2h}]}\n")
    sent(store, *everything(NOW - 5 * HOUR, "batch"), *everything(NOW - 5 * HOUR, "web"))
    assert main(["maintain", "--database-url", store, "--config", str(file)]) == 0
    assert "records deleted by rules of retention: 3" in capsys.readouterr().out
    assert left(store) == {(signal, "web"): 1 for signal in (SPANS, LOGS, METRICS)}


def test_a_rule_in_full(tmp_path: Path) -> None:
    file = tmp_path / "postel.yaml"
    file.write_text(
        """retention:
  logs: 14d
  rules:
    - {match: {severity_below: info}, keep: 2d}
    - match: {signal: logs, service: a, namespace: b, severity_below: 13}
      keep: 14d
"""
    )
    assert settings.load(file, {}).retention.rules == (
        Rule(Match(severity_below=9), 2 * 86_400),
        Rule(Match(LOGS, "a", "b", 13), 14 * 86_400),
    )
    assert settings.load(environ={}).retention.rules == ()


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("[{match: {servce: a}, keep: 2d}]", ":1: retention.rules[0].match.servce: unknown key, did you mean service?"),
        ("[{match: {service: a}, kepe: 2d}]", ":1: retention.rules[0].kepe: unknown key, did you mean keep?"),
        ("[{match: {service: a}}]", ":1: retention.rules[0].keep: must be given"),
        ("[{keep: 2d}]", ":1: retention.rules[0].match: must name service, namespace or severity_below"),
        ("[{match: {signal: logs}, keep: 2d}]", ":1: retention.rules[0].match: must name service"),
        ("[{match: {severity_below: loud}, keep: 2d}]", ":1: retention.rules[0].match.severity_below: must be one of"),
        (
            "[{match: {severity_below: trace}, keep: 2d}]",
            ":1: retention.rules[0].match.severity_below: must be a ",
        ),
        ("[{match: {severity_below: info, signal: spans}, keep: 2d}]", ":1: retention.rules[0].match.severity_below: "),
        ("[{match: {service: a, signal: trace}, keep: 2d}]", ":1: retention.rules[0].match.signal: must be one of"),
        ("[{match: {service: [a]}, keep: 2d}]", ":1: retention.rules[0].match.service: must be one value; is a list"),
        ("[{match: {service: a}, keep: 2}]", ":1: retention.rules[0].keep: must be a duration"),
        ("{match: {service: a}, keep: 2d}", ":1: retention.rules: must be a list of mappings; is a mapping"),
        ("[2d]", ":1: retention.rules[0]: must be a mapping of match, keep; is a string: 2d"),
    ],
)
def test_what_is_wrong_with_a_rule(rules: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "postel.yaml"
    file.write_text(f"retention: {{rules: {rules}}}\n")
    with pytest.raises(ConfigurationError) as caught:
        settings.load(file, {})
    assert caught.value.problems[0].startswith(f"{file}{expected}"), caught.value.problems


def test_no_rule_outlives_its_signal(tmp_path: Path) -> None:
    file = tmp_path / "postel.yaml"
    file.write_text("retention:\n  rules:\n  - match: {service: a}\n    keep: 8d\n")
    with pytest.raises(ConfigurationError) as caught:
        settings.load(file, {"POSTEL_RETENTION_SPANS": "7d", "POSTEL_RETENTION_LOGS": "8d"})
    assert list(caught.value.problems) == [
        f"{file}:4: retention.rules[0].keep: must be at most retention.spans (POSTEL_RETENTION_SPANS), "
        "as partitions are dropped as a whole; is 8d"
    ]
