"""The figures of a run as Markdown: a table of the sides for each signal, the targets, and what only Postel has."""

import statistics
from collections.abc import Callable, Iterator, Sequence

from bench.figures import MIB, markdown, percentile, spread, verdict
from bench.measure import Load
from bench.sides import POSTEL, POSTEL_JSON, SIDES
from bench.targets import TARGETS, Results, Round, Verdict, bytes_ratio, rate_ratio, verdicts

_COLUMNS = (
    "side",
    "durable records/s",
    "rate, Postel / it",
    "bytes/record (after VACUUM)",
    "bytes, Postel / it",
    "Python CPU, µs/record",
    "PostgreSQL CPU, µs/record",
    "peak memory, MiB",
)
_NOT_COMPARED = (POSTEL, POSTEL_JSON)


def report(results: Results) -> str:
    """All tables of signal -> rounds, in which Postel took part."""
    parts = []
    for signal, rounds in results.items():
        rows = [_side_row(side, rounds) for side in SIDES if any(side in each for each in rounds)]
        parts += [f"**{signal}**, {rounds[0][POSTEL].records:,} records a round", markdown(_COLUMNS, rows)]
    parts += ["**Targets**", _targets(results), "**Postel besides**", _besides(results)]
    return "\n\n".join(parts)


def _side_row(side: str, rounds: Sequence[Round]) -> list[str]:
    rounds = [each for each in rounds if side in each]
    loads = [each[side] for each in rounds]
    compared = side not in _NOT_COMPARED
    fewer = all(load.records < each[POSTEL].records for load, each in zip(loads, rounds, strict=True))
    vacuumed = [load.bytes_vacuumed / load.records for load in loads if load.bytes_vacuumed]
    size = f"{statistics.median(load.bytes_per_record for load in loads):,.0f}"
    return [
        (f"**{side}**" if side == POSTEL else side) + (f" (the first {loads[0].records:,})" if fewer else ""),
        spread([load.rate for load in loads], 0),
        spread([rate_ratio(side)(each) for each in rounds], 2) if compared else "",
        size + (f" ({statistics.median(vacuumed):,.0f})" if vacuumed else ""),
        f"{statistics.median(bytes_ratio(side)(each) for each in rounds):.2f}" if compared else "",
        f"{statistics.median(load.python_us for load in loads):.1f}",
        f"{statistics.median(load.postgres_us for load in loads):.1f}",
        f"{max(load.peak_rss_bytes for load in loads) / MIB:,.0f}",
    ]


def _targets(results: Results) -> str:
    rows = []
    for target in TARGETS:
        found = verdicts(target, results)
        if found:
            rows.append([target.title, *(_verdict(found[signal]) if signal in found else "" for signal in results)])
    return markdown(["", *results], rows)


def _verdict(held: Verdict) -> str:
    digits = held.target.digits
    # Where the worst round is what counts, the others say nothing.
    whole = held.target.of_rounds is statistics.median
    figure = spread(held.values, digits) if whole else f"{held.value:,.{digits}f}"
    sign = "≥" if held.target.is_least else "≤"
    return f"{figure}, {sign} {held.bound:,.{digits}f}: {verdict(held.is_met)}"


def _besides(results: Results) -> str:
    return markdown(
        ["", *results],
        [
            [title, *(cell([each[POSTEL] for each in rounds]) for rounds in results.values())]
            for title, cell in _besides_rows()
        ],
    )


def _besides_rows() -> Iterator[tuple[str, Callable[[Sequence[Load]], str]]]:
    yield "second half of the round, records/s", lambda loads: spread([load.late_rate for load in loads], 0)
    yield "acknowledged after, ms, p50 / p99", _latencies
    yield (
        "benchmark client's own CPU, µs/record",
        lambda loads: f"{statistics.median(load.client_cpu_s / load.records * 1e6 for load in loads):.1f}",
    )


def _latencies(loads: Sequence[Load]) -> str:
    p50, p99 = (statistics.median(percentile(load.latencies_s, share) for load in loads) * 1e3 for share in (0.5, 0.99))
    return f"{p50:,.0f} / {p99:,.0f}"
