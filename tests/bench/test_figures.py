"""Tables, spreads and percentiles are written as they are."""

from bench.figures import markdown, milliseconds, of_rounds, spread, verdict


def test_a_table_has_a_column_without_a_head() -> None:
    assert markdown(["a", "b"], [["x", "1", "2"]]) == "| | a | b |\n|---|---|---|\n| x | 1 | 2 |"


def test_spread_is_median_least_and_most() -> None:
    assert spread([1_000, 3_000, 2_500]) == "2,500 (1,000 to 3,000)"
    assert spread([0.5], ".2f") == "0.50"


def test_milliseconds_are_of_the_percentiles_asked_for() -> None:
    latencies_s = [number / 1_000 for number in range(1, 101)]
    assert milliseconds(latencies_s, 0.01, 0.5, 0.99) == "2.0 / 51 / 100"
    assert milliseconds([0.0499, 1.2], 0.0, 0.99) == "50 / 1,200"


def test_words() -> None:
    assert (verdict(True), verdict(False)) == ("met", "missed")
    assert of_rounds(1) == "One round."
    assert of_rounds(3) == "Medians of 3 alternating rounds (least to most)."
