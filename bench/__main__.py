"""`make bench`: durable spans, logs and metric points a second over HTTP beside J2, in one run on one machine."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvloop
from msgspec import Struct

from bench.corpus import LOGS, POINTS, RECORDS_PER_BODY, SIGNALS, SPANS, make_corpus
from bench.machine import describe
from bench.measure import Load
from bench.report import Round, missed, table
from bench.rounds import SIDES, Bench
from exporter.embedded import EmbeddedPostgres
from exporter.errors import PostelError

_RECORDS = {SPANS: 400_000, LOGS: 300_000, POINTS: 500_000}
_SMOKE_RECORDS = {SPANS: 60_000, LOGS: 40_000, POINTS: 80_000}
_ROUNDS, _SMOKE_ROUNDS = 5, 1
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Plan(Struct, frozen=True):
    """What to run; `records` by signal, multiples of 1,000."""

    records: Mapping[str, int]
    rounds: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and write where asked; 1 when the run fails or, with --check, misses a target."""
    args = _parser().parse_args(argv)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results, machine = runner.run(run(_plan(args)))
    except (PostelError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    text = f"{table(results)}\n\n{machine}\n{_medians(args.smoke, results)}\n"
    print(text)
    if args.out is not None:
        args.out.write_text(text)
    problems = missed(results)
    for problem in problems:
        print(f"missed: {problem}", file=sys.stderr)
    return 1 if problems and args.check else 0


async def run(plan: Plan) -> tuple[dict[str, list[Round]], str]:
    """Signal -> rounds, and what the machine was. Raises PostelError when a side fails or loses a record."""
    load_before = os.getloadavg()[0]
    with _folder() as folder:
        began = time.monotonic()
        await asyncio.to_thread(make_corpus, folder, plan.records)
        _say(f"made {sum(plan.records.values()):,} records in {time.monotonic() - began:.0f} s")
        embedded = EmbeddedPostgres(folder / "postgres", _DURABLE)
        try:
            url = await embedded.start()
            results = await _run_rounds(Bench(url, folder), plan)
            return results, await describe(url, load_before)
        finally:
            await embedded.stop()


async def _run_rounds(bench: Bench, plan: Plan) -> dict[str, list[Round]]:
    results: dict[str, list[Round]] = {signal: [] for signal in plan.records}
    for number in range(plan.rounds):
        for signal, rounds in results.items():
            done: dict[str, Load] = {}
            # Who goes first alternates, so that a machine that slows down or speeds up favours nobody.
            for side in SIDES if number % 2 == 0 else reversed(SIDES):
                load = done[side] = await bench.load(side, signal, vacuum=number == 0)
                _say(
                    f"round {number + 1}/{plan.rounds} {signal:<6} {side:<6} {load.rate:>8,.0f} records/s"
                    f" {load.bytes_loaded / load.records:>6,.0f} bytes/record"
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


def _medians(smoke: bool, results: Mapping[str, Sequence[Round]]) -> str:
    rounds = max(map(len, results.values()))
    text = f"Medians of {rounds} alternating rounds (least to most)." if rounds > 1 else "One round."
    return text + (" A smoke run: too short for the figures to be typical." if smoke else "")


def _plan(args: argparse.Namespace) -> Plan:
    default = _SMOKE_RECORDS if args.smoke else _RECORDS
    records = {signal: args.records or default[signal] for signal in args.signals}
    return Plan(records, args.rounds or (_SMOKE_ROUNDS if args.smoke else _ROUNDS))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__, allow_abbrev=False)
    parser.add_argument("--records", type=_thousands, help="of each signal; default 400,000 spans, 300,000 logs, ...")
    parser.add_argument("--signals", type=_signals, default=SIGNALS, help="comma-separated: spans,logs,points")
    parser.add_argument("--rounds", type=_natural, help=f"alternating rounds, default {_ROUNDS}")
    parser.add_argument("--smoke", action="store_true", help="one short round, less than a minute")
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
    chosen = text.split(",")
    if unknown := set(chosen) - set(SIGNALS):
        raise argparse.ArgumentTypeError(
            f"no such signal: {', '.join(sorted(unknown))}; there are {', '.join(SIGNALS)}"
        )
    return tuple(signal for signal in SIGNALS if signal in chosen)


if __name__ == "__main__":
    raise SystemExit(main())
