"""`make bench-growth`: the ingest rate, memory and the read table at 1, 10 and 30 million spans in one database."""

import argparse
import shutil
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg
from msgspec import Struct

from bench.chunks import ASSUMED_BYTES, Chunks, lasts_nano, shortage
from bench.client import asking
from bench.command import Findings, parser_of, publish, say
from bench.corpus import RECORDS_PER_BODY, SPANS, VISITS_PER_SECOND
from bench.figures import MIB
from bench.floor import fact_names
from bench.growth_report import Step, missed, tables
from bench.measure import Load, database_bytes, peak_rss_bytes, rss_bytes
from bench.questions import questions, take_sample
from bench.reads import Read, ask_all
from bench.stage import Served, Stage, findings
from exporter import promotion

MILLION = 1_000_000
CHUNK = 1_000_000
"""Spans that are made, sent, measured and deleted at a time, or the first step where that is less."""

_LONGEST_NANO = 29 * 86_400 * 1_000_000_000
"""What is older than 30 days is filed under its receipt."""
_PARTITIONS = files("bench").joinpath("filled_partitions.sql").read_text()


class Plan(Struct, frozen=True):
    """Steps in spans, in rising order, whole chunks each; how fast the shop's clock goes; how much disk is free."""

    steps: Sequence[int]
    visits_per_second: float = VISITS_PER_SECOND
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free

    @property
    def chunk(self) -> int:
        """Spans that are sent at a time."""
        return min(CHUNK, self.steps[0])


async def measure(stage: Stage, plan: Plan) -> Findings:
    """Every step for which there is room. Raises PostelError where a body is not taken whole or a span is lost."""
    steps: list[Step] = []
    stopped = ""
    chunks = Chunks(stage.folder, plan.chunk, plan.steps[-1], plan.visits_per_second)
    async with stage.serving() as served:
        for spans in plan.steps:
            done = steps[-1].spans if steps else 0
            bytes_a_span = steps[-1].database_bytes / done if steps else ASSUMED_BYTES
            loads: list[Load] = []
            # Also after every chunk, as others fill the disk too.
            while not (short := shortage(plan.free_bytes(stage.folder), spans - done, bytes_a_span, plan.chunk)):
                if done == spans:
                    break
                loads.append(await _load(served, chunks))
                done += plan.chunk
            if done < spans:
                stopped = f"Stopped at {done:,} spans, before {spans / MILLION:g} million: {short}."
                say(stopped)
                break
            steps.append(await _step(served, chunks, spans, loads))
            _tell(steps[-1])
        buffers = await _ask(served, "SHOW shared_buffers")
    text = tables(steps)
    notes = [f"`shared_buffers` = {buffers}; the shop has {plan.visits_per_second:,g} visits a second.", stopped]
    return Findings("\n\n".join([text, *filter(None, notes)]), missed(steps) + [stopped] * bool(stopped))


async def _load(served: Served, chunks: Chunks) -> Load:
    made = await chunks.make()
    load = await served.load(SPANS, made)
    say(f"{served.acknowledged[SPANS]:>12,} spans {load.rate:>8,.0f} records/s")
    return load


async def _step(served: Served, chunks: Chunks, spans: int, loads: Sequence[Load]) -> Step:
    rss = rss_bytes(served.server.pid)
    reads = await _read(served, chunks, spans)
    return Step(
        spans=spans,
        loads=loads,
        rss_bytes=rss,
        rss_after_reads_bytes=rss_bytes(served.server.pid),
        peak_rss_bytes=peak_rss_bytes(served.server.pid),
        database_bytes=await database_bytes(served.url),
        partitions=await _ask(served, _PARTITIONS, *fact_names(SPANS)),
        stored=await served.count(),
        reads=reads,
    )


async def _read(served: Served, chunks: Chunks, spans: int) -> list[Read]:
    # What was just written is written out first: reads are measured, not the end of the ingest before.
    await _ask(served, "CHECKPOINT")
    async with asking(served.server.host, served.server.port) as asker:
        sample = await take_sample(asker, chunks.start_unix_nano, chunks.end_unix_nano, spans)
        return await ask_all(asker, list(questions(sample, promotion.load())))


def _tell(step: Step) -> None:
    """What was found, at once: the next step may take an hour, or fail."""
    say(f"{step.title}: memory {step.rss_bytes / MIB:,.0f} MiB, {step.database_bytes / step.spans:,.0f} bytes a span")
    for read in step.reads:
        say(f"{step.title}: {read.title}: {read.told()}")


async def _ask(served: Served, statement: str, *arguments: object) -> Any:
    connection: Any = await asyncpg.connect(served.url)
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and write where asked; 1 when the run fails or, with --check, misses a target or has no room."""
    parser = _parser()
    args = parser.parse_args(argv)
    plan = Plan(args.steps, args.visits_per_second)
    if lasts_nano(args.steps[-1], args.visits_per_second) > _LONGEST_NANO:
        parser.error(f"argument --visits-per-second: {args.steps[-1]:,} spans would begin more than 29 days ago")
    return publish("bench-growth", args, findings(lambda stage: measure(stage, plan)))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("bench-growth", __doc__)
    parser.add_argument(
        "--steps", type=steps_of, default=steps_of("1,10,30"), help="millions of spans, default 1,10,30"
    )
    parser.add_argument(
        "--visits-per-second",
        type=_positive,
        default=VISITS_PER_SECOND,
        metavar="N",
        help=f"of the shop, 14 spans each: a slower clock fills more partitions; default {VISITS_PER_SECOND:g}",
    )
    return parser


def steps_of(text: str) -> list[int]:
    """Steps in spans of a list of millions. Raises ArgumentTypeError."""
    try:
        steps = [round(float(part) * MILLION) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a list of millions: {text!r}") from None
    if steps != sorted(set(steps)) or steps[0] < 2 * RECORDS_PER_BODY:
        raise argparse.ArgumentTypeError("must rise, from 0.002 on")
    chunk = Plan(steps).chunk
    if any(step % chunk for step in steps) or chunk % RECORDS_PER_BODY:
        raise argparse.ArgumentTypeError(f"must be multiples of the first step, or of {CHUNK / MILLION:g} beyond that")
    return steps


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
