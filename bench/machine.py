"""What a run ran on: figures mean nothing without it."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

_SHOWN = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "wal_compression")


async def describe(server_url: str, load_before: float) -> str:
    """Date, machine, versions and the PostgreSQL settings that matter, in one line of Markdown.

    `load_before` is the load average before the run: above some tenths, others were at work and figures are low.
    """
    connection = await asyncpg.connect(server_url)
    try:
        version = await connection.fetchval("SHOW server_version")
        settings = [f"{name} = {await connection.fetchval(f'SHOW {name}')}" for name in _SHOWN]
    finally:
        await connection.close()
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {len(os.sched_getaffinity(0))} cores ({_cpu()}) shared by client,"
        f" server and PostgreSQL; {_memory_gib():.0f} GiB; load before the run {load_before:.2f};"
        f" Linux {platform.release()}; Python {platform.python_version()}; PostgreSQL {version}"
        f" ({', '.join(settings)}); Postel at {_commit()}."
    )


def _commit() -> str:
    """The checkout's commit; `-dirty` where files differ from it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "an unknown commit"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
