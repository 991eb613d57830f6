"""The table shows medians with their spread, and says which targets were missed."""

import pytest

from bench.measure import Load
from bench.report import Round, missed, percentile, ratios, table


def load(rate: float, size: int) -> Load:
    """1,000 records that took this long and take this much."""
    return Load(
        records=1_000,
        rate=rate,
        late_rate=rate * 2,
        python_cpu_s=0.012,
        postgres_cpu_s=0.010,
        peak_rss_bytes=100 * 2**20,
        idle_rss_bytes=50 * 2**20,
        latencies_s=[0.010, 0.020],
        bytes_loaded=size * 1_000,
        bytes_vacuumed=size * 1_000,
    )


def rounds(*rates: float, size: int = 360) -> list[Round]:
    """Rounds in which J2 takes 10,000 records a second at 600 bytes each."""
    return [{"Postel": load(rate, size), "J2": load(10_000, 600)} for rate in rates]


def test_table_has_medians_spread_and_targets() -> None:
    text = table({"spans": rounds(9_000, 12_000, 10_000)})
    assert "| **10,000 (9,000 to 12,000)** |" in text
    assert "| **1.00 (0.90 to 1.20)**; target ≥ 0.9: met |" in text
    assert "| **0.60**; target ≤ 0.60: met |" in text
    assert "| Postel, bytes/record with indexes (after VACUUM) | 360 (360) |" in text
    assert "| Postel, Python CPU, µs/record | 12.0 |" in text
    assert "| acknowledged after, ms, p50 / p99 | 20 / 20 |" in text
    assert "| `postel serve`, memory, MiB, idle / peak | 50 / 100 |" in text


def test_every_row_has_a_cell_for_each_signal() -> None:
    lines = table({"spans": rounds(1), "logs": rounds(2), "points": rounds(3)}).splitlines()
    assert {line.count("|") for line in lines} == {5}


def test_missed_targets_are_named() -> None:
    assert missed({"spans": rounds(9_000)}) == []
    assert missed({"spans": rounds(8_000, size=420), "points": rounds(12_000, size=240)}) == [
        "spans: 0.80 of J2's rate, the target is 0.90",
        "spans: 0.70 of J2's bytes, the target is 0.60",
    ]


def test_ratios_are_taken_within_a_round() -> None:
    assert ratios(rounds(5_000, 20_000), lambda each: each.rate) == [0.5, 2.0]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 51), (0.99, 100), (0.0, 1), (1.0, 100)])
def test_percentile(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected
