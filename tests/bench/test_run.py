"""A run gives every side its turn on a PostgreSQL of its own, and leaves nothing behind."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.run import Plan, run
from bench.sides import JSONB


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's account reaches, which is not so of pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_run_and_nothing_left_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    plan = Plan({"points": 2_000}, rounds=2, sides=(JSONB,))
    results, machine = asyncio.run(run(plan))
    assert [sorted(each) for each in results["points"]] == [["J2"]] * 2
    assert all(load.records == load.stored == 2_000 for each in results["points"] for load in each.values())
    assert [each[JSONB].bytes_vacuumed > 0 for each in results["points"]] == [True, False]
    assert "fsync = on, synchronous_commit = on, full_page_writes = on" in machine
    assert list(folder.iterdir()) == []
