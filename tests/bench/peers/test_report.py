"""The table has a column a peer, ratios and verdicts; what could not be measured is a dash and says why."""

import pytest

from bench.peers.report import missed, table
from bench.peers.results import Killed, Load, Repeated, Trial


def load(rate: float, size: int, *, acknowledged_s: float | None = None, refused: dict[str, int] | None = None) -> Load:
    """1,000 spans that were durable at this rate and take this much."""
    return Load(
        sent=1_000,
        acknowledged=1_000,
        acknowledged_s=acknowledged_s or 1_000 / rate,
        stored=1_000,
        stored_s=1_000 / rate,
        refused=refused or {},
        grown_bytes=size * 1_000,
        idle_rss_bytes=50 * 2**20,
        peak_rss_bytes=100 * 2**20,
        server_cpu_s=0.012,
        postgres_cpu_s=0.010,
        client_cpu_s=0.001,
    )


def trial(name: str, made: Load | None, problem: str = "") -> Trial:
    """A whole trial, or one that failed."""
    if made is None:
        return Trial(name, name.title(), "1", "defaults", problem=problem)
    return Trial(name, name.title(), "1", "defaults", made, ["flags"], Repeated(9, 9, 9, {}), Killed(10, 7))


def test_columns_ratios_and_verdicts() -> None:
    lines = table([trial("postel", load(20_000, 400)), trial("phoenix", load(100, 1_000, acknowledged_s=0.1))])
    assert "|  | Postel | Phoenix |" in lines
    assert "| **durable spans/s** | **20,000** | **100** |" in lines
    assert "| acknowledged spans/s | 20,000 | 10,000 |" in lines
    assert "| last acknowledgement to last row visible, s | 0.0 | 9.9 |" in lines
    assert "| Postel's durable rate, times the peer's | - | **200**; target ≥ 100: met |" in lines
    assert "| Postel's bytes, of the peer's | - | **0.40**; target ≤ 0.50: met |" in lines
    assert "| server's CPU, µs/span | 12 | 12 |" in lines
    assert "| server's memory, MiB, idle / peak | 50 / 100 | 50 / 100 |" in lines
    assert "| lost by kill -9 after the acknowledgement | 3 of 10 | 3 of 10 |" in lines
    assert "| fields of a span found nowhere | 1 | 1 |" in lines
    assert "  - Not found in its tables: flags." in lines


def test_every_row_has_a_cell_for_each_peer() -> None:
    trials = [trial("postel", load(20_000, 400)), trial("mlflow", None, "no `pip`"), trial("phoenix", load(1, 1))]
    rows = [line for line in table(trials).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}


def test_what_failed_says_why() -> None:
    text = table([trial("mlflow", None, "it did not\nget `ready`")])
    assert "| **durable spans/s** | - |" in text
    assert "  - Not finished: `it did not get 'ready'`." in text


def test_nothing_stored_is_a_rate_of_nothing() -> None:
    nothing = load(100, 1)
    nothing.stored = nothing.acknowledged = nothing.grown_bytes = 0
    text = table([trial("postel", load(20_000, 400)), trial("phoenix", nothing)])
    assert "| **durable spans/s** | **20,000** | **0.0** |" in text
    assert "| Postel's durable rate, times the peer's | - | - |" in text
    assert missed([trial("postel", load(20_000, 400)), trial("phoenix", nothing)]) == []


def test_refusals_are_shown() -> None:
    text = table([trial("postgresexporter", load(1_000, 2_000, refused={"503: duplicate key": 2_000}))])
    assert "  - Refused 2,000 spans of the load: `503: duplicate key`." in text
    refused = trial("postgresexporter", load(1_000, 2_000))
    refused.repeated = Repeated(1_000, 0, 0, {"503: duplicate key": 1_000})
    assert "| rows that a body of 1,000, sent twice, adds | 0, and it is refused |" in table([refused])
    assert "  - Refused the body that came twice: `503: duplicate key`." in table([refused])


@pytest.mark.parametrize(
    ("rate", "size", "expected"),
    [
        (100, 1_000, []),
        (1_000, 1_000, ["20.0 x the rate of Mlflow, the target is 100"]),
        (100, 500, ["0.80 of the bytes of Mlflow, the target is 0.50"]),
    ],
)
def test_missed_targets_are_named(rate: float, size: int, expected: list[str]) -> None:
    assert missed([trial("postel", load(20_000, 400)), trial("mlflow", load(rate, size))]) == expected


def test_without_postel_there_is_nothing_to_compare() -> None:
    assert missed([trial("mlflow", load(1, 1))]) == []
    assert "target" not in table([trial("mlflow", load(1, 1))])
