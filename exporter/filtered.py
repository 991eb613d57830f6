"""How often attributes were filtered on: what readers of this process counted is added to what all replicas did.

Source: sql/migrations/0013_storage.sql.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from exporter.database import Database
from exporter.errors import PostelError
from sql import query

MOST_KEYS: Final = 10_000
"""Keys that are told apart in all."""


class Counted(Protocol):
    """What counts: rows are signal, hash of the key, how often, seconds in all."""

    def take(self) -> list[tuple[str, bytes, int, float]]:
        """What was counted since the last time."""

    def add(self, counted: Iterable[tuple[str, bytes, int, float]]) -> None:
        """Count this as well."""


async def store(database: Database, counted: Counted) -> None:
    """Add what was counted. Raises StorageUnavailable; all of it is kept for the next time then, stored or not."""
    taken = counted.take()
    if not taken:
        return
    columns = list(zip(*taken, strict=True))
    try:
        await database.retrying(lambda c: c.execute(query("filtered", "add-filters"), *columns, MOST_KEYS))
    except PostelError:
        counted.add(taken)
        raise
