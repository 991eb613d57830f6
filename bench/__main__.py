"""`make bench`, `postel bench`: durable records a second over HTTP beside the baselines, in one run."""

import argparse
from collections.abc import Sequence

from bench.command import Findings, add_common, add_signals, chosen, natural, publish, thousands
from bench.corpus import LOGS, POINTS, SPANS
from bench.figures import of_rounds
from bench.report import report
from bench.run import Plan, run
from bench.sides import FIRST_ROUND_ONLY, POSTEL, SIDES
from bench.stage import DEFAULT_CONNECTIONS
from bench.targets import missed

_RECORDS = {SPANS: 400_000, LOGS: 300_000, POINTS: 500_000}
_ROUNDS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and write where asked; 1 when the run fails or, with --check, misses a target."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__, allow_abbrev=False)
    add_arguments(parser)
    return run_command(parser.parse_args(argv))


def run_command(args: argparse.Namespace) -> int:
    """The same with arguments that are parsed."""
    plan = Plan(
        {signal: args.records or _RECORDS[signal] for signal in args.signals}, args.rounds, args.sides, args.connections
    )
    return publish("bench", args, _findings(plan))


async def _findings(plan: Plan) -> Findings:
    results, machine = await run(plan)
    return Findings(f"{report(results)}\n\n{machine}\n{_method(plan)}\n", missed(results))


def _method(plan: Plan) -> str:
    once = "".join(f" {side} ran in the first one only." for side in plan.sides if side in FIRST_ROUND_ONLY)
    return f"{of_rounds(plan.rounds)}{once if plan.rounds > 1 else ''} Postel's client: {plan.connections} connections."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    add_common(parser)
    add_signals(parser)
    parser.add_argument("--records", type=thousands, help="of each signal; default 400,000 spans, 300,000 logs, ...")
    parser.add_argument("--sides", type=_sides, default=SIDES, help=f"separated by semicolons: {';'.join(SIDES)}")
    parser.add_argument("--rounds", type=natural, default=_ROUNDS, help=f"alternating rounds, default {_ROUNDS}")
    parser.add_argument(
        "--connections",
        type=natural,
        default=DEFAULT_CONNECTIONS,
        help=f"of Postel's client, with a request each under way, default {DEFAULT_CONNECTIONS}",
    )


def _sides(text: str) -> tuple[str, ...]:
    sides = chosen(text.split(";"), SIDES, "side")
    if POSTEL not in sides:
        raise argparse.ArgumentTypeError(f"{POSTEL} must be one of them: the others are what it is compared with")
    return sides


if __name__ == "__main__":
    raise SystemExit(main())
