"""Tables, spreads and percentiles are written as they are."""

import pytest

from bench.figures import markdown, milliseconds, of_rounds, percentile, spread, verdict


def test_a_table() -> None:
    assert markdown(["", "a", "b"], [["x", "1", "2"]]) == "|  | a | b |\n|---|---|---|\n| x | 1 | 2 |"


@pytest.mark.parametrize(
    ("values", "text"), [([1.0], "1.0"), ([1_000.0, 3_000.0, 2_500.0], "2,500.0 (1,000.0 to 3,000.0)")]
)
def test_spread(values: list[float], text: str) -> None:
    assert spread(values, 1) == text


@pytest.mark.parametrize(("share", "expected"), [(0.5, 51), (0.99, 100), (0.0, 1), (1.0, 100)])
def test_percentile(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_milliseconds_are_of_the_percentiles_asked_for() -> None:
    latencies_s = [number / 1_000 for number in range(1, 101)]
    assert milliseconds(latencies_s, 0.01, 0.5, 0.99) == "2.0 / 51 / 100"
    assert milliseconds([0.0499, 1.2], 0.0, 0.99) == "50 / 1,200"


def test_words() -> None:
    assert (verdict(True), verdict(False)) == ("met", "**missed**")
    assert of_rounds(1) == "One round."
    assert of_rounds(3) == "Medians of 3 alternating rounds (least to most)."
