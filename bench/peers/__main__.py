"""`make bench-peers`: Postel beside what people run today, one after the other on one PostgreSQL, in one run."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence

from bench.command import Findings, parser_of, publish, say
from bench.corpus import RECORDS_PER_BODY, SPANS, make_corpus, read_bodies
from bench.peers.client import Body
from bench.peers.database import connect
from bench.peers.mlflow import MLflow
from bench.peers.peer import Missing, Peer
from bench.peers.phoenix import Phoenix
from bench.peers.postel import Postel
from bench.peers.postgresexporter import PostgresExporter
from bench.peers.report import POSTEL, missed, table
from bench.peers.results import Trial
from bench.peers.trial import try_peer
from bench.stage import Stage, on_stage

PEERS: Mapping[str, Peer] = {peer.name: peer for peer in (Postel(), PostgresExporter(), Phoenix(), MLflow())}
_SETTINGS = {"max_connections": "100"}
"""Besides those of `make bench`: room for the connections of four workers."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and write where asked; 1 when the run itself fails or, with --check, misses a target."""
    args = _parser().parse_args(argv)
    return publish("bench-peers", args, _findings(args.peers, args.spans))


async def _findings(names: Sequence[str], spans: Mapping[str, int]) -> Findings:
    trials, machine = await run(names, spans)
    return Findings(f"{table(trials)}\n\n{machine}\n", missed(trials))


async def run(names: Sequence[str], spans: Mapping[str, int]) -> tuple[list[Trial], str]:
    """A trial of each peer, Postel first, and what the machine was; `spans` are other numbers than the peers' own."""
    return await on_stage(lambda stage: _try_all(stage, names, spans), _SETTINGS)


async def _try_all(stage: Stage, names: Sequence[str], spans: Mapping[str, int]) -> list[Trial]:
    absent = await asyncio.to_thread(_install, names)
    counts = {name: spans.get(name, PEERS[name].spans) // RECORDS_PER_BODY for name in names}
    bodies_each = {name: count + PEERS[name].kill_bodies for name, count in counts.items()}
    records = {SPANS: max(bodies_each.values()) * RECORDS_PER_BODY}
    await asyncio.to_thread(make_corpus, stage.folder, records, with_json=False)
    bodies = [Body(data, RECORDS_PER_BODY) for data in read_bodies(stage.folder, SPANS)]
    postgres = await connect(stage.url)
    trials = []
    for name in names:
        if name in absent:
            trials.append(absent[name])
            continue
        say(f"{name}: {counts[name] * RECORDS_PER_BODY:,} spans ...")
        trial = await try_peer(PEERS[name], postgres, bodies[: bodies_each[name]], stage.folder)
        say(f"{name}: {trial.load.rate if trial.load else 0:,.0f} durable spans/s {trial.problem}")
        trials.append(trial)
    return trials


def _install(names: Sequence[str]) -> dict[str, Trial]:
    """What there is to say of the peers that are not to be had."""
    absent = {}
    for name in names:
        peer = PEERS[name]
        try:
            peer.install()
        except Missing as error:
            say(f"left out: {error}")
            absent[name] = Trial(peer.name, peer.title, "not here", peer.given, problem=str(error))
    return absent


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("bench-peers", __doc__)
    everyone = ", ".join(f"{peer.name} {peer.spans:,}" for peer in PEERS.values())
    parser.add_argument("--peers", type=_peers, default=tuple(PEERS), help="comma-separated; Postel is always there")
    parser.add_argument("--spans", type=_spans, default={}, help=f"as in phoenix=2000,mlflow=2000; else {everyone}")
    return parser


def _peers(text: str) -> tuple[str, ...]:
    chosen = {POSTEL, *filter(None, text.split(","))}
    if unknown := chosen - set(PEERS):
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return tuple(name for name in PEERS if name in chosen)


def _spans(text: str) -> dict[str, int]:
    counts = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in PEERS or not number.isdecimal() or int(number) % RECORDS_PER_BODY or not int(number):
            raise argparse.ArgumentTypeError(f"{part!r}: a peer, '=' and a multiple of {RECORDS_PER_BODY:,}")
        counts[name] = int(number)
    return counts


if __name__ == "__main__":
    raise SystemExit(main())
