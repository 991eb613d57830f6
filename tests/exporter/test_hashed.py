"""Hashed attributes and rules for log bodies from the body to the tables: the value is nowhere, its hash counts."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter import promotion
from exporter.cli import main
from exporter.otlp.http import Encoding
from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.promotion import Promotion
from exporter.sidecar import Sidecar
from tests.e2e.otlp_strategy import REQUESTS
from tests.exporter.sending import (
    NOW,
    any_value,
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
    totals,
)
from tests.exporter.test_drops import every_owner, tables_with
from tests.sql.rows import ask

SECRET = "hunter2"
HASHES = "SELECT attributes->>'password' AS hash FROM otel_span_events"


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Promotion]:
    """A promotion of overrides given as text."""

    def load(text: str) -> Promotion:
        (tmp_path / "overrides.yaml").write_text(text)
        return promotion.load(overrides=tmp_path / "overrides.yaml")

    return load


def hash_of(url: str, value: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `postel hash` prints."""
    assert main(["hash", value, "--database-url", url]) == 0
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize("pattern", ["password", "pass*"])
def test_only_the_hash_is_in_the_tables(
    store: str, load: Callable[[str], Promotion], pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = load(f"drop: {{hash: ['{pattern}']}}")

    async def session(running: Sidecar) -> None:
        for encoding in (Encoding.PROTOBUF, Encoding.JSON):
            for signal, body in every_owner("shop"):
                is_json = encoding is Encoding.JSON
                content = message_to_json(REQUESTS[signal].FromString(body)) if is_json else body
                assert (await send(running, signal, content, encoding)).rejected == 0
        kept = running.ingest._kept
        caches = [vars(part) for part in (kept.metrics, kept.dimensions)]
        for traces_or_logs in (kept.traces, kept.logs):
            caches += [vars(traces_or_logs), vars(traces_or_logs.cardinality)]
        caches += [vars(fragments) for fragments in (kept.traces._fragments, kept.metrics._fragments)]
        shown = [repr(cache) for cache in caches] + [repr(kept.promotion)]
        assert any("kept" in cache for cache in shown)
        assert not [cache for cache in shown if SECRET in cache], "no cache has its bytes"
        assert kept.dimensions._opaque, "and resources are known again all the same"

    run(store, session, lists=lists)
    assert tables_with(store, SECRET) == []
    hashed = hash_of(store, SECRET, capsys)
    found = set(tables_with(store, hashed))
    assert {"otel_resources_dim", "otel_span_series_dim", "otel_span_events", "otel_span_links"} <= found
    assert {"otel_log_series_dim", "otel_metric_series_dim", "otel_exemplars"} <= found


def test_metadata_of_a_metric(store: str, load: Callable[[str], Promotion], capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {"password": SECRET, "user.id": "42", "kept": "yes"}
    lists = load("drop: {metrics: [password], hash: [user.id]}")
    sent(store, metrics(gauge("g", point(1), metadata=attributes(given))), lists=lists)
    (row,) = ask(store, "SELECT metadata::text AS metadata FROM otel_metrics_dim")
    assert json.loads(row["metadata"]) == {"user.id": hash_of(store, "42", capsys), "kept": "yes"}


def test_users_can_be_counted_and_found(
    store: str, load: Callable[[str], Promotion], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two replicas; a user that one service sends as a number and another as text is one."""
    lists = load("promote: {spans: {int: [user.id]}}\ndrop: {hash: [user.id]}")
    for replica in range(2):
        users: list[Any] = [*range(100), *map(str, range(50, 150))]
        many = [span(replica + 1, i + 1, has={"user.id": user}) for i, user in enumerate(users)]
        assert totals(sent(store, spans(*many), lists=lists)) == (200, 0, 0)
    (row,) = ask(store, "SELECT count(DISTINCT attributes->>'user.id') AS n, count(*) FROM v_otel_spans_enriched")
    assert row == {"n": 150, "count": 400}
    hashed = hash_of(store, "77", capsys)
    find = f"SELECT count(*) AS n FROM v_otel_spans_enriched WHERE attributes->>'user.id' = '{hashed}'"
    assert ask(store, find) == [{"n": 4}]
    strings = "SELECT value AS v FROM otel_span_series_attrs_string AS a JOIN attribute_keys USING (key_id)"
    assert hashed in [row["v"] for row in ask(store, f"{strings} WHERE key = 'user.id'")], "promoted as a string"


def test_what_is_replayed_is_hashed_once(
    store: str, load: Callable[[str], Promotion], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = load("drop: {hash: [password]}")
    ask(store, "SELECT", given="ALTER TABLE otel_spans_fact ADD CONSTRAINT odd CHECK (span_id <> 617)")
    full = span(1, 617, has={"password": SECRET})
    full.events.add(name="e").attributes.extend(span(1, 1, has={"password": SECRET}).attributes)
    assert totals(sent(store, spans(full, resource={"password": 42}), lists=lists)) == (0, 0, 1)
    assert tables_with(store, SECRET) == []
    ask(store, "SELECT", given="ALTER TABLE otel_spans_fact DROP CONSTRAINT odd")
    monkeypatch.setattr(promotion, "load", lambda **_: lists)
    assert main(["replay", "--database-url", store]) == 0
    capsys.readouterr()
    hashed = hash_of(store, SECRET, capsys)
    assert ask(store, HASHES) == [{"hash": hashed}]
    rows = ask(
        store, "SELECT attributes->>'password' AS a, resource_attributes->>'password' AS r FROM v_otel_spans_enriched"
    )
    assert rows == [{"a": hashed, "r": hash_of(store, "42", capsys)}]


@pytest.mark.parametrize("signal", [SPANS, LOGS, METRICS])
@pytest.mark.parametrize("rule", ["spans: [other], logs: [other], metrics: [other]", "hash: [password]"])
def test_an_attribute_that_is_none_takes_only_its_record_with_it(
    store: str, load: Callable[[str], Promotion], signal: str, rule: str
) -> None:
    """Where there was a drop list, it took the whole body."""
    bodies = {
        SPANS: spans(*(span(1, i, has={"password": "x"}) for i in (1, 2))),
        LOGS: logs(*(log(str(i), has={"password": "x"}) for i in (1, 2))),
        METRICS: metrics(gauge("g", *(point(i, NOW + i, has={"password": "x"}) for i in (1, 2)))),
    }
    body = message_to_json(REQUESTS[signal].FromString(bodies[signal][1]))
    broken = {"spans: [other], logs: [other], metrics: [other]": b'"key":5', "hash: [password]": b'"key":"password"'}
    body = body.replace(
        b'"key":"password","value":{"stringValue":"x"}',
        broken[rule] + b',"value":{"intValue":"%b"}' % SECRET.encode(),
        1,
    )

    async def session(running: Sidecar) -> None:
        outcome = await send(running, signal, body, Encoding.JSON)
        assert (outcome.stored, outcome.rejected) == (1, 1)
        assert SECRET not in outcome.message

    run(store, session, lists=load(f"drop: {{{rule}}}"))
    if "hash" in rule:
        assert tables_with(store, SECRET) == []


BODIES = r"""
drop:
  log_body:
  - (?i)password=\S+
  - '\b\d{16}\b'
  - key: password
"""


def test_log_bodies(store: str, load: Callable[[str], Promotion]) -> None:
    structured = {"password": SECRET, "a": [{"password": 1}, "Password=hunter2 ok"], "password=": 5}
    given = ["password=hunter2 for 4111111111111111", structured, 4111111111111111, None]
    records = [log("x", at=NOW + i) for i in range(4)]
    for record, body in zip(records, given, strict=True):
        record.body.CopyFrom(any_value(body))
    assert totals(sent(store, logs(*records), lists=load(BODIES))) == (4, 0, 0)
    rows = ask(store, "SELECT body, body_other::text AS json FROM otel_logs_fact ORDER BY time_unix_nano")
    assert [row["body"] or (row["json"] and json.loads(row["json"])) for row in rows] == [
        "*** for ***",
        {"a": [{}, "*** ok"], "password=": 5},
        4111111111111111,
        None,
    ]


def test_bodies_of_refused_logs(store: str, load: Callable[[str], Promotion]) -> None:
    bad = {"flags": "x", "body": {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "password=x"}}]}}}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [bad, "password=x"]}]}]}).encode()

    async def session(running: Sidecar) -> None:
        outcome = await send(running, LOGS, body, Encoding.JSON)
        assert (outcome.rejected, "password" in outcome.message) == (2, False)

    run(store, session, lists=load(BODIES))
    rows = ask(store, "SELECT record FROM otel_rejected_records ORDER BY rejected_id")
    kept = {"flags": "x", "body": {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "***"}}]}}}
    assert [json.loads(row["record"]) for row in rows] == [kept, "***"]


@pytest.mark.parametrize("refused", [False, True], ids=["stored", "refused by PostgreSQL"])
def test_bodies_made_to_take_long_hold_up_nobody(store: str, load: Callable[[str], Promotion], refused: bool) -> None:
    if refused:
        ask(store, "SELECT", given="ALTER TABLE otel_logs_fact ADD CONSTRAINT odd CHECK (body NOT LIKE '***%')")

    async def session(running: Sidecar) -> float:
        longest, going = 0.0, True

        async def tick() -> None:
            nonlocal longest
            before = time.thread_time()
            while going:
                await asyncio.sleep(0.001)
                now = time.thread_time()
                longest, before = max(longest, now - before), now

        ticking = asyncio.create_task(tick())
        for records, size in ((1, 3_500), (1, 70_000), (300, 300)):
            outcome = await send(running, *logs(*(log("password=" * size) for _ in range(records))))
            assert (outcome.rejected if refused else outcome.stored) == records
        going = False
        await ticking
        return longest

    lists = load("drop: {log_body: ['password=(\\S+;)?']}")
    assert run(store, session, lists=lists, settings={"REQUEST_DEADLINE": "60s"}) < 0.1
