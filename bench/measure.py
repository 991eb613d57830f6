"""What a run costs: CPU time and memory from /proc (so Linux only), and bytes from PostgreSQL's catalogue."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
from msgspec import Struct

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_BYTES = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
"""

Mark = tuple[float, int]
"""When a commit or an acknowledgement was seen (seconds), and of how many records."""


class Load(Struct):
    """One side's loading of one signal, in one round."""

    records: int
    rate: float
    late_rate: float
    """Records/s of the second half of the records."""
    python_cpu_s: float
    postgres_cpu_s: float
    peak_rss_bytes: int
    idle_rss_bytes: int = 0
    marks: list[Mark] = []
    """When how many more records were durable, in seconds since the first of them was sent or decoded."""
    latencies_s: list[float] = []
    """From sending a body to its acknowledgement."""
    client_cpu_s: float = 0.0
    stored: int = 0
    bytes_loaded: int = 0
    bytes_vacuumed: int = 0
    """0 where it was not measured."""

    @property
    def bytes_per_record(self) -> float:
        """With indexes, dimensions and all, after the load."""
        return self.bytes_loaded / self.records

    @property
    def python_us(self) -> float:
        """Python's CPU time a record."""
        return self.python_cpu_s / self.records * 1e6

    @property
    def postgres_us(self) -> float:
        """PostgreSQL's CPU time a record."""
        return self.postgres_cpu_s / self.records * 1e6

    def rate_of_first(self, records: int) -> float:
        """Records/s until so many were durable."""
        done = 0
        for at_s, count in self.marks:
            done += count
            if done >= records:
                return done / at_s
        raise ValueError(f"only {done:,} of {records:,} records were loaded")


class Clock:
    """Measures from its making to `load()`; `mark` notes progress."""

    def __init__(self, began: float, python_pid: int, postmaster_pid: int) -> None:
        self._began, self._python_pid, self._postmaster_pid = began, python_pid, postmaster_pid
        self._marks: list[Mark] = []
        self._cpu = self._cpus()

    def mark(self, now: float, records: int) -> None:
        """Note that so many more records are durable."""
        self._marks.append((now, records))

    def load(self) -> Load:
        """The figures up to the last mark."""
        python, postgres = (after - before for before, after in zip(self._cpu, self._cpus(), strict=True))
        records = sum(count for _, count in self._marks)
        elapsed = self._marks[-1][0] - self._began
        return Load(
            records,
            records / elapsed,
            late_rate(self._marks),
            python,
            postgres,
            peak_rss_bytes(self._python_pid),
            marks=[(now - self._began, count) for now, count in self._marks],
        )

    def _cpus(self) -> tuple[float, float]:
        return cpu_s(self._python_pid), postgres_cpu_s(self._postmaster_pid)


def late_rate(marks: Sequence[Mark]) -> float:
    """Records/s after half of all records were durable."""
    half = sum(count for _, count in marks) / 2
    done = 0
    for index, (time, count) in enumerate(marks[:-1]):
        done += count
        if done >= half:
            rest = sum(count for _, count in marks[index + 1 :])
            return rest / (marks[-1][0] - time)
    return 0.0


def cpu_s(pid: int) -> float:
    """User and system time of a process so far, all its threads."""
    return sum(_times(pid)[:2])


def cpu_with_reaped_s(pid: int) -> float:
    """CPU time so far of a process and of those below it that have exited."""
    return sum(_times(pid))


def postgres_cpu_s(postmaster_pid: int) -> float:
    """CPU time so far of a PostgreSQL server with its backends, workers and writers, also of those that have exited.

    A postmaster's cutime and cstime hold the time of every child that it has reaped; what runs is added. Between the
    two a child's time is missing for moments only, so no sampling is needed.
    """
    return sum(_times(postmaster_pid)) + sum(cpu_s(pid) for pid in children(postmaster_pid))


def children(parent_pid: int) -> Iterable[int]:
    """The processes that a process has started and not reaped."""
    found: list[int] = []
    for task in Path(f"/proc/{parent_pid}/task").iterdir():
        # A thread that has ended meanwhile has left its children to another one.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (task / "children").read_text().split())
    return found


def parent_of(pid: int) -> int:
    """The process that has started this one."""
    return int(_fields(pid)[1])


async def postmaster_of(connection: Any) -> int:
    """The process id of the PostgreSQL server behind a connection."""
    return parent_of(await connection.fetchval("SELECT pg_backend_pid()"))


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return _status_bytes(pid, "VmRSS")


def peak_rss_bytes(pid: int) -> int:
    """The most resident memory that a process ever had."""
    return _status_bytes(pid, "VmHWM")


async def database_bytes(url: str, *, vacuum: bool = False) -> int:
    """What the tables of a database take with indexes and TOAST; with `vacuum`, after VACUUM ANALYZE."""
    connection = await asyncpg.connect(url)
    try:
        if vacuum:
            await connection.execute("VACUUM ANALYZE")
        size: int = await connection.fetchval(_BYTES)
    finally:
        await connection.close()
    return size


async def count_rows(url: str, tables: Iterable[str]) -> int:
    """How many rows some tables hold together."""
    connection: Any = await asyncpg.connect(url)
    try:
        counts = [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
    finally:
        await connection.close()
    return sum(counts)


def _fields(pid: int) -> list[str]:
    # The name in parentheses may hold spaces: fields are counted after it, so that [0] is the state.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _times(pid: int) -> list[float]:
    """Seconds: utime, stime, cutime, cstime; nothing of a process that has gone meanwhile."""
    try:
        return [int(field) / _TICKS_PER_S for field in _fields(pid)[11:15]]
    except (FileNotFoundError, ProcessLookupError):
        return [0.0] * 4


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/{pid}/status has no {name}")
