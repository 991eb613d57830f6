"""The oracle sees what is wrong: a record too few, one too many, one from nowhere, a count that does not add up."""

from collections.abc import Iterator

import pytest

from exporter.otlp.records import SPANS
from tests.faults.bodies import Plan
from tests.faults.life import Life, living_on
from tests.faults.oracle import Verdict, judge_metrics
from tests.faults.outcome import verdict_of
from tests.faults.sender import Manner, Sender

LOG_AGAIN = """INSERT INTO otel_logs_fact
SELECT trace_key, time_unix_nano, log_id + 1, resource_id, series_id, observed_time_unix_nano, span_id,
sent_time_unix_nano, dropped_attributes_count, flags, has_trace, {}, body_other, attributes
FROM otel_logs_fact ORDER BY log_id DESC LIMIT 1"""
POINT = "(SELECT max(value_int) FROM otel_metrics_data_points_number)"
SPAN = "(SELECT span_id FROM otel_spans_fact LIMIT 1)"


@pytest.fixture
def sent(database_url: str) -> Iterator[tuple[Life, Sender]]:
    """A server, and what was sent to it."""
    with living_on(database_url) as life, Sender([life.url], Plan(), Manner(bodies=8, pace_s=0)) as sender:
        sender.finish()
        yield life, sender


def found(life: Life, sender: Sender, *statements: str) -> Verdict:
    """The verdict after somebody tampered with the database."""
    life.execute(*statements)
    return verdict_of(life.postgres_url, sender)


def test_the_oracle_sees_what_is_wrong(sent: tuple[Life, Sender]) -> None:
    life, sender = sent
    verdict = verdict_of(life.postgres_url, sender, [life.url])
    assert (verdict.problems, verdict.lost, verdict.duplicates) == ([], 0, 0)
    assert verdict.sent == verdict.acknowledged == 6 * 8 * 20
    assert sender.records(SPANS, refused=True) > 0

    verdict = found(life, sender, LOG_AGAIN.format("body"))
    assert verdict.duplicates == 1
    assert "logs: 1 records are stored again" in verdict.problems
    verdict = found(life, sender, "UPDATE otel_logs_fact SET body = 'record 99999999' WHERE log_id % 2 = 1")
    assert "logs: 1 bodies are stored that were never sent" in verdict.problems
    assert verdict.lost > 0


def test_the_oracle_sees_what_is_missing(sent: tuple[Life, Sender]) -> None:
    life, sender = sent
    verdict = found(life, sender, f"DELETE FROM otel_span_events WHERE span_id = {SPAN}")
    assert verdict.problems == ["1 more spans than events, of which each span has one"]
    verdict = found(life, sender, f"DELETE FROM otel_metrics_data_points_number WHERE value_int = {POINT}")
    assert verdict.lost == 1
    assert "metrics: 1 acknowledged records are not stored" in verdict.problems


def test_the_oracle_sees_counts_that_are_wrong(sent: tuple[Life, Sender]) -> None:
    life, sender = sent
    number = next(number for number, body in sender.sent.items() if body.signal == SPANS)
    sender.sent[number].records += 1
    assert any("but the ledger has" in problem for problem in verdict_of(life.postgres_url, sender).problems)
    assert judge_metrics([life.url], sender) != []
    sender.sent[number].records -= 1
    assert judge_metrics([life.url], sender) == []
    less = "UPDATE otel_ingest_ledger SET stored = stored - 1 WHERE signal = 'logs'"
    assert any("do not add up" in problem for problem in found(life, sender, less).problems)
    verdict = found(life, sender, "DELETE FROM otel_rejected_records WHERE signal = 'spans'")
    assert any("refused records kept" in problem for problem in verdict.problems)


def test_a_sender_sends_the_same_body_again_until_it_is_taken(sent: tuple[Life, Sender]) -> None:
    life, _ = sent
    refused = Life(life.port + 1)
    with Sender([refused.url, life.url], Plan(), Manner(connections=2, bodies=4), first=1 << 20) as sender:
        sender.finish()
    assert sender.wrong == []
    assert sender.statuses()[200] == 8
    assert sender.statuses()[0] > 0
