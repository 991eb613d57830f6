"""How figures are written: tables, medians with their spread, percentiles, targets."""

import statistics
from collections.abc import Iterable, Sequence

MIB, GIB = 2**20, 2**30


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [" | ".join(head), "|".join(["---"] * len(head)), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" if index != 1 else f"|{line}|" for index, line in enumerate(lines))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, with the least and the most where there are several."""
    text = f"{statistics.median(values):,.{digits}f}"
    return text + (f" ({min(values):,.{digits}f} to {max(values):,.{digits}f})" if len(values) > 1 else "")


def milliseconds(latencies_s: Sequence[float], *shares: float) -> str:
    """Percentiles of latencies in ms, separated by slashes."""
    return " / ".join(_short(percentile(latencies_s, share) * 1e3) for share in shares)


def verdict(is_met: bool) -> str:
    """What is said of a target."""
    return "met" if is_met else "**missed**"


def of_rounds(rounds: int) -> str:
    """What the figures of a table are of."""
    return f"Medians of {rounds} alternating rounds (least to most)." if rounds > 1 else "One round."


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"
