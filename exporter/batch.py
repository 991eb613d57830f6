"""One request's records on their way to PostgreSQL, and the answer that the sender gets for them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from random import getrandbits
from time import monotonic
from typing import Any, Protocol

from msgspec import Struct, field

from exporter.cardinality import Cardinality
from exporter.check import Finder
from exporter.columns import Table
from exporter.otlp.anyvalue import escape_nul
from exporter.otlp.export import Json
from exporter.otlp.records import Codec, Refusal, ScopeRecords
from exporter.place import Intake, Missing, Part, Rollup
from exporter.stretches import Stretch

Row = tuple[Any, ...]
Find = Callable[[Collection[int], Refusal], Awaitable[list[Refusal]]]
_MAX_MESSAGE = 1000


class Signal(Protocol):
    """What a signal is to the rest: its tables, and how records become rows.

    `tables` are the facts (the first `facts` of them, one row a record) and then their children.
    """

    @property
    def name(self) -> str:
        """One of SPANS, LOGS, METRICS."""

    @property
    def facts(self) -> int:
        """How many of `tables` are facts."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """Facts, then their children."""

    @property
    def finder(self) -> Finder | None:
        """How stored records are found by their natural key; None where there is no such key."""

    @property
    def cardinality(self) -> Cardinality | None:
        """The verdict on the signal's attributes; None where every attribute is identity."""

    def records(self, codec: Codec, body: bytes) -> Iterable[ScopeRecords[Any]]:
        """The records of a request's body."""

    def build(self, intake: Intake, chunk: Sequence[Part], out: Sequence[list[Row]]) -> Missing:
        """Add rows to `out`; say which dimension rows have to be stored first, and what to build again then."""

    def original(self, codec: Codec, record: Any, ordinal: int | None) -> Json:
        """A record as OTLP/JSON; of a metric, with the data point of that ordinal alone where one is given. Raises
        UndecodableBody."""

    def count(self, record: Any) -> int:
        """How many records a decoded one stands for: a metric for its data points."""

    def roll_up(self, rows: Sequence[Row]) -> Rollup | None:
        """What keeps a rollup of the stored rows up to date."""


class Outcome(Struct, frozen=True):
    """What the sender is told: how many records were refused, and why (or a warning)."""

    rejected: int
    message: str
    stored: int = 0
    deduplicated: int = 0

    def again(self) -> "Outcome":
        """The answer to the same body once more: what was stored was stored before."""
        return Outcome(self.rejected, self.message, 0, self.stored + self.deduplicated)


class Batch(Struct):
    """The rows of one body, a list a table, with what is to be entered in the ledger for it."""

    signal: Signal
    digest: bytes
    rows: list[list[Row]]
    received: int
    refusals: list[Refusal]
    warnings: list[str]
    size_bytes: int
    stretches: list[Stretch]
    """The times that rows are filed under."""
    late: bool
    """Whether any record is filed under the time of its receipt."""
    done: "asyncio.Future[Outcome]"
    find: Find
    """Refusals like the one given of the records of these ordinals, from the body once more."""
    replays: int | None = None
    """The refused record that this is, if it is one."""
    found: list[Refusal] = field(default_factory=list)
    """What was refused when it came to storing it, at the last attempt."""
    deduplicated: int = 0
    """How many records were stored before, as the last attempt found."""
    made_at: float = field(default_factory=monotonic)
    """By the monotonic clock."""
    claim: int = field(default_factory=lambda: getrandbits(63))
    """Tells a ledger row of this batch from one that another batch of the same body made."""

    @property
    def stored(self) -> int:
        """How many records have rows."""
        return sum(len(rows) for rows in self.rows[: self.signal.facts])

    @property
    def keys(self) -> Stretch | None:
        """The least and the greatest time that a row is filed under; None where there is no row."""
        return (self.stretches[0][0], self.stretches[-1][1]) if self.stretches else None

    def forget_attempt(self) -> None:
        """Nothing is known but what the body itself says."""
        self.found, self.deduplicated = [], 0

    def outcome(self) -> Outcome:
        """The answer, as far as is known."""
        refusals = self.refusals + self.found
        rejected = sum(refusal.count for refusal in refusals)
        # What was sent may be quoted: PostgreSQL keeps the answer, and takes no U+0000.
        message = escape_nul("; ".join([*_summaries(refusals), *self.warnings])[:_MAX_MESSAGE])
        return Outcome(rejected, message, self.received - rejected - self.deduplicated, self.deduplicated)


def unstorable(error: Exception) -> tuple[str, str]:
    """(reason, message) for a record that PostgreSQL refuses with this error."""
    return "unstorable", f"PostgreSQL refuses the record: {error}"


def _summaries(refusals: Sequence[Refusal]) -> list[str]:
    """One line a reason, with a count and the first message."""
    by_reason: dict[str, list[Refusal]] = {}
    for refusal in refusals:
        by_reason.setdefault(refusal.reason, []).append(refusal)
    return [f"{sum(r.count for r in found)} {reason}: {found[0].message}" for reason, found in by_reason.items()]
