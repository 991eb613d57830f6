"""`make bench-read`: what the read API takes at 10 million spans, 5 million logs and 10 million points, beside J2."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
from msgspec import Struct

from bench.client import Asker, asking
from bench.command import Findings, parser_of, publish, say
from bench.corpus import RECORDS_PER_BODY, SIGNALS
from bench.floor import fact_names
from bench.measure import count_rows, database_bytes
from bench.questions import take_sample
from bench.read_baseline import Baseline, asking_baseline
from bench.read_load import Filled, filled
from bench.read_questions import Target, take_records, targets
from bench.read_report import Compared, Holding, missed, report
from bench.read_volume import DAY_S, Volume
from bench.reads import Read, ask
from bench.stage import Stage, findings
from bench.statements import script
from exporter import promotion

_MILLION = 1_000_000
_MOST_DAYS = 29.0
"""What is older than 30 days is filed under its receipt."""


class Plan(Struct, frozen=True):
    """How much to ask of, and whether it stays in the stage's folder."""

    volume: Volume
    keep: bool = False


async def measure(stage: Stage, plan: Plan) -> Findings:
    """Load what is not there yet, and ask. Raises PostelError where a record is lost or the API lists nothing."""
    async with filled(stage, plan.volume, keep=plan.keep) as both:
        compared = await _ask_both(stage, both)
        text = report(compared, await _holding(both), await _value(stage.url, "SHOW shared_buffers"))
    return Findings(text, missed(compared))


async def _ask_both(stage: Stage, both: Filled) -> list[Compared]:
    end_unix_nano, volume = both.loaded.end_unix_nano, both.loaded.volume
    begin_unix_nano = end_unix_nano - int(volume.days * DAY_S * 1e9)
    async with stage.served(both.postel_url) as served, asking_baseline(both.jsonb_url) as baseline:
        # Reads are measured, not the end of the loading before.
        await _value(stage.url, "CHECKPOINT")
        address = served.server.host, served.server.port
        async with asking(*address) as asker:
            sample = await take_sample(asker, begin_unix_nano, end_unix_nano, volume.spans)
            records = await take_records(asker, begin_unix_nano, end_unix_nano)
        compared = []
        for target in targets(sample, records, promotion.load()):
            # A connection is good for a thousand requests.
            async with asking(*address) as asker:
                compared.append(await _compare(asker, baseline, target))
        return compared


async def _holding(both: Filled) -> Holding:
    tables = {signal: fact_names(signal) for signal in SIGNALS}
    filled_partitions = script("filled_partitions")
    return Holding(
        {signal: await count_rows(both.postel_url, names) for signal, names in tables.items()},
        {
            signal: max([await _value(both.postel_url, filled_partitions, name) for name in names])
            for signal, names in tables.items()
        },
        await database_bytes(both.postel_url),
        await database_bytes(both.jsonb_url),
    )


async def _value(url: str, text: str, *arguments: object) -> Any:
    connection: Any = await asyncpg.connect(url)
    try:
        return await connection.fetchval(text, *arguments)
    finally:
        await connection.close()


async def _compare(asker: Asker, baseline: Baseline, target: Target) -> Compared:
    """Ask a question of both sides, whose turn to be first alternates."""
    title = target.question.title
    found = Compared(
        Read(title, target_s=None if target.p95_ms is None else target.p95_ms / 1e3), Read(title, target_s=None)
    )
    for number, path in enumerate(target.question.paths):
        if number % 2 == 0:
            rows = await ask(asker, target.question, path, found.postel)
            others = await _ask_baseline(baseline, target.question.baseline, path, found.baseline)
        else:
            others = await _ask_baseline(baseline, target.question.baseline, path, found.baseline)
            rows = await ask(asker, target.question, path, found.postel)
        if rows and others is not None:
            found.rows.append((rows, others))
    say(f"{title}: {found.postel.told()}; baseline {found.baseline.told()}; rows {found.rows_cell()}")
    return found


async def _ask_baseline(baseline: Baseline, name: str, path: str, into: Read) -> int | None:
    reply = await baseline.ask(name, path)
    if reply.rows is None:
        into.others.append("cut off by the time-out")
    else:
        into.latencies_s.append(reply.latency_s)
    return reply.rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and write where asked; 1 when the run fails or, with --check, misses a target."""
    args = _parser().parse_args(argv)
    plan = Plan(Volume(args.spans, args.logs, args.points, args.days), keep=args.data is not None)
    return publish("bench-read", args, findings(lambda stage: measure(stage, plan), args.data))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("bench-read", __doc__)
    for signal, default in (("spans", "10"), ("logs", "5"), ("points", "10")):
        parser.add_argument(
            f"--{signal}", type=_millions, default=_millions(default), help=f"millions, default {default}"
        )
    parser.add_argument("--days", type=_days, default=4.0, help="that spans and logs are spread over, default 4")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="keep there what is loaded; where it has been loaded already, only ask",
    )
    return parser


def _millions(text: str) -> int:
    """Records in whole bodies. Raises ArgumentTypeError."""
    number = round(float(text) * _MILLION)
    if number < 2 * RECORDS_PER_BODY or number % RECORDS_PER_BODY:
        raise argparse.ArgumentTypeError("must be a multiple of 0.001, at least 0.002")
    return number


def _days(text: str) -> float:
    number = float(text)
    if not 0 < number <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be more than 0, at most {_MOST_DAYS:g}")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
