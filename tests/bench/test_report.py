"""The report shows medians with their spread, every side that ran, and which targets were met and missed."""

import re

from bench.report import report
from bench.targets import Round
from tests.bench.loads import load


def rounds(*rates: float, size: int = 300) -> list[Round]:
    """Rounds in which J2 takes 10,000 records a second at 600 bytes each, and S+FK only the first."""
    found: list[Round] = [{"Postel": load(rate, size), "J2": load(10_000, 600)} for rate in rates]
    found[0] = {**found[0], "S+FK": load(2_000, 1_200)}
    return found


def test_a_side_is_a_row_of_medians_with_their_spread() -> None:
    text = report({"spans": rounds(9_000, 14_000, 10_000)})
    assert "**spans**, 1,000 records a round" in text
    assert "| **Postel** | 10,000 (9,000 to 14,000) |  | 300 (300) |  | 12.0 | 10.0 | 100 |" in text
    assert "| J2 | 10,000 (10,000 to 10,000) | 1.00 (0.90 to 1.40) | 600 (600) | 0.50 | 12.0 | 10.0 | 100 |" in text
    assert "| S+FK | 2,000 | 4.50 | 1,200 (1,200) | 0.25 |" in text
    assert "| J1 |" not in text


def test_targets_are_met_or_missed() -> None:
    text = report({"spans": rounds(9_000, 14_000, 10_000), "logs": rounds(14_000)})
    assert "| rate, Postel / J2 | 1.00 (0.90 to 1.40), ≥ 1.40: **missed** | 1.40, ≥ 1.25: met |" in text
    assert "| bytes, Postel / J2 | 0.50 (0.50 to 0.50), ≤ 0.50: met | 0.50, ≤ 0.65: met |" in text
    assert "| memory, peak, MiB | 100, ≤ 256: met | 100, ≤ 256: met |" in text
    assert "Postel / P0" not in text


def test_fewer_records_are_said() -> None:
    both: Round = {"Postel": load(), "Postel, JSON": load(8_000, records=500)}
    assert "| Postel, JSON (the first 500) | 8,000 |" in report({"spans": [both]})


def test_rows_of_a_table_are_equally_long() -> None:
    text = report({"spans": rounds(1), "logs": rounds(2), "points": rounds(3)})
    tables = [part for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 5
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
        assert re.fullmatch(r"\|(---\|)+", table.splitlines()[1])
        assert table.splitlines()[1].count("---") <= 8


def test_latencies() -> None:
    assert "| acknowledged after, ms, p50 / p99 | 20 / 20 |" in report({"spans": rounds(1)})
