"""Processes that are killed, and commits whose outcome nobody is told: rows 4, 5, 6 and 10 of docs/reliability.md."""

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from tests.faults.bodies import Plan
from tests.faults.life import Life, living, living_on
from tests.faults.outcome import Outcome, longest_answer_s, verdict_of
from tests.faults.proxy import proxying
from tests.faults.sender import Manner, Sender

HOUR_S = 3600
_UP_S = 30.0


def sidecar_killed(times: int, longest_s: float = 0.6) -> Outcome:
    """Row 4: kill -9 of the sidecar at random moments; the next one adopts the PostgreSQL that it left."""
    rng = Random(4)
    with living() as life, Sender([life.url]) as sender:
        for _ in range(times):
            sender.wait_for(3)
            time.sleep(rng.random() * longest_s)
            life.end(signal.SIGKILL)
            life.start()
        sender.finish()
        verdict = verdict_of(life.postgres_url, sender)
        verdict.problems += _processes("serve ran as", life.pids, times + 1)
        return Outcome("kill -9 of the sidecar", times, verdict, _broken(sender))


def postgres_killed(times: int, longest_s: float = 0.6) -> Outcome:
    """Row 5: kill -9 of the embedded PostgreSQL at random moments, which `serve` starts again."""
    rng = Random(5)
    pids, waits, after_up = [], [], []
    with living() as life, Sender([life.url]) as sender:
        for _ in range(times):
            sender.wait_for(3)
            time.sleep(rng.random() * longest_s)
            pid = int(life.postmaster[0])
            pids.append(pid)
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            up = _wait_for_another(life, pid)
            sender.wait_for(1)
            waits.append(time.monotonic() - killed)
            after_up.append(time.monotonic() - up)
        sender.finish()
        verdict = verdict_of(life.postgres_url, sender, [life.url])
        verdict.problems += _processes("PostgreSQL ran as", [*pids, int(life.postmaster[0])], times + 1)
        verdict.problems += _processes("serve ran as", life.pids, 1)
    figures = f"acknowledged again {max(waits):.1f} s after the kill at most, {max(after_up):.1f} s after it was up"
    missed = [f"{max(after_up):.1f} s after it was up"] if max(after_up) > 10 else []
    return Outcome("kill -9 of PostgreSQL", times, verdict, figures, missed)


def commit_cut_off(times: int, database_url: str) -> Outcome:
    """Row 6: the reply to COMMIT is cut off; the sidecar finds out by itself what was committed."""
    with proxying(database_url, every=2) as proxy, living_on(proxy.url) as life:
        plan, manner = Plan(timeless=True, again=0), Manner()
        with Sender([life.url], plan, manner) as sender:
            sender.wait_for(10)
            proxy.armed = True
            while proxy.cuts < times:
                sender.wait_for(2)
            proxy.armed = False
            sender.finish()
        verdict = verdict_of(life.postgres_url, sender, [life.url])
        return Outcome("reply to COMMIT cut off", proxy.cuts, verdict, _broken(sender))


_AGEING = {"otel_ingest_ledger": "committed_at", "otel_minutes_watermark": "committed_until"}
"""Table -> what it knows of the time."""


def commit_cut_off_and_an_hour_passes(times: int, database_url: str) -> Outcome:
    """Row 6: the same, the sidecar is killed before it finds out, and the bodies come again an hour later."""
    again = 0
    with clock() as (file, launcher), proxying(database_url) as proxy, ExitStack() as stack:
        life = stack.enter_context(living_on(proxy.url, launcher=launcher))
        with Sender([life.url], Plan(timeless=True, again=0), Manner(connections=8)) as sender:
            for _ in range(times):
                sender.wait_for(10)
                proxy.armed, cuts = True, proxy.cuts
                while proxy.cuts < cuts + 2:
                    time.sleep(0.001)
                # Stopped first: it must not find out before it is killed.
                os.kill(life.pids[-1], signal.SIGSTOP)
                life.end(signal.SIGKILL)
                proxy.armed = False
                again += proxy.cuts - cuts
                file.write_text(str(int(file.read_text()) + HOUR_S))
                # What was marked of the ledger grows older with it.
                for table, column in _AGEING.items():
                    life.execute(f"UPDATE {table} SET {column} = {column} - INTERVAL '{HOUR_S} s'")
                life.start()
            sender.finish()
        verdict = verdict_of(life.postgres_url, sender)
        verdict.problems += _processes("serve ran as", life.pids, times + 1)
    return Outcome("the same, killed, the clocks moved on by 1 h before the retry", again, verdict, _broken(sender))


def sender_gave_up_waiting(seconds: float, database_url: str) -> Outcome:
    """Row 6: a sender that is too impatient comes back while its first attempt is still under way."""
    table = "otel_logs_fact"
    with living_on(database_url) as life:
        manner = Manner(timeout_s=0.4, longest_wait_s=0.1)
        with Sender([life.url], Plan(again=0), manner) as sender:
            sender.wait_for(10)
            locked_for(life, table, seconds)
            sender.wait_for(10)
            sender.finish()
        gave_up = sender.statuses().get(0, 0)
        verdict = verdict_of(life.postgres_url, sender, [life.url])
        if not gave_up:
            verdict.problems.append("nobody gave up waiting")
        return Outcome("the sender came back before its first attempt ended", gave_up, verdict)


def stopped_under_load(times: int, slow: int, grace_s: float = 8.0) -> Outcome:
    """Row 10: SIGTERM while bodies come in, some of them slowly."""
    took, codes = [], []
    with (
        living(settings={"SHUTDOWN_GRACE": f"{grace_s:g}s"}) as life,
        Sender([life.url], manner=Manner(pace_s=0)) as sender,
    ):
        for _ in range(times):
            sender.wait_for(20)
            halves = [_half_a_body(life.port) for _ in range(slow)]
            began = time.monotonic()
            codes.append(life.end(signal.SIGTERM))
            took.append(time.monotonic() - began)
            for half in halves:
                half.close()
            life.start()
        sender.finish()
        verdict = verdict_of(life.postgres_url, sender)
    verdict.problems += [f"exit codes {codes}"] if any(codes) else []
    # A second for the processor, which others use as well.
    missed = [f"exit after {max(took):.1f} s of {grace_s:g} s"] if max(took) > grace_s + 1 else []
    figures = f"gone {max(took):.1f} s after SIGTERM at most, with {slow} slow bodies open, of {grace_s:g} s"
    return Outcome("SIGTERM under load", times, verdict, figures, missed)


@contextmanager
def clock() -> Iterator[tuple[Path, list[str]]]:
    """A file with the seconds that a clock is moved on by, and the command that runs Postel under it."""
    with tempfile.NamedTemporaryFile("w", prefix="postel-clock-") as file:
        path = Path(file.name)
        path.write_text("0")
        yield path, [sys.executable, "-m", "tests.faults.moved_clock", file.name]


def locked_for(life: Life, table: str, seconds: float) -> None:
    """Lock a table against everybody for a while."""
    life.execute(f"BEGIN; LOCK TABLE {table}; SELECT pg_sleep({seconds}); COMMIT")


def _wait_for_another(life: Life, pid: int) -> float:
    """Wait until another PostgreSQL than this one is ready; the monotonic second at which it was seen."""
    deadline = time.monotonic() + _UP_S
    while True:
        try:
            lines = life.postmaster
            if int(lines[0]) != pid and lines[7].strip() == "ready":
                return time.monotonic()
        except (OSError, IndexError, ValueError):
            pass
        assert time.monotonic() < deadline, "PostgreSQL did not come back"
        time.sleep(0.01)


def _half_a_body(port: int) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=10)
    opened.sendall(
        b"POST /v1/logs HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n{"
    )
    return opened


def _processes(what: str, pids: list[int], expected: int) -> list[str]:
    """Print the processes before and after; a problem where a kill hit none."""
    print(what, *pids, flush=True)
    return [] if len(set(pids)) == expected else [f"{what} {pids}, expected {expected} of them"]


def _broken(sender: Sender) -> str:
    statuses = sender.statuses()
    return (
        f"{statuses.get(0, 0)} connections broken, {statuses.get(503, 0)} times 503,"
        f" slowest answer {longest_answer_s(sender.attempts):.1f} s"
    )
