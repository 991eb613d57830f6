"""What Postel's figures have to be: one table, and how a run did by it.

Source: the targets of the benchmark's issue, "Faster and smaller than anything on PostgreSQL".
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from bench.corpus import LOGS, POINTS, SPANS
from bench.figures import MIB
from bench.measure import Load
from bench.sides import FLOOR, JSONB, POSTEL, POSTEL_JSON, REPEATED

Round: TypeAlias = Mapping[str, Load]
"""Side -> what its loading took."""
Results: TypeAlias = Mapping[str, Sequence[Round]]
"""Signal -> rounds."""


class Target(Struct, frozen=True):
    """One row of the table: a figure of a round in which `sides` took part, and its bound by signal."""

    title: str
    figure: Callable[[Round], float]
    sides: tuple[str, ...]
    bounds: Mapping[str, float]
    is_least: bool
    digits: int = 2
    of_rounds: Callable[[Sequence[float]], float] = statistics.median


class Verdict(Struct, frozen=True):
    """A target held against a signal's rounds: the figure of each round, and the one that counts."""

    target: Target
    signal: str
    values: list[float]

    @property
    def value(self) -> float:
        """The figure of all rounds together."""
        return self.target.of_rounds(self.values)

    @property
    def bound(self) -> float:
        """What the figure has to be at least or at most."""
        return self.target.bounds[self.signal]

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        return self.value >= self.bound if self.target.is_least else self.value <= self.bound

    def __str__(self) -> str:
        digits = self.target.digits
        return f"{self.signal}: {self.target.title}: {self.value:,.{digits}f}, the target is {self.bound:,.{digits}f}"


def rate_ratio(side: str) -> Callable[[Round], float]:
    """Postel's rate over another side's, in a round."""
    return lambda each: each[POSTEL].rate / each[side].rate


def bytes_ratio(side: str) -> Callable[[Round], float]:
    """Postel's bytes a record over another side's, in a round."""
    return lambda each: each[POSTEL].bytes_per_record / each[side].bytes_per_record


def json_ratio(each: Round) -> float:
    """Postel's rate with JSON bodies over the one with the same requests in protobuf, in a round."""
    json = each[POSTEL_JSON]
    return json.rate / each[POSTEL].rate_of_first(json.records)


def _peak_mib(each: Round) -> float:
    return max(each[side].peak_rss_bytes for side in (POSTEL, POSTEL_JSON) if side in each) / MIB


def _idle_mib(each: Round) -> float:
    return each[POSTEL].idle_rss_bytes / MIB


def _by_signal(spans: float, logs: float, points: float) -> Mapping[str, float]:
    return {SPANS: spans, LOGS: logs, POINTS: points}


_POSTEL = (POSTEL,)
TARGETS = (
    Target("rate, Postel / J2", rate_ratio(JSONB), (POSTEL, JSONB), _by_signal(1.4, 1.25, 1.6), True),
    Target("rate, Postel / P0", rate_ratio(FLOOR), (POSTEL, FLOOR), _by_signal(0.5, 0.5, 0.5), True),
    Target("records/s", lambda each: each[POSTEL].rate, _POSTEL, _by_signal(50_000, 35_000, 75_000), True, 0),
    Target("rate, JSON / protobuf", json_ratio, (POSTEL, POSTEL_JSON), _by_signal(0.75, 0.75, 0.75), True),
    Target("bytes, Postel / J1", bytes_ratio(REPEATED), (POSTEL, REPEATED), _by_signal(0.25, 0.29, 0.12), False),
    Target("bytes, Postel / J2", bytes_ratio(JSONB), (POSTEL, JSONB), _by_signal(0.50, 0.65, 0.33), False),
    Target("Python CPU, µs/record", lambda each: each[POSTEL].python_us, _POSTEL, _by_signal(12, 12, 6), False, 1),
    Target(
        "PostgreSQL CPU, µs/record", lambda each: each[POSTEL].postgres_us, _POSTEL, _by_signal(15, 12, 4), False, 1
    ),
    Target("memory, peak, MiB", _peak_mib, _POSTEL, _by_signal(256, 256, 256), False, 0, max),
    Target("memory, idle, MiB", _idle_mib, _POSTEL, _by_signal(90, 90, 90), False, 0, max),
)


def verdicts(target: Target, results: Results) -> dict[str, Verdict]:
    """Signal -> how it did by a target; without the signals of which no round has the sides that it compares."""
    values = {
        signal: [target.figure(each) for each in rounds if all(side in each for side in target.sides)]
        for signal, rounds in results.items()
    }
    return {signal: Verdict(target, signal, found) for signal, found in values.items() if found}


def missed(results: Results) -> list[str]:
    """The targets that were not met, each in a line."""
    held = (verdict for target in TARGETS for verdict in verdicts(target, results).values())
    return [str(verdict) for verdict in held if not verdict.is_met]
