"""A server's processes are all counted and all ended, and what does not get ready says why."""

import asyncio
import os
from pathlib import Path

import pytest

from bench.peers.peer import Place
from bench.peers.process import free_port, running
from exporter.errors import StorageUnavailable
from tests.bench.peers.fake import Fake


def place(folder: Path) -> Place:
    """A free port, and no database."""
    return Place("", "", "", 0, free_port(), free_port(), folder)


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody reaps here does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("killed", [True, False])
def test_all_of_its_processes_end(tmp_path: Path, killed: bool) -> None:
    async def run() -> list[int]:
        here = place(tmp_path)
        async with running(Fake("acknowledge").command(here), tmp_path, here.port, "/") as process:
            pids = process.tree()
            assert len(pids) == 3
            assert os.getpid() not in pids
            assert all(map(is_alive, pids))
            # The kernel counts the two apart, so that they may be some pages off.
            assert 2**20 < process.rss_bytes() <= process.peak_rss_bytes() + 2**20
            assert process.cpu_s() > 0
            await process.settle()
            if killed:
                await process.kill()
                await asyncio.sleep(0.2)
                assert not any(map(is_alive, pids))
        await asyncio.sleep(0.2)
        return pids

    assert not any(map(is_alive, asyncio.run(run())))


def test_what_ends_before_it_is_ready_says_why(tmp_path: Path) -> None:
    async def run() -> None:
        here = place(tmp_path)
        async with running(Fake("die").command(here), tmp_path, here.port, "/"):
            raise AssertionError("it never got ready")

    with pytest.raises(StorageUnavailable, match="there is no such table"):
        asyncio.run(run())


def test_nothing_of_our_environment_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTEL_DATABASE_URL", "wrong")

    def environment_of(pid: int) -> str:
        return Path(f"/proc/{pid}/environ").read_text()

    async def run() -> str:
        here = place(tmp_path)
        async with running(Fake("acknowledge").command(here), tmp_path, here.port, "/") as process:
            return environment_of(process.tree()[0])

    environment = asyncio.run(run())
    assert "POSTEL_" not in environment
    assert f"HOME={tmp_path}" in environment
