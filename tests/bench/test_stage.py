"""A benchmark's result is printed and written with what it ran on, and a lost record is no result."""

import argparse
import asyncio
from pathlib import Path

import pytest

from bench.command import Findings, parser_of, publish
from bench.stage import Miscounted, Stage, findings
from exporter.errors import PostelError


def args_of(*flags: str) -> argparse.Namespace:
    """Flags, read."""
    return parser_of("bench-x", "text").parse_args(flags)


def test_a_record_more_than_acknowledged_is_no_result(server_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        stage = await Stage.at(tmp_path, server_url)
        async with stage.serving() as served:
            assert served.idle_rss_bytes > 0
            assert await served.count() == 0
            served.acknowledged["logs"] = 1
            with pytest.raises(Miscounted, match="1 logs were acknowledged, 0 are stored"):
                await served.count()

    asyncio.run(run())


def test_a_result_is_printed_and_written_with_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def measure(stage: Stage) -> Findings:
        assert stage.postmaster_pid > 1
        return Findings("a table", ["a target"])

    out = tmp_path / "result.md"
    assert publish("bench-x", args_of("--out", str(out)), findings(measure)) == 0
    printed = capsys.readouterr()
    assert out.read_text() in printed.out
    assert out.read_text().startswith("a table\n\n")
    # What makes a commit durable is on, or the rates would be of something else.
    assert "fsync = on, synchronous_commit = on, full_page_writes = on" in out.read_text()
    assert "missed: a target" in printed.err


@pytest.mark.parametrize(("flags", "expected"), [((), 0), (("--check",), 1)])
def test_a_missed_target_is_an_error_where_asked(flags: tuple[str, ...], expected: int) -> None:
    async def found() -> Findings:
        return Findings("", ["a target"])

    assert publish("bench-x", args_of(*flags), found()) == expected


def test_a_run_that_fails_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail() -> Findings:
        raise PostelError("no room")

    assert publish("bench-x", args_of(), fail()) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "bench-x: no room\n")
