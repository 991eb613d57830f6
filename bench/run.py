"""One run: the corpus, and alternating rounds of the sides."""

import asyncio
import time
from collections.abc import Mapping
from functools import partial

from msgspec import Struct

from bench.command import say
from bench.corpus import make_corpus
from bench.measure import Load
from bench.rounds import Bench
from bench.sides import FLOOR, POSTEL_JSON, SIDES, order
from bench.stage import DEFAULT_CONNECTIONS, SETTLE_S, Stage, on_stage
from bench.targets import Round


class Plan(Struct, frozen=True):
    """What to run; `records` by signal, multiples of 1,000."""

    records: Mapping[str, int]
    rounds: int
    sides: tuple[str, ...] = SIDES
    connections: int = DEFAULT_CONNECTIONS
    settle_s: float = SETTLE_S


async def run(plan: Plan) -> tuple[dict[str, list[Round]], str]:
    """Signal -> rounds, and what the machine was. Raises PostelError when a side fails or loses a record."""
    return await on_stage(partial(_run, plan))


async def _run(plan: Plan, stage: Stage) -> dict[str, list[Round]]:
    began = time.monotonic()
    with_json = POSTEL_JSON in plan.sides
    await asyncio.to_thread(partial(make_corpus, stage.folder, plan.records, with_json=with_json))
    say(f"made {sum(plan.records.values()):,} records in {time.monotonic() - began:.0f} s")
    bench = Bench(stage, plan.connections, settle_s=plan.settle_s, keep_rows=FLOOR in plan.sides)
    return await run_rounds(bench, plan)


async def run_rounds(bench: Bench, plan: Plan) -> dict[str, list[Round]]:
    """Signal -> rounds, in each of which every side had its turn."""
    results: dict[str, list[Round]] = {signal: [] for signal in plan.records}
    for number in range(plan.rounds):
        for signal, rounds in results.items():
            done: dict[str, Load] = {}
            for side in order(plan.sides, number):
                load = done[side] = await bench.load(side, signal, vacuum=number == 0)
                say(
                    f"round {number + 1}/{plan.rounds} {signal:<6} {side:<12} {load.rate:>8,.0f} records/s"
                    f" {load.bytes_per_record:>6,.0f} bytes/record"
                )
            rounds.append(done)
    return results
