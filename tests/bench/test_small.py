"""Every size is sent whole and counted; shares are taken within a round; what is missed is named."""

import asyncio
from pathlib import Path

import pytest

from bench.measure import Load
from bench.small import Plan, main, measure
from bench.small_report import Round, missed, table
from bench.stage import Stage
from tests.bench.loads import load


def sent(rate: float, latency_s: float = 0.01) -> Load:
    """1,000 records at this rate, of whose acknowledgements one in a hundred took twice as long."""
    latencies_s = [latency_s] * 99 + [2 * latency_s]
    return load(rate, python_cpu_s=0.02, client_cpu_s=0.005, latencies_s=latencies_s)


def one(bulk: float, hundred: float, latency_s: float = 0.01) -> Round:
    """A round with these rates, and this latency at half of peak."""
    loads = {1_000: sent(bulk), 100: sent(hundred), 10: sent(bulk / 10), 1: sent(bulk / 100)}
    return Round(loads, sent(hundred / 2, latency_s=latency_s), hundred / 2)


def test_shares_are_taken_within_a_round() -> None:
    text = table({"logs": [one(10_000, 4_000), one(40_000, 20_000), one(10_000, 9_000)]})
    assert "| 100 a body, of the bulk rate | 0.50 (0.40 to 0.90); target ≥ 0.4: met |" in text
    assert "| 10 a body, of the bulk rate | 0.10 (0.10 to 0.10) |" in text
    assert "| 100 a body, CPU, Python / PostgreSQL / client, µs/record | 20.0 / 10.0 / 5.0 |" in text
    assert "| half of peak at 100 a body, records/s | 4,500 (2,000 to 10,000) |" in text
    assert "| **10 / 20 (20 to 20)**; target p99 < 100: met |" in text


def test_missed_targets_are_named() -> None:
    assert missed({"logs": [one(10_000, 4_000)]}) == []
    assert missed({"logs": [one(10_000, 3_900, 0.05)]}) == [
        "logs: 0.39 of the bulk rate at 100 a body, the target is 0.40",
        "logs: p99 100 ms at half of peak, the target is 100",
    ]


@pytest.mark.parametrize("signal", ["spans", "points"])
def test_a_round_sends_and_counts_every_size(server_url: str, tmp_path: Path, signal: str) -> None:
    """Counting fails where a kind of bodies shared a record with another, or a paced body was not stored."""

    async def run() -> str:
        return (await measure(await Stage.at(tmp_path, server_url), Plan([signal], 2, 0.005))).text

    text = asyncio.run(run())
    assert "| records a round: 1,000 / 100 / 10 / 1 a body | 2,000 / 1,000 / 300 / 50 |" in text
    assert "Medians of 2 alternating rounds" in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {3}


def test_bad_flags_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--rounds", "0"])
    assert ended.value.code == 2
    assert "--rounds" in capsys.readouterr().err
