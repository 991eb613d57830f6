"""The limit is set where cgroups may be written, what breaks it is no result, and elsewhere it is said."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cpu_limit import CannotLimit, Throttled, limited
from bench.half_core import LimitBroken, Plan, check_limit, main, measure
from bench.measure import Load
from bench.stage import Stage
from tests.bench.loads import load

BUSY = "import time; t = time.monotonic()\nwhile time.monotonic() - t < 0.6: pass\nprint(time.process_time())"


def needs_cgroups() -> None:
    """Skip where no CPU time can be limited."""
    try:
        with limited(0.5):
            pass
    except CannotLimit as error:
        pytest.skip(str(error))


def ten_seconds(cpu_s: float) -> Load:
    """A load that took 10 seconds."""
    return load(100, python_cpu_s=cpu_s)


def test_a_process_in_the_cell_gets_no_more() -> None:
    needs_cgroups()
    with limited(0.25) as cell:
        done = subprocess.run([*cell.launcher, sys.executable, "-c", BUSY], capture_output=True, text=True, check=True)
        assert cell.throttled().share_since(Throttled()) > 0.5
    assert 0 < float(done.stdout) < 0.4
    assert not cell.folder.exists()


def test_waits_are_counted_from_a_moment_on() -> None:
    assert Throttled(50, 30).share_since(Throttled(40, 28)) == 0.2
    assert Throttled(40, 28).share_since(Throttled(40, 28)) == 0


def test_where_nothing_can_be_limited_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotLimit, match=r"cannot be limited here.*cgroups"), limited(0.5, tmp_path):
        pass
    (tmp_path / "cpu").mkdir()
    with pytest.raises(CannotLimit), limited(0.5, tmp_path):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["cpu"]


def test_main_ends_with_1_where_it_cannot_be_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.half_core.limited", lambda cores: limited(cores, tmp_path))
    assert main(["--records", "2,000", "--rounds", "1"]) == 1
    printed = capsys.readouterr()
    assert "cannot be measured" in printed.err
    assert not printed.out


def test_more_cpu_time_than_the_limit_is_no_result() -> None:
    check_limit(ten_seconds(5.0))
    with pytest.raises(LimitBroken, match=r"had 5\.5 s of CPU time"):
        check_limit(ten_seconds(5.5))


def test_a_round_under_the_limit(server_url: str, tmp_path: Path) -> None:
    needs_cgroups()

    async def run() -> str:
        return (await measure(await Stage.at(tmp_path, server_url), Plan(["logs"], 2_000, 1))).text

    text = asyncio.run(run())
    assert "| records a round | 2,000 |" in text
    assert "| half a core / no limit |" in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {3}
    assert not Path(f"/sys/fs/cgroup/cpu/postel-bench-{os.getpid()}").exists()
