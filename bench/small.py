"""`make bench-small`: 1, 10 and 100 records a body from 64 clients beside the bulk rate, and latency at half of peak."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from bench.__main__ import _natural as natural
from bench.__main__ import _signals as signals
from bench.corpus import RECORDS_PER_BODY, SIGNALS, Slice, make_slices, read_slice
from bench.figures import of_rounds
from bench.measure import Load
from bench.rounds import CONNECTIONS
from bench.small_report import BULK, PACED_RECORDS_PER_BODY, Round, missed, table
from bench.stage import Findings, Served, Stage, parser_of, publish, say

CLIENTS = 64
"""Keep-alive connections of small requests. The bulk load has 8, as in `make bench`: 64 bodies of 1,000 under way
are more than `max_inflight_bytes` lets one client have."""
SMALL = (100, 10, 1)

_WARM, _PACED = "warm", "paced"
_BEGAN_S = 3 * 3_600
_PACED_S = 15.0
_RECORDS = {_WARM: 50_000, BULK: 300_000, 100: 200_000, 10: 60_000, 1: 10_000, _PACED: 250_000}
_ROUNDS, _SMOKE_SHARE = 3, 0.1


class Plan(Struct, frozen=True):
    """What to run: signals, rounds, and the share of the full number of records to send."""

    signals: Sequence[str]
    rounds: int
    share: float = 1.0


class Bodies(Struct, frozen=True):
    """One kind of bodies: their folder, and how many records each has."""

    folder: Path
    records_per_body: int


async def measure(stage: Stage, plan: Plan) -> Findings:
    """Rounds of every signal. Raises PostelError where a body is not taken whole or a record is lost."""
    made = {signal: dict(_slices(stage.folder / signal, signal, plan.share)) for signal in plan.signals}
    await asyncio.to_thread(make_slices, {folder: part for parts in made.values() for folder, part in parts.items()})
    results: dict[str, list[Round]] = {signal: [] for signal in plan.signals}
    for number in range(plan.rounds):
        for signal, rounds in results.items():
            bodies = {folder.name: Bodies(folder, part.records_per_body) for folder, part in made[signal].items()}
            rounds.append(await _round(stage, signal, bodies, backwards=number % 2 == 1))
            say(f"round {number + 1}/{plan.rounds} {signal:<6} {_progress(rounds[-1])}")
    text = f"{table(results)}\n\n{of_rounds(plan.rounds)}"
    return Findings(text, missed(results))


def _slices(folder: Path, signal: str, share: float) -> Iterator[tuple[Path, Slice]]:
    """Every kind of bodies of a signal, one after the other in the shop's time: none has a record of another."""
    # The clock ends at about now, wherever the longest stream of a signal begins.
    sizes = {_WARM: RECORDS_PER_BODY, _PACED: PACED_RECORDS_PER_BODY}
    start_unix_nano = _start()
    for number, (kind, records) in enumerate(_RECORDS.items()):
        size = sizes.get(kind) or int(kind)
        wanted = max(2, int(records * share) // size) * size
        part = Slice(
            signal=signal, records=wanted, start_unix_nano=start_unix_nano, number=number, records_per_body=size
        )
        yield folder / str(kind), part
        start_unix_nano = part.end_unix_nano
