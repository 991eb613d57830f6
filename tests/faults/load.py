"""Much at once: sustained load, replicas, overload, large and slow bodies: rows 1 to 3, 15b, 16 and 17c."""

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tests.faults.bodies import Plan
from tests.faults.confined import confined
from tests.faults.life import asked, living_on
from tests.faults.outcome import MIB, Outcome, percentile, verdict_of
from tests.faults.sender import UNREACHABLE, Manner, Sender

MEMORY_BYTES = 256 * MIB
_P99_S = 0.5
_BACK_S = 30.0
RESOURCES = """SELECT (SELECT count(*) - count(DISTINCT service_name) FROM otel_resources_dim) AS doubled,
(SELECT count(*) FROM otel_resources_dim) AS resources,
(SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()) AS deadlocks"""


def sustained(seconds: float, peak_s: float, database_url: str) -> Outcome:
    """Row 1: mixed signals, at half of the rate that the same senders reach when they do not wait."""
    plan = Plan(size=500, again=0, refused=False)
    with living_on(database_url) as life, Sender([life.url], plan, Manner(connections=4, pace_s=0)) as sender:
        sender.wait_for(4)
        began, bodies = time.monotonic(), sender.acknowledged_bodies()
        time.sleep(peak_s)
        peak = (sender.acknowledged_bodies() - bodies) / (time.monotonic() - began)
        sender.pace_s = sender.manner.connections / (peak / 2)
        time.sleep(2 * sender.pace_s)
        began, bodies, first, memory = time.monotonic(), sender.acknowledged_bodies(), len(sender.attempts), [0]
        while time.monotonic() - began < seconds:
            time.sleep(seconds / 20)
            memory.append(life.memory("VmRSS"))
        rate = (sender.acknowledged_bodies() - bodies) / (time.monotonic() - began)
        p99_s = percentile(sender.attempts[first:], 0.99)
        sender.finish()
        verdict = verdict_of(life.postgres_url, sender, [life.url])
        most = life.memory()
    grown = max(memory[11:]) - max(memory[:11])
    missed = [f"p99 {p99_s * 1e3:.0f} ms"] if p99_s > _P99_S else []
    missed += [f"{most / MIB:.0f} MiB of memory"] if most > MEMORY_BYTES else []
    figures = (
        f"{rate * plan.size:,.0f} records/s, peak {peak * plan.size:,.0f}; p99 {p99_s * 1e3:.0f} ms; memory"
        f" {memory[-1] / MIB:.0f} MiB, most {most / MIB:.0f}, second half {grown / MIB:+.0f}"
    )
    return Outcome(f"mixed signals at half of peak for {seconds:g} s", 1, verdict, figures, missed)


def raced_dimensions(bodies: int, database_url: str) -> Outcome:
    """Row 2: three replicas get new dimensions at once from 8 writers, every other one in reversed order."""
    with three_replicas(database_url) as urls:
        plan = Plan(size=100, again=0, resources=100, repeats_resources=True)
        with Sender(urls, plan, Manner(connections=8, pace_s=0, bodies=bodies)) as sender:
            sender.finish(300)
        verdict = verdict_of(database_url, sender, urls)
    found = asyncio.run(asked(database_url, lambda connection: connection.fetch(RESOURCES)))[0]
    if set(sender.statuses()) != {200}:
        verdict.problems.append(f"answers: {sender.statuses()}")
    if found["doubled"] or found["resources"] != bodies * plan.resources:
        verdict.problems.append(f"{found['resources']} resources, {found['doubled']} of them again")
    figures = f"{found['resources']:,} resources, one row each; {found['deadlocks']} deadlocks inside, none surfaced"
    return Outcome("new dimensions to three replicas in reversed orders", 8 * bodies, verdict, figures)


def batched_again(bodies: int, database_url: str) -> Outcome:
    """Row 17c: three replicas share traces; 30 % of the spans and points come again in other bodies."""
    with three_replicas(database_url) as urls:
        with Sender(urls, Plan(again=0.43), Manner(connections=9, pace_s=0, bodies=bodies)) as sender:
            sender.finish(300)
        verdict = verdict_of(database_url, sender, urls)
    again = sum(body.records - body.refused for body in sender.sent.values()) - verdict.sent
    figures = f"{again:,} records more came again; the rollup is what the spans add up to"
    return Outcome("three replicas, shared traces, records batched again", 9 * bodies, verdict, figures)


def overload(seconds: float, settings: Mapping[str, str], senders: int, database_url: str) -> Outcome:
    """Row 3: `senders`, whose bodies are ten times what may be in flight, for a while."""
    plan = Plan(size=500, again=0, refused=False, padding=2_000)
    with living_on(database_url, settings) as life:
        with Sender([life.url], plan, Manner(connections=senders, pace_s=0, longest_wait_s=5)) as sender:
            time.sleep(seconds)
            before = time.monotonic()
            sender.finish(120)
            back_s = time.monotonic() - before
        most = life.memory()
        verdict = verdict_of(life.postgres_url, sender, [life.url])
    statuses = sender.statuses()
    if set(statuses) != {200, 503}:
        verdict.problems.append(f"answers: {statuses}")
    missed = [f"recovered after {back_s:.0f} s"] if back_s > _BACK_S else []
    if most > MEMORY_BYTES:
        verdict.problems.append(f"{most / MIB:.0f} MiB of memory")
    figures = (
        f"{senders} senders at once: {statuses.get(200, 0)} times 200, {statuses.get(503, 0)} times 503;"
        f" most memory {most / MIB:.0f} MiB; all acknowledged {back_s:.1f} s after it"
    )
    return Outcome(f"10 x overload for {seconds:g} s", 1, verdict, figures, missed)


def large_bodies(bodies: int, database_url: str, settings: Mapping[str, str] | None = None) -> Outcome:
    """Row 15b: bodies of almost 20 MiB all at once, to a server that has 256 MiB of memory."""
    plan = Plan(size=1_900, again=0, refused=False, padding=10_000)
    with confined(MEMORY_BYTES) as cell, living_on(database_url, settings, cell.launcher) as life:
        with Sender([life.url], plan, Manner(connections=bodies, bodies=1, timeout_s=60, longest_wait_s=5)) as sender:
            took_s = sender.finish(30 * bodies)
        alive = life.process is not None and life.process.poll() is None
        most = life.memory() if alive else 0
        verdict = verdict_of(life.postgres_url, sender, [life.url] if alive else ())
        verdict.problems += cell.kills()
    statuses = sender.statuses()
    # Who is still sending when the refusal comes may see no more than a connection that breaks: it tries again, too.
    if not alive or set(statuses) - {UNREACHABLE, 200, 503}:
        verdict.problems.append(f"answers: {statuses}, server {'alive' if alive else 'gone'}")
    figures = (
        f"{statuses.get(200, 0)} times 200, {statuses.get(503, 0)} times 503,"
        f" {statuses.get(UNREACHABLE, 0)} connections broken; all stored after {took_s:.0f} s;"
        f" most memory {most / MIB:.0f} MiB, {cell.bound}"
    )
    return Outcome(f"{bodies} bodies of 20 MiB at once", bodies, verdict, figures)


def slow_connections(number: int, seconds: float, database_url: str) -> Outcome:
    """Row 16: many connections whose bodies arrive a byte at a time, beside normal load."""
    with living_on(database_url) as life, Sender([life.url]) as sender:
        sender.wait_for(20)
        calm = len(sender.attempts)
        time.sleep(seconds)
        slow_from = len(sender.attempts)
        with dribbling(life.port, number) as dropped:
            time.sleep(seconds)
            slow_to = len(sender.attempts)
            sender.finish()
        without = percentile(sender.attempts[calm:slow_from], 0.99)
        beside = percentile(sender.attempts[slow_from:slow_to], 0.99)
        verdict = verdict_of(life.postgres_url, sender, [life.url])
    if set(sender.statuses()) != {200}:
        verdict.problems.append(f"answers: {sender.statuses()}")
    missed = [f"p99 {beside / without:.1f} x"] if beside > 2 * without else []
    figures = f"p99 {without * 1e3:.0f} ms without, {beside * 1e3:.0f} ms beside them; {len(dropped)} of them dropped"
    return Outcome(f"{number:,} slow connections", number, verdict, figures, missed)


@contextmanager
def three_replicas(database_url: str) -> Iterator[list[str]]:
    """The URLs of three servers on one database."""
    with ExitStack() as stack:
        yield [stack.enter_context(living_on(database_url)).url for _ in range(3)]


@contextmanager
def dribbling(port: int, number: int) -> Iterator[list[socket.socket]]:
    """Open connections that send a byte a second each; yields those that the server closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, number + 1024)), hard))
    head = b"POST /v1/logs HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
    opened: list[socket.socket] = []
    dropped: list[socket.socket] = []
    for _ in range(number):
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        opened[-1].sendall(head)
    over = threading.Event()

    def dribble() -> None:
        while not over.wait(1.0):
            for slow in [slow for slow in opened if slow not in dropped]:
                try:
                    slow.sendall(b" ")
                except OSError:
                    dropped.append(slow)

    thread = threading.Thread(target=dribble, daemon=True)
    thread.start()
    try:
        yield dropped
    finally:
        over.set()
        thread.join(10)
        for slow in opened:
            slow.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
