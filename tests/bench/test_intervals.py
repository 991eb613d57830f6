"""The comparison of intervals runs, and measures what it says."""

import asyncio
from pathlib import Path

from bench.intervals import INTERVALS, Plan, measure
from bench.stage import Stage


def test_each_interval_is_measured(server_url: str, tmp_path: Path) -> None:
    async def session() -> str:
        return (await measure(await Stage.at(tmp_path, server_url), Plan(days=3, spans=10))).text

    lines = [line.strip("| ").split(" | ") for line in asyncio.run(session()).splitlines()[4:]]
    assert [line[0] for line in lines] == list(INTERVALS)
    assert [line[1] for line in lines] == ["73", "13", "4", "2"], "of three days and one ahead"
    assert {len(line) for line in lines} == {11}
