"""PostgreSQL in trouble: frozen, out of reach, read-only, failed over, full, locked: rows 7 to 9."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import httpx
from msgspec import Struct

from tests.faults.kills import locked_for
from tests.faults.life import Life, living, living_on
from tests.faults.outcome import Outcome, longest_answer_s, verdict_of
from tests.faults.proxy import proxying
from tests.faults.sender import Sender
from tests.faults.standby import replicated

IMPATIENT = {"REQUEST_DEADLINE": "2s", "STATEMENT_TIMEOUT": "1s"}
"""For short faults: so that they outlast what requests wait for."""
ANSWER_S = 10.0
"""SDKs give up after this long."""
BUSY_S = 3.0
"""Allowed on top of every limit, as the machine may be busy."""
_BACK_S = 15.0
_CONNECTIONS = 40


class Probes(Struct):
    """What was asked beside the load: slowest /healthz, and statuses of /readyz and of a read."""

    slowest_health_s: float = 0.0
    ready: list[int] = []
    read: list[int] = []


def postgres_frozen(seconds: float, settings: Mapping[str, str]) -> Outcome:
    """Row 7: SIGSTOP of every process of PostgreSQL for a while."""
    with living(settings=settings) as life, Sender([life.url]) as sender:
        sender.wait_for(10)
        frozen = processes_of(int(life.postmaster[0]))
        print("frozen:", *frozen, flush=True)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        probes = probe_for(life, seconds)
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        return _recovered(f"PostgreSQL frozen for {seconds:g} s", life, sender, probes)


def black_holed(seconds: float, settings: Mapping[str, str], database_url: str) -> Outcome:
    """Row 7: nothing passes between sidecar and PostgreSQL for a while, though connections stay open."""
    with proxying(database_url) as proxy, living_on(proxy.url, settings) as life, Sender([life.url]) as sender:
        sender.wait_for(10)
        proxy.silent = True
        probes = probe_for(life, seconds)
        proxy.silent = False
        return _recovered(f"connections black-holed for {seconds:g} s", life, sender, probes)


def half_open(times: int, settings: Mapping[str, str], database_url: str) -> Outcome:
    """Row 7: the other end of every connection is gone, and nobody said so."""
    with proxying(database_url) as proxy, living_on(proxy.url, settings) as life, Sender([life.url]) as sender:
        probes = Probes()
        for _ in range(times):
            sender.wait_for(10)
            proxy.forsake()
            probes = probe_for(life, 1)
            sender.wait_for(5)
        return _recovered("half-open connections", life, sender, probes, times)


def turned_read_only(seconds: float, settings: Mapping[str, str]) -> Outcome:
    """Row 8: the primary turns read-only under open connections, and writable again."""
    with living(settings=settings) as life, Sender([life.url]) as sender:
        sender.wait_for(10)
        life.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        time.sleep(0.5)
        probes = probe_for(life, seconds)
        life.execute(
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )
        outcome = _recovered(f"primary read-only for {seconds:g} s", life, sender, probes)
        if set(probes.read) != {200} or 200 in probes.ready:
            outcome.problems.append(f"reads answered {set(probes.read)}, /readyz {set(probes.ready)}")
        return outcome


def failed_over() -> Outcome:
    """Row 8: the primary turns read-only and stays up, a synchronous standby is promoted, and the name moves to it."""
    with ExitStack() as stack:
        pair = stack.enter_context(replicated())
        proxy = stack.enter_context(proxying(pair.url))
        life = stack.enter_context(living_on(proxy.url))
        sender = stack.enter_context(Sender([life.url]))
        sender.wait_for(20)
        pair.fence()
        sender_sees(sender, 503)
        probes = probe_for(life, 0.5)
        pair.promote()
        # Where the name leads to from now on; connections to the old primary are not touched.
        proxy.move(pair.url)
        outcome = _recovered("primary read-only, standby promoted", life, sender, probes)
        outcome.problems.extend([] if set(probes.read) == {200} else [f"reads answered {set(probes.read)}"])
        return outcome


def disk_full(seconds: float, settings: Mapping[str, str]) -> Outcome:
    """Row 9: PostgreSQL's disk is full for a while."""
    with small_disk() as folder, living(folder / "data", settings) as life, Sender([life.url]) as sender:
        sender.wait_for(10)
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                fill(file.write, b"\0" * size)
            sender_sees(sender, 503)
            probes, until = Probes(), time.monotonic() + seconds
            while time.monotonic() < until:
                # What PostgreSQL frees meanwhile is filled as well.
                fill(file.write, b"\0" * (1 << 12))
                probes = probe_for(life, 0.5, probes)
        filler.unlink()
        outcome = _recovered(f"disk full for {seconds:g} s", life, sender, probes)
        if 503 not in probes.ready:
            outcome.missed.append(f"/readyz answered {set(probes.ready)}")
        return outcome


def no_connections_left(seconds: float, settings: Mapping[str, str]) -> Outcome:
    """Row 9: others hold every connection that PostgreSQL gives."""
    with living(settings=settings) as life, Sender([life.url]) as sender:
        sender.wait_for(10)
        probes = asyncio.run(_hold_connections(life, seconds))
        outcome = _recovered(f"max_connections reached for {seconds:g} s", life, sender, probes)
        if 503 not in probes.ready:
            outcome.problems.append(f"/readyz answered {set(probes.ready)}")
        return outcome


def table_locked(seconds: float, settings: Mapping[str, str]) -> Outcome:
    """Row 9: a fact table is locked for a while; bodies of the other signals pass meanwhile or wait, as they come."""
    with living(settings=settings) as life, Sender([life.url]) as sender:
        sender.wait_for(10)
        before = sender.acknowledged_bodies()
        locked_for(life, "otel_spans_fact", seconds)
        passed = sender.acknowledged_bodies() - before
        outcome = _recovered(f"a fact table locked for {seconds:g} s", life, sender, probe_for(life, 0.1))
        outcome.figures += f"; {passed} bodies passed meanwhile"
        return outcome


def probe_for(life: Life, seconds: float, probes: Probes | None = None) -> Probes:
    """Ask for health, readiness and a read for a while, beside the load."""
    probes = probes or Probes()
    until = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        life.get("/healthz")
        probes.slowest_health_s = max(probes.slowest_health_s, time.monotonic() - began)
        probes.ready.append(_status(life, "/readyz"))
        probes.read.append(_status(life, "/api/services?since=1h"))
        if time.monotonic() > until:
            return probes
        time.sleep(0.1)


def sender_sees(sender: Sender, status: int, within_s: float = 30.0) -> None:
    """Wait until the sender is answered this once more."""
    before, deadline = sender.statuses().get(status, 0), time.monotonic() + within_s
    while sender.statuses().get(status, 0) == before:
        assert time.monotonic() < deadline, f"never answered {status}: {sender.statuses()}"
        time.sleep(0.02)


def processes_of(postmaster: int) -> list[int]:
    """The process ids of a PostgreSQL server, its own first."""
    found = [postmaster]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == postmaster:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder that is a disk of its own, of 128 MiB; raises PermissionError where none may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="postel-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m,mode=755", "tmpfs", folder], capture_output=True)
    try:
        if mounted.returncode:
            raise PermissionError("a disk that can be filled takes the right to mount one")
        yield folder
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def fill(write: Callable[[bytes], int], block: bytes) -> None:
    """Write until nothing more fits."""
    try:
        while write(block) == len(block):
            pass
    except OSError:
        pass


async def _hold_connections(life: Life, seconds: float) -> Probes:
    held: list[asyncpg.Connection] = []
    try:
        deadline = time.monotonic() + 20
        while len(held) < _CONNECTIONS:
            assert time.monotonic() < deadline, f"only {len(held)} connections could be had"
            try:
                held.append(await asyncpg.connect(life.postgres_url))
            except asyncpg.TooManyConnectionsError:
                # Somebody else's: the sidecar's, of which each comes back only where one is left.
                mine = [connection.get_server_pid() for connection in held]
                await held[0].execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> ALL($1)",
                    mine,
                )
        return await asyncio.to_thread(probe_for, life, seconds)
    finally:
        for connection in held:
            await connection.close()


def _status(life: Life, path: str) -> int:
    try:
        return life.get(path).status_code
    except httpx.TransportError:
        return 0


def _recovered(fault: str, life: Life, sender: Sender, probes: Probes, times: int = 1) -> Outcome:
    """The outcome of a fault that has just ended: everything is acknowledged soon, and /readyz says so."""
    again_s = sender.wait_for(1)
    sender.finish()
    verdict = verdict_of(life.postgres_url, sender, [life.url])
    slowest = longest_answer_s(sender.attempts)
    if slowest > ANSWER_S + BUSY_S:
        verdict.problems.append(f"an answer took {slowest:.1f} s")
    if probes.slowest_health_s > BUSY_S:
        verdict.problems.append(f"/healthz took {probes.slowest_health_s:.1f} s")
    if (answer := life.get("/readyz")).status_code != 200:
        verdict.problems.append(f"/readyz is still {answer.status_code}: {answer.text.strip()}")
    missed = [f"{again_s:.1f} s until the next acknowledgement"] if again_s > _BACK_S else []
    missed += [f"an answer took {slowest:.1f} s"] if slowest > ANSWER_S else []
    statuses = sender.statuses()
    figures = (
        f"{statuses.get(503, 0)} times 503, {statuses.get(0, 0)} broken; slowest answer {slowest:.1f} s, slowest"
        f" /healthz {probes.slowest_health_s:.2f} s; acknowledged again after {again_s:.1f} s"
    )
    return Outcome(fault, times, verdict, figures, missed)
