"""A trial of Postel itself finds everything it should, and a peer that stores nothing still comes to its end."""

import asyncio
from pathlib import Path

import pytest

from bench.corpus import SPANS, make_corpus, read_bodies
from bench.peers.client import Body
from bench.peers.database import connect
from bench.peers.peer import Peer
from bench.peers.postel import Postel
from bench.peers.results import Killed, Trial
from bench.peers.trial import Patience, try_peer
from tests.bench.peers.fake import Fake

SHORT = Patience(sending_s=10.0, quiet_s=0.3, visible_s=5.0, unwanted_s=0.3, trial_s=60.0)


class SmallPostel(Postel):
    """One that is killed after two bodies."""

    kill_bodies = 2


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> list[Body]:
    """Four."""
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, {SPANS: 4_000})
    return [Body(data, 1_000) for data in read_bodies(folder, SPANS)]


def tried(server_url: str, peer: Peer, bodies: list[Body], folder: Path, patience: Patience = SHORT) -> Trial:
    """The trial of a peer."""

    async def run() -> Trial:
        return await try_peer(peer, await connect(server_url), bodies, folder, patience)

    return asyncio.run(run())


def test_postel_keeps_what_it_acknowledged_and_stores_a_body_once(
    server_url: str, bodies: list[Body], tmp_path: Path
) -> None:
    trial = tried(server_url, SmallPostel(), bodies, tmp_path)
    assert (trial.problem, trial.missing_fields) == ("", [])
    assert trial.load is not None and trial.repeated is not None
    assert trial.load.sent == trial.load.acknowledged == trial.load.stored == 2_000
    assert trial.load.rate == trial.load.acknowledged_rate > 0 == trial.load.lag_s
    assert trial.load.refused == {}
    assert trial.load.bytes_per_span > 0 < trial.load.server_cpu_s
    assert trial.load.postgres_cpu_s > 0
    assert 0 < trial.load.idle_rss_bytes <= trial.load.peak_rss_bytes
    assert (trial.repeated.acknowledged, trial.repeated.added) == (1_000, 0)
    assert trial.killed == Killed(acknowledged=2_000, stored=2_000)


def test_one_that_stores_nothing_comes_to_its_end(server_url: str, bodies: list[Body], tmp_path: Path) -> None:
    trial = tried(server_url, Fake("acknowledge"), bodies[:2], tmp_path)
    assert (trial.problem, trial.missing_fields) == ("", None)
    assert trial.load is not None and trial.repeated is not None
    assert (trial.load.acknowledged, trial.load.stored, trial.load.rate) == (1_000, 0, 0)
    assert (trial.repeated.acknowledged, trial.repeated.added) == (1_000, 0)
    assert trial.killed == Killed(acknowledged=1_000, stored=0)


def test_one_that_refuses_everything_says_so(
    server_url: str, bodies: list[Body], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.peers.client._PAUSE_S", 0.0)
    trial = tried(server_url, Fake("refuse"), bodies[:2], tmp_path)
    assert trial.load is not None
    assert (trial.load.sent, trial.load.acknowledged, trial.load.acknowledged_rate) == (1_000, 0, 0)
    assert trial.load.refused == {"503: the table is full": 1_000}


def test_one_that_does_not_start_is_a_problem(server_url: str, bodies: list[Body], tmp_path: Path) -> None:
    trial = tried(server_url, Fake("die"), bodies[:2], tmp_path)
    assert trial.load is None
    assert trial.problem == "it did not get ready: there is no such table"


def test_a_trial_has_its_time(server_url: str, bodies: list[Body], tmp_path: Path) -> None:
    patience = Patience(quiet_s=600.0, visible_s=600.0, trial_s=2.0)
    trial = tried(server_url, Fake("acknowledge"), bodies[:2], tmp_path, patience)
    assert trial.problem == "gave up after 2 s"
