"""Where records lie in time: a few stretches, instead of one that is as wide as the oldest of them is late.

Source: docs/decisions/0011-tail.md.
"""

from collections.abc import Iterable, Sequence

Stretch = tuple[int, int]
"""The least and the greatest time, unix nanoseconds, both inclusive."""
MOST = 8
_APART_NANO = 10_000_000_000


def merged(stretches: Iterable[Stretch], apart_nano: int = _APART_NANO) -> list[Stretch]:
    """Stretches that cover these, in order, MOST at most; between two of them lie ten seconds or more."""
    found: list[Stretch] = []
    for low, high in sorted(stretches):
        if found and low - found[-1][1] < apart_nano:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return found if len(found) <= MOST else merged(found, 4 * apart_nano)


def of_times(times: Sequence[int]) -> list[Stretch]:
    """The stretches of single times."""
    whole = [(min(times), max(times))] if times else []
    # Nearly always: sorting them would cost every record.
    is_short = all(high - low < _APART_NANO for low, high in whole)
    return whole if is_short else merged((time, time) for time in times)
