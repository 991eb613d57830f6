"""`make bench-half-core`: the bulk load under a CPU limit of 500m for the server, beside the same without a limit."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from msgspec import Struct

from bench.command import Findings, add_signals, natural, parser_of, publish, say, thousands
from bench.corpus import make_corpus, read_bodies
from bench.cpu_limit import Cell, Throttled, limited
from bench.figures import MIB, markdown, milliseconds, of_rounds, spread
from bench.measure import Load
from bench.stage import Stage, findings
from exporter.errors import PostelError

CORES = 0.5
_EDGE_S = 0.2
"""A quota is handed out for periods of 0.1 s: a load may use all of the one it begins in and of the one it ends in."""
_TOLERANCE = 1.05
_RECORDS, _ROUNDS = 100_000, 3


class LimitBroken(PostelError):
    """The server took more CPU time than it was to have: the figures would not be those of the limit."""


class Plan(Struct, frozen=True):
    """What to run: signals, records of each (a multiple of 1,000), rounds."""

    signals: Sequence[str]
    records: int
    rounds: int


class Run(Struct):
    """One loading; `cores` is how many the server had on average, `throttled` the share of periods it waited in."""

    load: Load
    cores: float
    throttled: float = 0.0


class Pair(Struct):
    """The two loadings of a round."""

    limited: Run
    free: Run


async def measure(stage: Stage, plan: Plan) -> Findings:
    """Alternating rounds of every signal. Raises CannotLimit, LimitBroken, and PostelError where a record is lost."""
    with limited(CORES):
        pass  # Found out now, not after minutes.
    await asyncio.to_thread(make_corpus, stage.folder, dict.fromkeys(plan.signals, plan.records), with_json=False)
    results: dict[str, list[Pair]] = {signal: [] for signal in plan.signals}
    for number in range(plan.rounds):
        for signal, pairs in results.items():
            runs = {}
            # Who goes first alternates, as a machine may slow down or speed up.
            for is_limited in (True, False) if number % 2 == 0 else (False, True):
                run = runs[is_limited] = await _run(stage, signal, is_limited=is_limited)
                which = f"{CORES:g} core" if is_limited else "no limit"
                say(f"round {number + 1}/{plan.rounds} {signal:<6} {which:<8} {run.load.rate:>8,.0f} records/s")
            pairs.append(Pair(runs[True], runs[False]))
    return Findings(_table(results))


async def _run(stage: Stage, signal: str, *, is_limited: bool) -> Run:
    with limited(CORES) if is_limited else nullcontext() as cell:
        return await _load(stage, signal, cell)


async def _load(stage: Stage, signal: str, cell: Cell | None) -> Run:
    bodies = read_bodies(stage.folder, signal)
    async with stage.serving(cell.launcher if cell else ()) as served:
        before = cell.throttled() if cell else Throttled()
        load = await served.load(signal, bodies)
        throttled = cell.throttled().share_since(before) if cell else 0.0
        await served.count()
    if cell is not None:
        check_limit(load)
    return Run(load, load.python_cpu_s / _elapsed_s(load), throttled)


def check_limit(load: Load) -> None:
    """Raises LimitBroken where the server had more CPU time than the limit allows."""
    allowed_s = CORES * (_elapsed_s(load) + _EDGE_S) * _TOLERANCE
    if load.python_cpu_s > allowed_s:
        raise LimitBroken(f"the server had {load.python_cpu_s:.1f} s of CPU time, its limit allows {allowed_s:.1f} s")


def _elapsed_s(load: Load) -> float:
    return load.records / load.rate


def _table(results: Mapping[str, Sequence[Pair]]) -> str:
    columns = list(results.values())
    limited_runs = [[pair.limited for pair in pairs] for pairs in columns]
    free_runs = [[pair.free for pair in pairs] for pairs in columns]
    rows = [
        ["records a round", *(f"{runs[0].load.records:,}" for runs in limited_runs)],
        ["**durable records/s, half a core**", *(f"**{_rates(runs)}**" for runs in limited_runs)],
        ["the same without a limit", *map(_rates, free_runs)],
        ["half a core / no limit", *(spread([_ratio(pair) for pair in pairs], 2) for pairs in columns)],
        ["second half of the round, half a core, records/s", *map(_late_rates, limited_runs)],
    ]
    for name, runs_of in (("half a core", limited_runs), ("no limit", free_runs)):
        rows += [
            [f"acknowledged after, {name}, ms, p50 / p99", *map(_latency, runs_of)],
            [f"cores that the server had, {name}", *(spread([run.cores for run in runs], 2) for runs in runs_of)],
            [f"`postel serve`, memory, {name}, MiB, idle / peak", *map(_memory, runs_of)],
            [f"Python CPU, {name}, µs/record", *map(_python_us, runs_of)],
        ]
    rows.append(["periods in which it had to wait, %", *map(_throttled, limited_runs)])
    return f"{markdown(['', *results], rows)}\n\n{of_rounds(len(columns[0]))}"


def _ratio(pair: Pair) -> float:
    return pair.limited.load.rate / pair.free.load.rate


def _rates(runs: Sequence[Run]) -> str:
    return spread([run.load.rate for run in runs])


def _late_rates(runs: Sequence[Run]) -> str:
    return spread([run.load.late_rate for run in runs])


def _latency(runs: Sequence[Run]) -> str:
    return milliseconds([latency for run in runs for latency in run.load.latencies_s], 0.5, 0.99)


def _memory(runs: Sequence[Run]) -> str:
    idle = max(run.load.idle_rss_bytes for run in runs)
    return f"{idle / MIB:,.0f} / {max(run.load.peak_rss_bytes for run in runs) / MIB:,.0f}"


def _python_us(runs: Sequence[Run]) -> str:
    return spread([run.load.python_cpu_s / run.load.records * 1e6 for run in runs], 1)


def _throttled(runs: Sequence[Run]) -> str:
    return spread([run.throttled * 100 for run in runs])


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and write where asked; 1 when the run fails or the limit cannot be set."""
    args = _parser().parse_args(argv)
    plan = Plan(args.signals, args.records, args.rounds)
    return publish("bench-half-core", args, findings(lambda stage: measure(stage, plan)))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("bench-half-core", __doc__, has_targets=False)
    parser.add_argument("--records", type=thousands, default=_RECORDS, help=f"of each signal, default {_RECORDS:,}")
    add_signals(parser)
    parser.add_argument("--rounds", type=natural, default=_ROUNDS, help=f"alternating rounds, default {_ROUNDS}")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
