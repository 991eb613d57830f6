"""How the further benchmarks write their figures: tables, medians with their spread, percentiles, targets."""

import statistics
from collections.abc import Iterable, Sequence

from bench.report import percentile

MIB, GIB = 2**20, 2**30


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column, which has no head, says what a row is about."""
    lines = ["| | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """The median, and the least and the most where there are several."""
    text = format(statistics.median(values), form)
    return text + (f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else "")


def milliseconds(latencies_s: Sequence[float], *shares: float) -> str:
    """Percentiles of latencies in ms, separated by slashes."""
    return " / ".join(_short(percentile(latencies_s, share) * 1e3) for share in shares)


def verdict(is_met: bool) -> str:
    """What is said of a target."""
    return "met" if is_met else "missed"


def of_rounds(rounds: int) -> str:
    """What the figures of a table are of."""
    return f"Medians of {rounds} alternating rounds (least to most)." if rounds > 1 else "One round."


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"
