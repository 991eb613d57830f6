"""The figures of small requests as Markdown: rates as shares of the bulk rate, latency at half of peak, targets."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from msgspec import Struct

from bench.figures import markdown, milliseconds, percentile, spread, verdict
from bench.measure import Load

BULK = 1_000
"""Records a body of the bulk load."""
SMALL = (100, 10, 1)
TARGET_SHARE = {100: 0.40}
TARGET_P99_S = 0.100


class Round(Struct):
    """One signal's loads by records a body, at full speed; and the one at half of peak, with that pace."""

    loads: Mapping[int, Load]
    paced: Load
    pace: float
    """Records/s that were asked for."""

    def share(self, records_per_body: int) -> float:
        """The rate of small bodies as a share of the bulk rate."""
        return self.loads[records_per_body].rate / self.loads[BULK].rate

    def paced_p99_s(self) -> float:
        """Of the acknowledgements at half of peak."""
        return percentile(self.paced.latencies_s, 0.99)


def table(results: Mapping[str, Sequence[Round]]) -> str:
    """A Markdown table of signal -> rounds."""
    return markdown(["", *results], [[title, *map(cell, results.values())] for title, cell in _rows()])


def missed(results: Mapping[str, Sequence[Round]]) -> list[str]:
    """The targets that were not met, each in a line."""
    lines = []
    for signal, rounds in results.items():
        for size, target in TARGET_SHARE.items():
            share = _share(rounds, size)
            if share < target:
                lines.append(f"{signal}: {share:.2f} of the bulk rate at {size} a body, the target is {target:.2f}")
        p99_s = _paced_p99_s(rounds)
        if p99_s >= TARGET_P99_S:
            lines.append(f"{signal}: p99 {p99_s * 1e3:,.0f} ms at half of peak, the target is {TARGET_P99_S * 1e3:.0f}")
    return lines


def _rows() -> Iterator[tuple[str, Callable[[Sequence[Round]], str]]]:
    yield "records a round: 1,000 / 100 / 10 / 1 a body", _counts
    yield "**1,000 a body, 16 connections, records/s**", partial(_rates, BULK)
    for size in SMALL:
        yield f"**{size} a body, 64 connections, records/s**", partial(_rates, size)
        yield f"{size} a body, of the bulk rate", partial(_share_cell, size)
    for size in SMALL:
        yield f"{size} a body, acknowledged after, ms, p50 / p99", partial(_latency, size)
    for size in (BULK, *SMALL):
        yield f"{size:,} a body, CPU, Python / PostgreSQL / client, µs/record", partial(_cpu, size)
    yield "half of peak at 100 a body, records/s", lambda rounds: spread([each.pace for each in rounds])
    yield "at half of peak, sent for, s", lambda rounds: spread([_sent_s(each) for each in rounds], 1)
    yield "**at half of peak, acknowledged after, ms, p50 / p99**", _paced_cell


def _rates(size: int, rounds: Sequence[Round]) -> str:
    return f"**{spread([each.loads[size].rate for each in rounds])}**"


def _counts(rounds: Sequence[Round]) -> str:
    return " / ".join(f"{rounds[0].loads[size].records:,}" for size in (BULK, *SMALL))


def _share(rounds: Sequence[Round], size: int) -> float:
    return statistics.median(each.share(size) for each in rounds)


def _share_cell(size: int, rounds: Sequence[Round]) -> str:
    text = spread([each.share(size) for each in rounds], 2)
    target = TARGET_SHARE.get(size)
    return text if target is None else f"{text}; target ≥ {target}: {verdict(_share(rounds, size) >= target)}"


def _latency(size: int, rounds: Sequence[Round]) -> str:
    return milliseconds([latency for each in rounds for latency in each.loads[size].latencies_s], 0.5, 0.99)


def _cpu(size: int, rounds: Sequence[Round]) -> str:
    loads = [each.loads[size] for each in rounds]
    times = zip(*([load.python_cpu_s, load.postgres_cpu_s, load.client_cpu_s] for load in loads), strict=True)
    records = loads[0].records
    return " / ".join(f"{statistics.median(values) / records * 1e6:,.1f}" for values in times)


def _sent_s(each: Round) -> float:
    return each.paced.records / each.pace


def _paced_p99_s(rounds: Sequence[Round]) -> float:
    return statistics.median(each.paced_p99_s() for each in rounds)


def _paced_cell(rounds: Sequence[Round]) -> str:
    p50_s = statistics.median(percentile(each.paced.latencies_s, 0.5) for each in rounds)
    p99s = spread([each.paced_p99_s() * 1e3 for each in rounds])
    return f"**{p50_s * 1e3:,.0f} / {p99s}**; target p99 < 100: {verdict(_paced_p99_s(rounds) < TARGET_P99_S)}"
