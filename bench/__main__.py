"""`make bench`: durable spans, logs and metric points a second over HTTP beside the baselines, in one run."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.corpus import LOGS, POINTS, RECORDS_PER_BODY, SIGNALS, SPANS
from bench.report import report
from bench.rounds import DEFAULT_CONNECTIONS
from bench.run import Plan, run
from bench.sides import FIRST_ROUND_ONLY, POSTEL, SIDES
from bench.targets import missed
from exporter.errors import PostelError

_RECORDS = {SPANS: 400_000, LOGS: 300_000, POINTS: 500_000}
_ROUNDS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and write where asked; 1 when the run fails or, with --check, misses a target."""
    args = _parser().parse_args(argv)
    plan = Plan(
        {signal: args.records or _RECORDS[signal] for signal in args.signals}, args.rounds, args.sides, args.connections
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results, machine = runner.run(run(plan))
    except (PostelError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    text = f"{report(results)}\n\n{machine}\n{_method(plan)}\n"
    print(text)
    if args.out is not None:
        args.out.write_text(text)
    problems = missed(results)
    for problem in problems:
        print(f"missed: {problem}", file=sys.stderr)
    return 1 if problems and args.check else 0


def _method(plan: Plan) -> str:
    rounds = f"Medians of {plan.rounds} alternating rounds (least to most)." if plan.rounds > 1 else "One round."
    once = "".join(f" {side} ran in the first one only." for side in plan.sides if side in FIRST_ROUND_ONLY)
    return f"{rounds}{once if plan.rounds > 1 else ''} Postel's client: {plan.connections} connections."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__, allow_abbrev=False)
    parser.add_argument("--records", type=_thousands, help="of each signal; default 400,000 spans, 300,000 logs, ...")
    parser.add_argument("--signals", type=_signals, default=SIGNALS, help="comma-separated: spans,logs,points")
    parser.add_argument("--sides", type=_sides, default=SIDES, help=f"separated by semicolons: {';'.join(SIDES)}")
    parser.add_argument("--rounds", type=_natural, default=_ROUNDS, help=f"alternating rounds, default {_ROUNDS}")
    parser.add_argument(
        "--connections",
        type=_natural,
        default=DEFAULT_CONNECTIONS,
        help=f"of Postel's client, with a request each under way, default {DEFAULT_CONNECTIONS}",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown there too")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser


def _natural(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _thousands(text: str) -> int:
    number = _natural(text.replace(",", ""))
    if number % RECORDS_PER_BODY or number < 2 * RECORDS_PER_BODY:
        raise argparse.ArgumentTypeError(f"must be a multiple of {RECORDS_PER_BODY:,}, at least two of them")
    return number


def _signals(text: str) -> tuple[str, ...]:
    return _chosen(text.split(","), SIGNALS, "signal")


def _sides(text: str) -> tuple[str, ...]:
    sides = _chosen(text.split(";"), SIDES, "side")
    if POSTEL not in sides:
        raise argparse.ArgumentTypeError(f"{POSTEL} must be one of them: the others are what it is compared with")
    return sides


def _chosen(names: list[str], known: tuple[str, ...], what: str) -> tuple[str, ...]:
    if unknown := set(names) - set(known):
        raise argparse.ArgumentTypeError(f"no such {what}: {'; '.join(sorted(unknown))}; there are {'; '.join(known)}")
    return tuple(name for name in known if name in names)


if __name__ == "__main__":
    raise SystemExit(main())
