"""Which keys are to blame where rows multiply that should repeat: names for /metrics, few of them and safe to show.

Whoever sends telemetry chooses the keys, and may choose a hundred thousand.

Source: docs/decisions/0014-cardinality-limits.md.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from exporter.otlp.anyvalue import to_json
from exporter.otlp.records import AnyValue

MOST_NAMES: Final = 100
OTHER: Final = "other"
WINDOW: Final = 256
"""New rows of a dimension that are looked at together."""
_MOST_LENGTH = 64
_MOST_SHOWN = 10
_SHARE = 0.1
"""Of a window's rows: a key of fewer values is not to blame."""
_MOST_SEEN = 1000
"""Keys of one window: one that is to blame is in most rows, so it is among the first."""


def name_of(key: str) -> str:
    """A key as a label: its beginning, without what cannot be printed."""
    return "".join(c if c.isprintable() else "_" for c in key[:_MOST_LENGTH])


class Heaviest:
    """Names and their weights, 100 at most at a time.

    A name gives way to one of more than twice its weight alone: a flood of light ones hides none that is heavy, and
    only a few names of each place come and go in a process's life.
    """

    def __init__(self) -> None:
        self._weights: dict[str, int] = {}
        self._other = 0

    def __contains__(self, name: str) -> bool:
        """Whether a name is one of the heaviest."""
        return name in self._weights

    def add(self, name: str, weight: int) -> None:
        """Note a name; where it is noted already, the larger weight counts."""
        if name in self._weights or len(self._weights) < MOST_NAMES:
            self._weights[name] = max(weight, self._weights.get(name, 0))
            return
        lightest = min(self._weights, key=self._weights.__getitem__)
        if weight > 2 * self._weights[lightest]:
            self._other += self._weights.pop(lightest)
            self._weights[name] = weight
        else:
            self._other += weight

    def weights(self) -> Mapping[str, int]:
        """The names and their weights, and `other` for those that have no place, together."""
        return _merged([*self._weights.items(), *([(OTHER, self._other)] if self._other else [])])


class NewRows:
    """The rows of a dimension that were made lately: how many values each key had among the last 256 of them."""

    def __init__(self) -> None:
        self._names = Heaviest()
        self._seen: dict[str, set[int]] = {}
        self._rows = 0
        self.values: Mapping[str, int] = {}
        """Of the keys that had most of them in the last whole window."""

    def add(self, attributes: Mapping[str, AnyValue]) -> None:
        """Note a row that was made."""
        for key, value in attributes.items():
            name = name_of(key)
            if name in self._seen or len(self._seen) < _MOST_SEEN:
                # Of a value no more than a number is kept: it may be long, and is nobody's business here.
                self._seen.setdefault(name, set()).add(hash(to_json(value)))
        self._rows += 1
        if self._rows == WINDOW:
            self._look()

    def _look(self) -> None:
        counts = Counter({name: len(values) for name, values in self._seen.items()})
        shown = [(name, count) for name, count in counts.most_common(_MOST_SHOWN) if count >= _SHARE * WINDOW]
        for name, count in shown:
            self._names.add(name, count)
        self.values = _merged((name if name in self._names else OTHER, count) for name, count in shown)
        self._seen.clear()
        self._rows = 0


def _merged(counts: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """A key may be called `other`: no name stands twice."""
    merged: Counter[str] = Counter()
    for name, count in counts:
        merged[name] += count
    return merged
