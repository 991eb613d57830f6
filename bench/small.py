"""`make bench-small`: 1, 10 and 100 records a body from 64 clients beside the bulk rate; latency at half of peak."""

import argparse
import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from bench.command import Findings, add_signals, natural, parser_of, publish, say
from bench.corpus import Slice, make_slices, read_slice, shop_opens
from bench.figures import of_rounds
from bench.small_report import BULK, SMALL, Round, missed, table
from bench.stage import DEFAULT_CONNECTIONS, Served, Stage, findings

CLIENTS = 64
"""Connections of small requests. The bulk load has 16, as in `make bench`: 64 bodies of 1,000 records under way are
more bytes than one client may have in flight."""
PACED_SIZE = 100
PACED_S = 15.0

_WARM, _PACED = "warm", "paced"
_ROUNDS = 3
_SMOKE_SHARE = 0.1


class Kind(Struct, frozen=True):
    """One kind of bodies: how many records at full size, and how many of them a body."""

    records: int
    records_per_body: int


_KINDS: Mapping[str, Kind] = {
    _WARM: Kind(50_000, BULK),
    "1000": Kind(300_000, BULK),
    "100": Kind(200_000, 100),
    "10": Kind(60_000, 10),
    "1": Kind(10_000, 1),
    _PACED: Kind(500_000, PACED_SIZE),
}


class Plan(Struct, frozen=True):
    """What to run: signals, rounds, and which share of the full numbers of records to send."""

    signals: Sequence[str]
    rounds: int
    share: float = 1.0


async def measure(stage: Stage, plan: Plan) -> Findings:
    """Rounds of every signal. Raises PostelError where a body is not taken whole or a record is lost."""
    slices = {folder: part for signal in plan.signals for folder, part in _slices(stage.folder, signal, plan.share)}
    await asyncio.to_thread(make_slices, slices)
    results: dict[str, list[Round]] = {signal: [] for signal in plan.signals}
    for number in range(plan.rounds):
        for signal, rounds in results.items():
            # What comes first alternates, as tables grow and a machine may slow down or speed up.
            sizes = (BULK, *SMALL) if number % 2 == 0 else (*reversed(SMALL), BULK)
            async with stage.serving() as served:
                rounds.append(await _round(served, signal, stage.folder / signal, sizes))
                await served.count()
            _tell(f"round {number + 1}/{plan.rounds} {signal:<6}", rounds[-1])
    return Findings(f"{table(results)}\n\n{of_rounds(plan.rounds)}", missed(results))


def _slices(folder: Path, signal: str, share: float) -> Iterator[tuple[Path, Slice]]:
    """Every kind of bodies of a signal, one after the other in the shop's time: they have no record in common."""
    start_unix_nano = shop_opens()
    for number, (name, kind) in enumerate(_KINDS.items()):
        part = Slice(
            signal=signal,
            records=max(2, int(kind.records * share) // kind.records_per_body) * kind.records_per_body,
            start_unix_nano=start_unix_nano,
            number=number,
            records_per_body=kind.records_per_body,
        )
        yield folder / signal / name, part
        start_unix_nano = part.end_unix_nano


async def _round(served: Served, signal: str, folder: Path, sizes: Sequence[int]) -> Round:
    # Without it the sizes that come first would pay for learning what repeats.
    await served.load(signal, read_slice(folder / _WARM))
    loads = {}
    for size in sizes:
        connections = DEFAULT_CONNECTIONS if size == BULK else CLIENTS
        loads[size] = await served.load(signal, read_slice(folder / str(size)), connections, records_per_body=size)
    pace = loads[PACED_SIZE].rate / 2
    bodies = read_slice(folder / _PACED)[: max(1, int(PACED_S * pace / PACED_SIZE))]
    paced = await served.load(signal, bodies, CLIENTS, records_per_body=PACED_SIZE, bodies_per_s=pace / PACED_SIZE)
    return Round(loads, paced, pace)


def _tell(which: str, done: Round) -> None:
    rates = ", ".join(f"{size:,} a body {load.rate:,.0f}/s" for size, load in sorted(done.loads.items()))
    say(f"{which} {rates}; p99 at half of peak {done.paced_p99_s() * 1e3:,.0f} ms")


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and write where asked; 1 when the run fails or, with --check, misses a target."""
    args = _parser().parse_args(argv)
    plan = Plan(args.signals, args.rounds or (1 if args.smoke else _ROUNDS), _SMOKE_SHARE if args.smoke else 1.0)
    return publish("bench-small", args, findings(lambda stage: measure(stage, plan)))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("bench-small", __doc__)
    add_signals(parser)
    parser.add_argument("--rounds", type=natural, help=f"alternating rounds, default {_ROUNDS}")
    parser.add_argument("--smoke", action="store_true", help="one round with a tenth of the records")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
