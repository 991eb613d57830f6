"""A small run of everything: both sides hold the same and answer alike, and what is kept is asked again unloaded."""

import asyncio
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.command import Findings
from bench.corpus import SIGNALS
from bench.measure import count_rows
from bench.read import Plan, main, measure
from bench.read_load import filled
from bench.read_volume import Volume
from bench.stage import Stage, on_stage
from exporter.errors import PostelError

SMALL = Volume(spans=12_000, logs=6_000, points=6_000, days=0.04)
NOT_YET = "answered 40"
"""What the API cannot answer is said to be so, and is no failure of the run."""


def run(server_url: str, folder: Path, plan: Plan) -> Findings:
    """What a run finds."""

    async def found() -> Findings:
        return await measure(await Stage.at(folder, server_url), plan)

    return asyncio.run(found())


def test_both_sides_answer_alike(server_url: str, tmp_path: Path) -> None:
    text = run(server_url, tmp_path, Plan(SMALL)).text
    assert re.search(r"12,000 spans in [12] partitions, 6,000 logs in [12] partitions, 6,000 points in 1 part", text)
    assert "`shared_buffers` = " in text
    table = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(table) == 22
    for title, _, postel, baseline, rows in table:
        assert "differs" not in rows, f"{title}: {rows}"
        assert NOT_YET in postel or re.fullmatch(r"[\d.]+ / [*\d.,]+ / [\d.,]+", postel), f"{title}: {postel}"
        assert re.fullmatch(r"[\d.]+ / [\d.,]+ / [\d.,]+", baseline), f"{title}: {baseline}"
    assert not list(tmp_path.rglob("*.gz"))


def test_what_is_kept_is_for_the_same_volume_only(server_url: str, tmp_path: Path) -> None:
    (tmp_path / "loaded.json").write_text(
        '{"volume": {"spans": 2000, "logs": 2000, "points": 2000, "days": 1.0}, "end_unix_nano": 5}'
    )

    async def ask() -> None:
        async with filled(await Stage.at(tmp_path, server_url), SMALL, keep=True):
            pass

    with pytest.raises(PostelError, match=r"spans=2000.*ask for as much, or name another folder"):
        asyncio.run(ask())


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that PostgreSQL gets through to also where the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="postel-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_what_is_kept_is_asked_without_loading(open_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = open_folder / "data", open_folder / "result.md"
    volume = Volume(spans=4_000, logs=2_000, points=6_000, days=0.01)

    async def load(stage: Stage) -> int:
        async with filled(stage, volume, keep=True) as both:
            return await count_rows(both.jsonb_url, SIGNALS)

    assert asyncio.run(on_stage(load, kept=data))[0] == volume.records
    assert "4,000 spans" in capsys.readouterr().err
    flags = ["--spans", "0.004", "--logs", "0.002", "--points", "0.006", "--days", "0.01", "--data", str(data)]
    assert main([*flags, "--out", str(out)]) == 0
    assert "records/s" not in capsys.readouterr().err
    assert "4,000 spans in 1 partitions" in out.read_text()


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--spans", "0.0005"), ("--logs", "0.001"), ("--points", "x"), ("--days", "30"), ("--days", "0")],
)
def test_volumes_that_cannot_be_are_refused(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([flag, value])
    assert ended.value.code == 2
    assert flag in capsys.readouterr().err
