"""A window by minutes: what the rows of whole minutes say, and what is counted from the records as these do not yet.

Source: sql/migrations/0010_minutes.sql; docs/decisions/0012-minutes.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from time import monotonic
from typing import Final

from msgspec import Struct

from queries.database import Connection, fetch_apart
from queries.pages import Row
from queries.params import MAX_TIME, Window, Windowed
from sql import query

MINUTE_NANO: Final = 60_000_000_000
BUDGET_S: Final = 1.0
"""How long an answer may count records: what is left over is answered by the rows there are."""
_TOGETHER = 10
_DAY_NANO = 1440 * MINUTE_NANO
_LATEST = (MAX_TIME // _DAY_NANO - 1) * _DAY_NANO
"""So long before the end of time that an hour more is still one."""
_BUCKETS_PER_DOUBLING = 16


class Minutes(Struct):
    """A window of one signal: `anew` are the minutes that are counted from the records, in rising order, as their rows
    may be wrong or the window cuts them; `counted` are those that have been."""

    window: Window
    anew: list[int]
    counted: list[int]
    is_complete: bool = True

    @classmethod
    async def of(
        cls, connection: Connection, signal: str, window: Window, before_nano: int = 0, after_nano: int = 0
    ) -> "Minutes":
        """The minutes of a window, and others so far before and after it whose records matter; of one snapshot."""
        window = Window(*(min(bound, _LATEST) for bound in window))
        low, high = max(0, window.start - before_nano), window.end + after_nano
        rows = await connection.fetch(query("reading_minutes", "list-unsettled-minutes"), signal, low, high)
        cut = {_floor(bound) for bound in window if bound % MINUTE_NANO}
        return cls(window, sorted({row[0] for row in rows} | cut), [])

    @property
    def whole(self) -> Window:
        """The whole minutes of the window."""
        return Window(-_floor(-self.window.start), _floor(self.window.end))

    def clipped(self, part: Window) -> Window:
        """What of `part` is in the window."""
        return Window(max(part.start, self.window.start), min(part.end, self.window.end))

    async def count(
        self, connection: Connection, statement: str, arguments: Callable[[Window], Sequence[object]]
    ) -> list[Row]:
        """The rows of a statement for all of `anew`, newest first, as far as time allows; its arguments are those of a
        part of it."""
        deadline = monotonic() + BUDGET_S
        found: list[Row] = []
        for part in _parts(self.anew):
            left_ms = int((deadline - monotonic()) * 1000)
            rows = await fetch_apart(connection, left_ms, statement, *arguments(part)) if left_ms > 0 else None
            if rows is None:
                self.is_complete = False
                break
            found += rows
            self.counted += range(part.start, part.end, MINUTE_NANO)
        return found


def _floor(moment: int) -> int:
    return moment - moment % MINUTE_NANO


def _parts(minutes: Sequence[int]) -> Iterator[Window]:
    """Neighbours together, a few at a time, newest first; `minutes` are in rising order."""
    end = len(minutes)
    while end:
        begin = end - 1
        while begin and end - begin < _TOGETHER and minutes[begin - 1] == minutes[begin] - MINUTE_NANO:
            begin -= 1
        yield Window(minutes[begin], minutes[end - 1] + MINUTE_NANO)
        end = begin


def window_of(asked: Windowed) -> Window:
    """The window that is asked for; it begins with a whole minute where no word says when exactly."""
    used = asked.window()
    return used if asked.start_time is not None else Window(_floor(used.start), used.end)


def statement(matches: str, totals: str, adjust: str | None) -> str:
    """The statement `totals` of what the statement `matches` finds; with `adjust`, which makes of the spans that are
    stored those that they stand for."""
    text = query("reading_minutes", matches)
    if adjust is not None:
        text = query("reading_minutes", adjust).replace("__matches__", f"({text})")
    whole = query("reading_minutes", totals).replace("__matches__", f"({text})")
    return whole.replace("__number__", "bigint" if adjust is None else "numeric")


def shown(count: int | Decimal) -> float:
    """A count as answers have it: adjusted ones have fractions."""
    return count if isinstance(count, int) else float(count)


class Tally(Struct):
    """Calls, failed ones among them, and how many took how long, by the buckets of otel_duration_bucket(). Adjusted
    ones have fractions, and no bucket that has any has less than one."""

    errors: int | Decimal = 0
    buckets: dict[int, int | Decimal] = {}

    def add(self, errors: int | Decimal, buckets: Iterable[int], counts: Iterable[int | Decimal]) -> None:
        """Add what a row says."""
        self.errors += errors
        for bucket, count in zip(buckets, counts, strict=True):
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    @property
    def calls(self) -> int | Decimal:
        """How many there are in all."""
        return sum(self.buckets.values())

    def percentile(self, percent: int) -> int:
        """How long so many of a hundred calls took at most, in nanoseconds: within 4.4 %, as wide as a bucket is."""
        wanted = percent * self.calls
        rank = min(self.calls, max(1, wanted // 100 + (wanted % 100 > 0)))
        for bucket, count in sorted(self.buckets.items()):
            if rank <= count:
                place = max(0.0, (float(rank) - 0.5) / float(count))
                return round(2 ** ((bucket - 1 + place) / _BUCKETS_PER_DOUBLING)) if bucket else 0
            rank -= count
        return 0
