"""`make bench-smoke` fails below 80 % of what was recorded, and not above."""

from pathlib import Path

import msgspec
import pytest

from bench import smoke
from bench.run import Plan
from bench.smoke import PLAN, RECORDED, fallen, main, medians, read, written
from bench.targets import Results
from exporter.errors import PostelError
from tests.bench.loads import load


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that says 0.5 for each signal, which main reads and writes."""
    file = tmp_path / "recorded.json"
    file.write_bytes(written(dict.fromkeys(PLAN.records, 0.5)))
    monkeypatch.setattr(smoke, "RECORDED", file)
    return file


def postel_at(rates: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each round end with J2 at 10,000 records/s and Postel at a signal's rate."""

    async def run(plan: Plan) -> tuple[Results, str]:
        return {
            signal: [{"Postel": load(rates.get(signal, 5_000)), "J2": load(10_000)}] * plan.rounds
            for signal in plan.records
        }, "A machine."

    monkeypatch.setattr(smoke, "run", run)


@pytest.mark.parametrize(("rate", "code"), [(3_990, 1), (4_000, 0), (5_000, 0), (9_000, 0)])
def test_exit_code(rate: float, code: int, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    postel_at({"logs": rate}, monkeypatch)
    before = recorded.read_bytes()
    assert main([]) == code
    assert recorded.read_bytes() == before


def test_what_became_slower_is_named(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    postel_at({"logs": 3_000}, monkeypatch)
    main([])
    output = capsys.readouterr()
    assert output.err == "slower: logs: 0.30 of J2's rate is under 80% of the recorded 0.50\n"
    assert "spans: 0.50 of J2's rate, recorded 0.50" in output.out


def test_who_is_slow_only_once_has_not_become_slower(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = iter([{"spans": 1_000.0}, {"logs": 1_000.0}])
    ran = 0

    async def run(plan: Plan) -> tuple[Results, str]:
        nonlocal ran
        ran += 1
        rates = next(slow)
        return {
            signal: [{"Postel": load(rates.get(signal, 5_000)), "J2": load(10_000)}] * plan.rounds
            for signal in plan.records
        }, "A machine."

    monkeypatch.setattr(smoke, "run", run)
    assert main([]) == 0
    assert ran == 2


def test_record_writes_what_is_then_compared_with(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded.unlink()
    postel_at({"spans": 12_345}, monkeypatch)
    assert main(["--record"]) == 0
    assert read(recorded).ratios == {"spans": 1.234, "logs": 0.5, "points": 0.5}


def test_the_median_of_the_rounds_counts() -> None:
    rounds = [{"Postel": load(rate), "J2": load(10_000)} for rate in (1_000, 9_000, 8_000)]
    assert medians({"spans": rounds}) == {"spans": 0.8}
    assert fallen({"spans": 0.8}, {"spans": 1.0}) == []


def test_ratios_of_another_plan_are_no_measure(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    postel_at({}, monkeypatch)
    recorded.write_bytes(recorded.read_bytes().replace(b'"rounds": 3', b'"rounds": 4'))
    assert main([]) == 1
    assert "make bench-smoke ARGS=--record" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b'{"ratios": {"spans": "fast"}}'])
def test_a_broken_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "recorded.json").write_bytes(content)
    with pytest.raises(PostelError, match=r"recorded\.json"):
        read(tmp_path / "recorded.json")


def test_the_committed_file_is_of_this_plan() -> None:
    assert read(RECORDED).ratios.keys() == PLAN.records.keys()
    assert all(ratio > 0 for ratio in msgspec.json.decode(RECORDED.read_bytes())["ratios"].values())
