"""What a backfill costs ingest: records a second of a server under load, with `postel promote --backfill` and without.

`python -m bench.backfill`; the figures of docs/decisions/0013-promotion-changes-its-mind.md are its own.
"""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from statistics import median, quantiles
from urllib.request import urlopen

import asyncpg

from bench.database import empty_database
from bench.server import Server, serving
from bench.stage import Stage, on_stage
from bench.statements import statement
from exporter.backfill import Backfill, Target
from exporter.otlp.anyvalue import key_hash
from exporter.otlp.records import SPANS
from exporter.promotion import STRING

KEY, SERIES = "bench.key", 400_000
PAIRS, WINDOW_S, WARM_S = 20, 3.0, 8.0
_ACCEPTED = re.compile(rb"^postel_accepted_records_total\{.*\} (\S+)$", re.MULTILINE)


async def measure(stage: Stage) -> list[tuple[float, float]]:
    """Records a second beside a backfill and without one, in pairs of windows, each way first in every other one."""
    pairs = []
    async with empty_database(stage.url) as url, serving(url) as server:
        await _make_series(url)
        async with _loading(server):
            await asyncio.sleep(WARM_S)
            for turn in range(PAIRS):
                rates = {}
                for beside in (True, False) if turn % 2 else (False, True):
                    rates[beside] = await (_beside(url, server) if beside else _rate(server))
                pairs.append((rates[True], rates[False]))
                print(f"{turn + 1}/{PAIRS}: {rates[True]:,.0f} beside, {rates[False]:,.0f} without", file=sys.stderr)
    return pairs


async def _make_series(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement("insert-key", "backfill_series"), key_hash(KEY), KEY)
        await connection.execute(statement("insert-series", "backfill_series"), KEY, SERIES)
    finally:
        await connection.close()


@asynccontextmanager
async def _loading(server: Server) -> AsyncIterator[None]:
    """`postel load`, flat out."""
    command = (sys.executable, "-m", "exporter", "load", "--url", f"http://{server.host}:{server.port}")
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _beside(url: str, server: Server) -> float:
    """The rate beside a backfill, which goes on where the one before was cut off."""
    backfill = Backfill(url, Target(SPANS, KEY, frozenset({STRING})))
    task = asyncio.create_task(backfill.align())
    try:
        rate = await _rate(server)
        assert not task.done(), "there is nothing left to do: more series are needed"
        return rate
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await backfill.close()


async def _rate(server: Server) -> float:
    before, began = await _accepted(server), time.monotonic()
    await asyncio.sleep(WINDOW_S)
    return (await _accepted(server) - before) / (time.monotonic() - began)


async def _accepted(server: Server) -> float:
    def read() -> float:
        with urlopen(f"http://{server.host}:{server.port}/metrics", timeout=30) as answer:
            return sum(float(value) for value in _ACCEPTED.findall(answer.read()))

    return await asyncio.to_thread(read)


def main() -> None:
    """Print a line of figures."""
    pairs, machine = asyncio.run(on_stage(measure))
    beside, without = (median(rates) for rates in zip(*pairs, strict=True))
    low, middle, high = quantiles([with_it / alone for with_it, alone in pairs], n=4)
    print(f"| {PAIRS} | {beside:,.0f} / {without:,.0f} | {middle:.2f}, {low:.2f} and {high:.2f} |")
    print(machine)


if __name__ == "__main__":
    main()
