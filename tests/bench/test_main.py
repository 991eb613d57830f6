"""`make bench` runs what its flags say, prints the report, and with --check fails where a target is missed."""

from pathlib import Path

import pytest

from bench import __main__ as command
from bench.__main__ import main
from bench.run import Plan
from bench.sides import SIDES
from bench.targets import Results
from exporter.errors import PostelError
from tests.bench.loads import load


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that were run, each with a poor result."""
    seen: list[Plan] = []

    async def run(plan: Plan) -> tuple[Results, str]:
        seen.append(plan)
        return {signal: [{"Postel": load(1_000), "J2": load(10_000)}] for signal in plan.records}, "A machine."

    monkeypatch.setattr(command, "run", run)
    return seen


def test_everything_by_default(plans: list[Plan], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert plans == [Plan({"spans": 400_000, "logs": 300_000, "points": 500_000}, 5, SIDES, 16)]
    output = capsys.readouterr()
    assert "| J2 | 10,000 | 0.10 |" in output.out
    assert "A machine." in output.out
    assert "missed: spans: rate, Postel / J2: 0.10, the target is 1.40" in output.err


def test_check_fails_where_a_target_is_missed(plans: list[Plan]) -> None:
    assert main(["--check", "--signals", "logs"]) == 1
    assert list(plans[0].records) == ["logs"]


def test_flags(plans: list[Plan], tmp_path: Path) -> None:
    flags = ["--records", "2,000", "--rounds", "2", "--sides", "J2;Postel", "--connections", "3", "--signals", "points"]
    assert main([*flags, "--out", str(tmp_path / "out.md")]) == 0
    assert plans == [Plan({"points": 2_000}, 2, ("Postel", "J2"), 3)]
    assert "Postel's client: 3 connections." in (tmp_path / "out.md").read_text()


@pytest.mark.parametrize(
    "flags",
    [
        ["--records", "1500"],
        ["--rounds", "0"],
        ["--connections", "0"],
        ["--signals", "spans,metrics"],
        ["--sides", "J1;J2"],
        ["--sides", "Postel;J3"],
    ],
)
def test_bad_flags_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(flags)
    assert ended.value.code == 2
    assert flags[0] in capsys.readouterr().err


def test_a_run_that_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def run(_: Plan) -> None:
        raise PostelError("a side has lost a record")

    monkeypatch.setattr(command, "run", run)
    assert main([]) == 1
    assert capsys.readouterr().err == "bench: a side has lost a record\n"
