"""Minutes are computed behind the writers: each that is due, once, whoever dies meanwhile and however many do it."""

import asyncio
import time
from random import Random
from typing import Any

import pytest

from exporter.cli import main
from exporter.database import Database
from exporter.maintenance import maintain
from exporter.minutes import MINUTE_NANO, Minutes, Pace
from exporter.otlp.records import LOGS, SPANS
from exporter.partitions import SIGNALS, Partitions
from exporter.sidecar import Sidecar
from tests.exporter.sending import DAY, HOUR, NOW, SECOND, log, logs, run, send, sent, span, spans
from tests.sql.rows import ask

DAYS = dict.fromkeys(SIGNALS, 86_400.0)
EAGER = Pace(lag_s=0, settle_s=0, patience_s=0)
DUE = "SELECT signal, minute_unix_nano AS minute FROM otel_due_minutes ORDER BY 1, 2"
COUNTED = """SELECT (SELECT coalesce(sum(calls), 0) FROM otel_operation_minutes)::int AS spans,
(SELECT coalesce(sum(records), 0) FROM otel_log_minutes)::int AS logs"""


async def look(running: Sidecar, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """The rows of a statement, asked beside a running sidecar."""
    return await asyncio.to_thread(ask, running.database_url, statement, *arguments)


def minutes_of(running: Sidecar, pace: Pace = EAGER) -> Minutes:
    """What computes the minutes of a running sidecar's database."""
    return Minutes(running._control, running._partitions, pace)


def computed(url: str, pace: Pace = EAGER) -> int:
    """How many minutes a process computes that does nothing else."""

    async def session() -> int:
        database = Database(url, 1, 8.0)
        try:
            return await Minutes(database, Partitions(database, DAYS, 2), pace).roll_up()
        finally:
            await database.close()

    return asyncio.run(session())


def some(rng: Random, count: int) -> list[tuple[str, bytes]]:
    """So many bodies of five spans and as many of five logs, within two hours."""
    bodies: list[tuple[str, bytes]] = []
    for _ in range(count):
        times = [NOW - rng.randrange(2 * HOUR) for _ in range(5)]
        made = [span(rng.getrandbits(100) + 1, rng.getrandbits(60) + 1, at, kind=2) for at in times]
        bodies.append(spans(*made, resource={"service.name": f"s{rng.randrange(3)}"}))
        bodies.append(logs(*(log("x", at, {"n": rng.random()}) for at in times)))
    return bodies


def test_what_was_committed_is_due_and_then_computed(store: str) -> None:
    bodies = [spans(span(1, 1, NOW), span(1, 2, NOW + 2 * MINUTE_NANO)), logs(log("a"), log("b"))]
    sent(store, *bodies)
    assert computed(store, Pace(lag_s=60)) == 0
    assert ask(store, DUE) == [], "who may still be writing is waited for"
    assert computed(store, Pace(lag_s=0, settle_s=10 * 3600)) == 0, "until the minute is over for so long"
    expected = [(LOGS, NOW), (SPANS, NOW), (SPANS, NOW + 2 * MINUTE_NANO)]
    assert [(row["signal"], row["minute"]) for row in ask(store, DUE)] == expected
    assert computed(store) == 3
    assert ask(store, DUE) == []
    assert ask(store, COUNTED) == [{"spans": 2, "logs": 2}]
    assert computed(store) == 0


def test_a_body_that_does_not_say_where_its_records_lie_may_have_them_anywhere(store: str) -> None:
    sent(store, spans(span(1, 1, NOW - 2 * HOUR), span(1, 2)))
    ask(store, "UPDATE otel_ingest_ledger SET key_ranges_unix_nano = NULL")
    assert computed(store) == 121
    assert ask(store, COUNTED) == [{"spans": 2, "logs": 0}]


def test_what_comes_late_waits_as_long_as_it_was_late(store: str) -> None:
    ages_s = (100, 1000, 5000)
    now = time.time_ns()
    patient = Pace(lag_s=0, settle_s=0, patience_s=240)
    sent(store, *(spans(span(age_s, 1, now - age_s * SECOND)) for age_s in ages_s))
    assert computed(store, patient) == 0
    waited = "UPDATE otel_due_minutes SET marked_at = marked_at - make_interval(secs => $1)"
    ask(store, waited, 105)
    assert computed(store, patient) == 1, "the youngest one"
    ask(store, waited, 105)
    assert computed(store, patient) == 0
    ask(store, waited, 35)
    assert computed(store, patient) == 2, "nothing waits for ever"


def test_a_writer_that_is_slow_is_waited_for(store: str) -> None:
    async def session(running: Sidecar) -> None:
        slow = Database(store, 1, 8.0, "postel writer")
        async with slow.transaction() as connection:
            await connection.fetchval("SELECT now()")
            await send(running, *spans(span(1, 1)))
            assert await minutes_of(running).roll_up() == 0
        assert await minutes_of(running).roll_up() == 1
        await slow.close()

    run(store, session)


def test_a_ledger_of_days_is_read_an_hour_at_a_time(store: str) -> None:
    sent(store, *some(Random(1), 4))
    ask(
        store,
        """UPDATE otel_ingest_ledger SET committed_at = now() - interval '2 hours' * n
        FROM (SELECT body_digest AS d, row_number() OVER () AS n FROM otel_ingest_ledger) AS a WHERE d = body_digest""",
    )
    ask(store, "UPDATE otel_minutes_watermark SET committed_until = now() - interval '100 days'")
    assert computed(store) > 1
    assert ask(store, COUNTED) == [{"spans": 20, "logs": 20}]
    lag = ask(store, "SELECT now() - committed_until < interval '1 hour' AS small FROM otel_minutes_watermark")
    assert lag == [{"small": True}]


def test_only_one_of_several_works_in_a_while(store: str) -> None:
    sent(store, *some(Random(5), 2))
    assert computed(store, Pace(lag_s=0, settle_s=0, patience_s=0, pause_s=60)) > 0
    sent(store, *some(Random(6), 2))
    assert computed(store, Pace(lag_s=0, settle_s=0, patience_s=0, pause_s=60)) == 0
    assert computed(store) > 0


def test_several_at_once_compute_each_minute_once(store: str) -> None:
    rng = Random(2)

    async def session(running: Sidecar) -> None:
        for body in some(rng, 30):
            await send(running, *body)
        other = Database(store, 1, 8.0)
        workers = [minutes_of(running), Minutes(other, Partitions(other, DAYS, 2), EAGER)]
        await running._control.retrying(workers[0]._mark)
        due = len(await look(running, DUE))
        assert 0 < sum(await asyncio.gather(*(worker.roll_up() for worker in workers))) <= due
        for _ in range(3):
            late = [send(running, *body) for body in some(rng, 5)]
            await asyncio.gather(*late, *(worker.roll_up() for worker in workers))
        await workers[0].roll_up()
        await other.close()

    run(store, session)
    assert ask(store, DUE) == []
    assert ask(store, COUNTED) == [{"spans": 225, "logs": 225}]


def test_who_dies_midway_leaves_nothing_half_done(store: str) -> None:
    rng = Random(3)
    alive = "SELECT pid FROM pg_stat_activity WHERE application_name = 'postel minutes'"
    kill = alive.replace("pid", "pg_terminate_backend(pid)")

    async def session(running: Sidecar) -> None:
        for number in range(20):
            for body in some(rng, 2):
                await send(running, *body)
            own = Database(store, 1, 8.0, "postel minutes")
            task = asyncio.create_task(Minutes(own, running._partitions, EAGER).roll_up())
            await asyncio.sleep(rng.random() * 0.1)
            if number % 2:
                task.cancel()
            else:
                await look(running, kill)
            await asyncio.gather(task, return_exceptions=True)
            await own.close()
        # What was cut off may hold its lock until PostgreSQL notices.
        while await look(running, alive):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await minutes_of(running).roll_up()

    run(store, session)
    assert ask(store, DUE) == []
    assert ask(store, COUNTED) == [{"spans": 200, "logs": 200}]


def test_a_round_ends_when_its_time_is_up(store: str) -> None:
    async def session(running: Sidecar) -> None:
        for body in some(Random(4), 10):
            await send(running, *body)
        minutes = minutes_of(running)
        assert await minutes.roll_up(0.0) == 0
        assert minutes.due[SPANS] > 0
        assert await minutes.roll_up(60.0) > 0
        assert minutes.due == {SPANS: 0, LOGS: 0}

    run(store, session)


def test_minutes_leave_with_their_records(store: str) -> None:
    old = NOW - 10 * DAY
    sent(store, spans(span(1, 1, old), span(1, 2)), logs(log("a", old), log("b")))
    assert computed(store) == 4
    assert ask(store, COUNTED) == [{"spans": 2, "logs": 2}]
    ask(store, "INSERT INTO otel_due_minutes VALUES ('spans', $1, to_timestamp(0))", old)

    async def session(running: Sidecar) -> list[str]:
        dropped = await maintain(running._control, running._partitions, running.settings)
        assert await minutes_of(running).roll_up() == 1
        return dropped

    dropped = run(store, session, {"RETENTION_SPANS": "3d", "RETENTION_LOGS": "3d"})
    assert {name.rpartition("_p")[0] for name in dropped} > {
        "otel_operation_minutes",
        "otel_edge_minutes",
        "otel_log_minutes",
    }
    assert ask(store, COUNTED) == [{"spans": 1, "logs": 1}]
    assert ask(store, "SELECT FROM otel_partitions WHERE lower_unix_nano <= $1", old) == [], "no partition came back"


def test_partitions_of_an_interval_that_was_changed(store: str) -> None:
    sent(store, spans(span(1, 1)))
    ask(
        store,
        """DO $$ DECLARE name text; BEGIN
        FOR name IN DELETE FROM otel_partitions WHERE parent = 'otel_operation_minutes' RETURNING partition LOOP
            EXECUTE format('DROP TABLE %I', name);
        END LOOP; END $$""",
    )
    assert computed(store) == 1
    assert ask(store, COUNTED) == [{"spans": 1, "logs": 0}]


def test_a_pruned_body_leaves_its_minutes_due(store: str) -> None:
    sent(store, spans(span(1, 1)), logs(log("a")))
    ask(store, "UPDATE otel_ingest_ledger SET committed_at = now() - interval '1 day'")
    ask(store, "UPDATE otel_minutes_watermark SET committed_until = now() - interval '2 days'")

    async def session(running: Sidecar) -> None:
        await maintain(running._control, running._partitions, running.settings)

    run(store, session)
    assert ask(store, "SELECT FROM otel_ingest_ledger") == []
    assert len(ask(store, DUE)) == 2
    assert computed(store) == 2
    assert ask(store, COUNTED) == [{"spans": 1, "logs": 1}]


def test_the_server_computes_them_and_goes_on_after_trouble(
    store: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("exporter.sidecar._MINUTES_S", 0.02)
    monkeypatch.setattr("exporter.sidecar.BEHIND", EAGER)

    async def until_counted(running: Sidecar, spans_counted: int) -> None:
        while (await look(running, COUNTED))[0]["spans"] < spans_counted:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def session(running: Sidecar) -> str:
        async with asyncio.timeout(20):
            await send(running, *spans(span(1, 1)))
            await until_counted(running, 1)
            await look(running, "ALTER TABLE otel_operation_minutes RENAME TO away")
            await send(running, *spans(span(1, 2)))
            while "minutes: put off" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await look(running, "ALTER TABLE away RENAME TO otel_operation_minutes")
            await until_counted(running, 2)
        return running.telemetry.exposition().decode()

    assert 'postel_due_minutes{signal="spans"}' in run(store, session)


def test_the_command_computes_them(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    sent(store, spans(span(1, 1)))
    ask(store, "UPDATE otel_ingest_ledger SET committed_at = now() - interval '1 minute'")
    assert main(["maintain", "--database-url", store]) == 0
    assert "minutes that were due and are computed: 1" in capsys.readouterr().out
    assert ask(store, COUNTED) == [{"spans": 1, "logs": 0}]
