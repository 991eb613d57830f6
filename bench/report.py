"""The figures of a run as Markdown: medians with their spread, ratios, and the targets they have to meet."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from bench.corpus import LOGS, POINTS, SPANS
from bench.measure import Load
from bench.rounds import JSONB, POSTEL

Round: TypeAlias = Mapping[str, Load]
"""Side -> what its loading took."""
Figure: TypeAlias = Callable[[Load], float]


class Target(Struct, frozen=True):
    """What Postel's figures have to be of J2's: its rate at least, its bytes at most."""

    rate: float
    size: float


TARGETS: Mapping[str, Target] = {SPANS: Target(0.9, 0.60), LOGS: Target(0.9, 0.80), POINTS: Target(1.2, 0.40)}

_MIB = 2**20


def table(results: Mapping[str, Sequence[Round]]) -> str:
    """A Markdown table of signal -> rounds."""
    lines = ["| | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    for title, cell in _rows():
        lines.append(f"| {title} | " + " | ".join(cell(signal, rounds) for signal, rounds in results.items()) + " |")
    return "\n".join(lines)


def missed(results: Mapping[str, Sequence[Round]]) -> list[str]:
    """The targets that were not met, each in a line."""
    lines = []
    for signal, rounds in results.items():
        target, rate, size = TARGETS[signal], statistics.median(ratios(rounds, _rate)), _size_ratio(rounds)
        if rate < target.rate:
            lines.append(f"{signal}: {rate:.2f} of J2's rate, the target is {target.rate:.2f}")
        if size > target.size:
            lines.append(f"{signal}: {size:.2f} of J2's bytes, the target is {target.size:.2f}")
    return lines


def ratios(rounds: Sequence[Round], figure: Figure) -> list[float]:
    """Postel's figure over J2's, round by round."""
    return [figure(both[POSTEL]) / figure(both[JSONB]) for both in rounds]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _rows() -> Iterator[tuple[str, Callable[[str, Sequence[Round]], str]]]:
    yield "records a round", lambda _, rounds: f"{rounds[0][POSTEL].records:,}"
    yield "**Postel, durable records/s over HTTP**", lambda _, rounds: f"**{_spread(rounds, POSTEL, _rate)}**"
    yield "J2, durable records/s in process, no HTTP", lambda _, rounds: _spread(rounds, JSONB, _rate)
    yield "rate, Postel / J2", _rate_cell
    yield "second half of the round, Postel, records/s", lambda _, rounds: _spread(rounds, POSTEL, _late_rate)
    yield "second half of the round, J2, records/s", lambda _, rounds: _spread(rounds, JSONB, _late_rate)
    yield "second half, Postel / J2", lambda _, rounds: _ratio_spread(ratios(rounds, _late_rate))
    for side in (POSTEL, JSONB):
        yield f"{side}, bytes/record with indexes (after VACUUM)", _bytes_cell(side)
    yield "bytes, Postel / J2", _size_cell
    for side in (POSTEL, JSONB):
        yield f"{side}, Python CPU, µs/record", _cell(side, _python_us)
        yield f"{side}, PostgreSQL CPU, µs/record", _cell(side, _postgres_us)
    yield "benchmark client's own CPU, µs/record", _cell(POSTEL, _client_us)
    yield "acknowledged after, ms, p50 / p99", lambda _, rounds: _latency_cell(rounds)
    yield "`postel serve`, memory, MiB, idle / peak", lambda _, rounds: _memory_cell(rounds)


def _rate(load: Load) -> float:
    return load.rate


def _late_rate(load: Load) -> float:
    return load.late_rate


def _bytes_per_record(load: Load) -> float:
    return load.bytes_loaded / load.records


def _python_us(load: Load) -> float:
    return load.python_cpu_s / load.records * 1e6


def _postgres_us(load: Load) -> float:
    return load.postgres_cpu_s / load.records * 1e6


def _client_us(load: Load) -> float:
    return load.client_cpu_s / load.records * 1e6


def _median(rounds: Sequence[Round], side: str, figure: Figure) -> float:
    return statistics.median(figure(both[side]) for both in rounds)


def _spread(rounds: Sequence[Round], side: str, figure: Figure) -> str:
    values = [figure(both[side]) for both in rounds]
    return f"{statistics.median(values):,.0f}" + (
        f" ({min(values):,.0f} to {max(values):,.0f})" if len(values) > 1 else ""
    )


def _ratio_spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}" + (
        f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    )


def _rate_cell(signal: str, rounds: Sequence[Round]) -> str:
    values, target = ratios(rounds, _rate), TARGETS[signal].rate
    return f"**{_ratio_spread(values)}**; target ≥ {target}: {_verdict(statistics.median(values) >= target)}"


def _size_cell(signal: str, rounds: Sequence[Round]) -> str:
    value, target = _size_ratio(rounds), TARGETS[signal].size
    return f"**{value:.2f}**; target ≤ {target:.2f}: {_verdict(value <= target)}"


def _size_ratio(rounds: Sequence[Round]) -> float:
    return statistics.median(ratios(rounds, _bytes_per_record))


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _cell(side: str, figure: Figure) -> Callable[[str, Sequence[Round]], str]:
    return lambda _, rounds: f"{_median(rounds, side, figure):.1f}"


def _bytes_cell(side: str) -> Callable[[str, Sequence[Round]], str]:
    def cell(_signal: str, rounds: Sequence[Round]) -> str:
        vacuumed = [both[side].bytes_vacuumed / both[side].records for both in rounds if both[side].bytes_vacuumed]
        text = f"{_median(rounds, side, _bytes_per_record):,.0f}"
        return text + (f" ({statistics.median(vacuumed):,.0f})" if vacuumed else "")

    return cell


def _latency_cell(rounds: Sequence[Round]) -> str:
    p50, p99 = (
        statistics.median(percentile(both[POSTEL].latencies_s, share) for both in rounds) * 1e3 for share in (0.5, 0.99)
    )
    return f"{p50:,.0f} / {p99:,.0f}"


def _memory_cell(rounds: Sequence[Round]) -> str:
    idle = _median(rounds, POSTEL, lambda load: load.idle_rss_bytes)
    peak = max(both[POSTEL].peak_rss_bytes for both in rounds)
    return f"{idle / _MIB:,.0f} / {peak / _MIB:,.0f}"
