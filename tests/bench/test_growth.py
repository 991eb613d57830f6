"""Growth goes on in one database, stops where the disk would fill, and says what it could not measure."""

import asyncio
from pathlib import Path

import pytest

from bench.chunks import shortage
from bench.command import Findings
from bench.figures import GIB
from bench.growth import Plan, main, measure, steps_of
from bench.growth_report import Step, missed, tables
from bench.reads import Read
from bench.stage import Stage
from tests.bench.loads import MIB, load


def grown(server_url: str, folder: Path, plan: Plan) -> Findings:
    """What a run finds."""

    async def run() -> Findings:
        return await measure(await Stage.at(folder, server_url), plan)

    return asyncio.run(run())


def cells(text: str, title: str) -> list[str]:
    """The cells of a row."""
    return next(line for line in text.splitlines() if line.startswith(f"| {title} |")).split(" | ")[1:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where bodies are for a moment."""
    return tmp_path


def test_two_steps(server_url: str, folder: Path) -> None:
    text = grown(server_url, folder, Plan([4_000, 12_000])).text
    assert cells(text, "spans stored, counted") == ["4,000", "12,000 |"]
    assert cells(text, "chunks since the step before") == ["1 of 4,000", "2 of 4,000 |"]
    assert "`shared_buffers` = " in text
    assert "Stopped" not in text
    for title in ("a trace by its id", "newest 50 slow traces", "newest 50 traces of a service", "services"):
        for cell in cells(text, title):
            assert "answered" not in cell, f"{title}: {cell}"
            assert cell.count("/") == 2
    assert not list(folder.rglob("*.gz"))


def test_where_the_disk_would_fill_it_stops_and_says_so(server_url: str, folder: Path) -> None:
    free = iter([100 * GIB, 100 * GIB, GIB])
    # A slow clock: 2,000 spans last 41 hours, and a partition holds a day.
    plan = Plan([2_000, 4_000], visits_per_second=0.001, free_bytes=lambda _: next(free))
    findings = grown(server_url, folder, plan)
    stopped = "Stopped at 2,000 spans, before 0.004 million: 2,000 more spans of "
    assert stopped in findings.text
    assert any(problem.startswith(stopped) for problem in findings.missed)
    assert cells(findings.text, "spans stored, counted") == ["2,000 |"]
    assert cells(findings.text, "partitions that hold spans") in (["2 |"], ["3 |"])


def test_without_room_for_the_first_step_there_is_no_table(server_url: str, folder: Path) -> None:
    findings = grown(server_url, folder, Plan([2_000], free_bytes=lambda _: 0))
    assert findings.text.startswith("No step was taken.")
    assert "Stopped at 0 spans" in findings.text


def test_room_is_for_spans_bodies_and_wal() -> None:
    needed = int(10_000_000 * 400 * 1.1) + 1_000_000 * 100 + 3 * GIB
    assert shortage(needed, 10_000_000, 400.0, 1_000_000) == ""
    assert shortage(needed - 1, 10_000_000, 400.0, 1_000_000) == (
        "10,000,000 more spans of 400 bytes take 7.2 GiB with bodies, WAL and reserve, 7.2 GiB are free"
    )


@pytest.mark.parametrize("steps", ["1,x", "10,1", "1,1", "0.001", "0.05,0.07", "1,1.5", "0.0025"])
def test_steps_that_make_no_whole_chunks_are_refused(steps: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--steps", steps])
    assert ended.value.code == 2
    assert "--steps" in capsys.readouterr().err


def test_steps_are_millions() -> None:
    assert steps_of("1,10,30") == [1_000_000, 10_000_000, 30_000_000]
    assert steps_of("0.05,0.2") == [50_000, 200_000]
    assert Plan(steps_of("0.05,0.2")).chunk == 50_000
    assert Plan(steps_of("10,30")).chunk == 1_000_000


def test_a_clock_that_begins_too_long_ago_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--visits-per-second", "0.5"])
    assert "more than 29 days ago" in capsys.readouterr().err


def step(spans: int, rate: float, rss_mib: int, read: Read) -> Step:
    """A step with one chunk."""
    memory = rss_mib * MIB
    return Step(spans, [load(rate)], memory, memory, memory, spans * 400, 1, spans, [read])


def test_what_does_not_keep_up_is_named() -> None:
    quick, slow = Read("services", [0.010]), Read("services", [0.030])
    first, last = step(1_000_000, 10_000, 100, quick), step(10_000_000, 8_400, 120, slow)
    text = tables([first, last])
    assert cells(text, "of the first step's") == ["1", "0.84; target ≥ 0.85: **missed** |"]
    assert cells(text, "services") == ["10 / 10 / 10", "30 / **30** / 30 |"]
    assert missed([first, last]) == [
        "10 M spans: 0.84 of the rate at 1 M spans, the target is 0.85",
        "10 M spans: 0.84 of the late rate at 1 M spans, the target is 0.85",
        "10 M spans: 1.20 of the memory at 1 M spans, the most is 1.15",
        "10 M spans: services: 30 / 30 / 30",
    ]
    assert missed([first, step(10_000_000, 8_500, 115, quick)]) == []
