"""`make bench-smoke`: a minute of Postel beside J2, which fails when Postel has become slower.

Compared are ratios, as rates are the machine's. What they were stands in `recorded.json`.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.command import awaited
from bench.corpus import LOGS, POINTS, SPANS
from bench.run import Plan, run
from bench.sides import JSONB, POSTEL
from bench.targets import Results, rate_ratio
from exporter.errors import PostelError

RECORDED = Path(__file__).with_name("recorded.json")
LEAST_SHARE = 0.8
"""Of the recorded ratio: single rounds scatter by a tenth and more, their median by less."""
_TRIES = 3
"""A neighbour's burst may hit one side only; who has become slower is slower each time."""
PLAN = Plan({SPANS: 30_000, LOGS: 20_000, POINTS: 40_000}, rounds=3, sides=(POSTEL, JSONB), settle_s=0.2)
_HOW = "written by make bench-smoke ARGS=--record, on a quiet machine; compared with by make bench-smoke"


class Recorded(msgspec.Struct):
    """Postel's rate over J2's in the runs of this very plan: signal -> ratio."""

    how: str
    date: str
    records: dict[str, int]
    rounds: int
    ratios: dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    """Run and compare, or record; 1 when the run fails or Postel has become slower."""
    parser = argparse.ArgumentParser(prog="make bench-smoke ARGS=...", description=__doc__, allow_abbrev=False)
    parser.add_argument("--record", action="store_true", help=f"write the ratios to {RECORDED.name} instead")
    args = parser.parse_args(argv)
    ratios: dict[str, float] = {}
    slower: list[str] = []
    for _ in range(_TRIES):
        done = awaited("bench-smoke", _compared(is_record=args.record))
        if done is None:
            return 1
        recorded, results, machine = done
        print(machine)
        ratios = {signal: max(ratio, ratios.get(signal, 0.0)) for signal, ratio in medians(results).items()}
        slower = fallen(ratios, recorded.ratios) if recorded is not None else []
        if not slower:
            break
    for signal, ratio in ratios.items():
        was = f", recorded {recorded.ratios[signal]:.2f}" if recorded is not None else ""
        print(f"{signal}: {ratio:.2f} of J2's rate{was}")
    if recorded is None:
        RECORDED.write_bytes(written(ratios))
        return 0
    for line in slower:
        print(f"slower: {line}", file=sys.stderr)
    return 1 if slower else 0


async def _compared(*, is_record: bool) -> tuple[Recorded | None, Results, str]:
    recorded = None if is_record else read(RECORDED)
    results, machine = await run(PLAN)
    return recorded, results, machine


def medians(results: Results) -> dict[str, float]:
    """Signal -> the median of the rounds' ratios."""
    return {signal: statistics.median(map(rate_ratio(JSONB), rounds)) for signal, rounds in results.items()}


def fallen(ratios: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """The signals whose ratio is under 80 % of the recorded one, each in a line."""
    return [
        f"{signal}: {ratio:.2f} of J2's rate is under {LEAST_SHARE:.0%} of the recorded {recorded[signal]:.2f}"
        for signal, ratio in ratios.items()
        if ratio < LEAST_SHARE * recorded[signal]
    ]


def read(path: Path = RECORDED) -> Recorded:
    """What was recorded. Raises PostelError where that was another plan: its ratios are no measure for this one."""
    try:
        recorded = msgspec.json.decode(path.read_bytes(), type=Recorded)
    except msgspec.MsgspecError as error:
        raise PostelError(f"{path.name}: {error}: record it anew, with make bench-smoke ARGS=--record") from None
    if (recorded.records, recorded.rounds) != (
        PLAN.records,
        PLAN.rounds,
    ) or recorded.ratios.keys() != PLAN.records.keys():
        raise PostelError(f"{path.name} is of another plan: record it anew, with make bench-smoke ARGS=--record")
    return recorded


def written(ratios: Mapping[str, float]) -> bytes:
    """The content of the file that holds these ratios, as of today."""
    rounded = {signal: round(ratio, 3) for signal, ratio in ratios.items()}
    recorded = Recorded(_HOW, f"{datetime.now(UTC):%Y-%m-%d}", dict(PLAN.records), PLAN.rounds, rounded)
    return msgspec.json.format(msgspec.json.encode(recorded), indent=2) + b"\n"


if __name__ == "__main__":
    raise SystemExit(main())
