"""One run: the corpus, a PostgreSQL server in a temporary folder, and alternating rounds of the sides."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct

from bench.corpus import make_corpus
from bench.machine import describe
from bench.measure import Load
from bench.rounds import DEFAULT_CONNECTIONS, SETTLE_S, Bench
from bench.sides import FLOOR, POSTEL_JSON, SIDES, order
from bench.targets import Round
from exporter.embedded import EmbeddedPostgres

_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Plan(Struct, frozen=True):
    """What to run; `records` by signal, multiples of 1,000."""

    records: Mapping[str, int]
    rounds: int
    sides: tuple[str, ...] = SIDES
    connections: int = DEFAULT_CONNECTIONS
    settle_s: float = SETTLE_S


async def run(plan: Plan) -> tuple[dict[str, list[Round]], str]:
    """Signal -> rounds, and what the machine was. Raises PostelError when a side fails or loses a record."""
    load_before = os.getloadavg()[0]
    with _folder() as folder:
        began = time.monotonic()
        with_json = POSTEL_JSON in plan.sides
        await asyncio.to_thread(partial(make_corpus, folder, plan.records, with_json=with_json))
        _say(f"made {sum(plan.records.values()):,} records in {time.monotonic() - began:.0f} s")
        embedded = EmbeddedPostgres(folder / "postgres", _DURABLE)
        try:
            url = await embedded.start()
            bench = Bench(url, folder, plan.connections, settle_s=plan.settle_s, keep_rows=FLOOR in plan.sides)
            results = await run_rounds(bench, plan)
            return results, await describe(url, load_before)
        finally:
            await embedded.stop()


async def run_rounds(bench: Bench, plan: Plan) -> dict[str, list[Round]]:
    """Signal -> rounds, in each of which every side had its turn."""
    results: dict[str, list[Round]] = {signal: [] for signal in plan.records}
    for number in range(plan.rounds):
        for signal, rounds in results.items():
            done: dict[str, Load] = {}
            for side in order(plan.sides, number):
                load = done[side] = await bench.load(side, signal, vacuum=number == 0)
                _say(
                    f"round {number + 1}/{plan.rounds} {signal:<6} {side:<12} {load.rate:>8,.0f} records/s"
                    f" {load.bytes_per_record:>6,.0f} bytes/record"
                )
            rounds.append(done)
    return results


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="postel-bench-"))
    # As root, PostgreSQL runs as another account, which has to get through to its own folder.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
