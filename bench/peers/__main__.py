"""`make bench-peers`: Postel beside what people run today, one after the other on one PostgreSQL, in one run."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvloop

from bench.corpus import RECORDS_PER_BODY, SPANS, make_corpus, read_bodies
from bench.machine import describe
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
from exporter.embedded import EmbeddedPostgres
from exporter.errors import PostelError

PEERS: Mapping[str, Peer] = {peer.name: peer for peer in (Postel(), PostgresExporter(), Phoenix(), MLflow())}
_SETTINGS = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "max_connections": "100"}
"""Those of `make bench`, and room for the connections of four workers."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and write where asked; 1 when the run itself fails or, with --check, misses a target."""
    args = _parser().parse_args(argv)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            trials, machine = runner.run(run(args.peers, args.spans))
    except (PostelError, OSError) as error:
        print(f"bench-peers: {error}", file=sys.stderr)
        return 1
    text = f"{table(trials)}\n\n{machine}\n"
    print(text)
    if args.out is not None:
        args.out.write_text(text)
    problems = missed(trials)
    for problem in problems:
        print(f"missed: {problem}", file=sys.stderr)
    return 1 if problems and args.check else 0


async def run(names: Sequence[str], spans: Mapping[str, int]) -> tuple[list[Trial], str]:
    """A trial of each peer, Postel first, and what the machine was; `spans` are other numbers than the peers' own."""
    load_before = os.getloadavg()[0]
    absent = await asyncio.to_thread(_install, names)
    counts = {name: spans.get(name, PEERS[name].spans) // RECORDS_PER_BODY for name in names}
    bodies_each = {name: count + PEERS[name].kill_bodies for name, count in counts.items()}
    with _folder() as folder:
        await asyncio.to_thread(make_corpus, folder, {SPANS: max(bodies_each.values()) * RECORDS_PER_BODY})
        bodies = [Body(data, RECORDS_PER_BODY) for data in read_bodies(folder, SPANS)]
        embedded = EmbeddedPostgres(folder / "postgres", _SETTINGS)
        try:
            url = await embedded.start()
            postgres = await connect(url)
            trials = []
            for name in names:
                if name in absent:
                    trials.append(absent[name])
                    continue
                _say(f"{name}: {counts[name] * RECORDS_PER_BODY:,} spans ...")
                trial = await try_peer(PEERS[name], postgres, bodies[: bodies_each[name]], folder)
                _say(f"{name}: {trial.load.rate if trial.load else 0:,.0f} durable spans/s {trial.problem}")
                trials.append(trial)
            return trials, await describe(url, load_before)
        finally:
            await embedded.stop()


def _install(names: Sequence[str]) -> dict[str, Trial]:
    """What there is to say of the peers that are not to be had."""
    absent = {}
    for name in names:
        peer = PEERS[name]
        try:
            peer.install()
        except Missing as error:
            _say(f"left out: {error}")
            absent[name] = Trial(peer.name, peer.title, "not here", peer.given, problem=str(error))
    return absent


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="postel-peers-"))
    # As root, PostgreSQL runs as another account, which has to get through to its own folder.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench-peers ARGS=...", description=__doc__, allow_abbrev=False)
    everyone = ", ".join(f"{peer.name} {peer.spans:,}" for peer in PEERS.values())
    parser.add_argument("--peers", type=_peers, default=tuple(PEERS), help="comma-separated; Postel is always there")
    parser.add_argument("--spans", type=_spans, default={}, help=f"as in phoenix=2000,mlflow=2000; else {everyone}")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown there too")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
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
