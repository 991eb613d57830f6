"""How often attributes were filtered on and how long these questions took, counted until the sidecar stores it.

What is stored is summed over replicas (`otel_attribute_filters`), and up to a minute behind.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import MappingProxyType
from typing import Final, NamedTuple

from exporter.otlp.anyvalue import key_hash
from queries.database import Connection
from queries.errors import QueryError
from queries.filters import ATTR, EVENT, RESOURCE, SCOPE, Filter
from sql import query

MOST_KEYS: Final = 1_000
"""Keys that are counted between two times of storing; questions about more than so many others are not."""
_OWNERS: Final = MappingProxyType({RESOURCE: "resource", SCOPE: "scope", EVENT: "span_events"})

Key = tuple[str, bytes]
"""A signal, or what else has attributes, as promotion lists call it; and the hash of an attribute's key."""


def key_of(signal: str, key: str) -> Key:
    """What stands for an attribute's key."""
    return signal, key_hash(key)


class Use(NamedTuple):
    """How often an attribute was filtered on, and how long these questions took in all."""

    filters: int = 0
    seconds: float = 0.0

    def plus(self, filters: int, seconds: float) -> "Use":
        """Both together."""
        return Use(self.filters + filters, self.seconds + seconds)


class Filtered:
    """What this process counted and nobody stored yet."""

    def __init__(self) -> None:
        self._uses: dict[Key, Use] = {}

    @contextmanager
    def counting(self, filters: Iterable[tuple[str, Filter]], signal: str) -> Iterator[None]:
        """Count these filters, each with its prefix, of a question about a signal, and how long the block takes.

        One that fails in time counts too; one that was asked in a wrong way does not.
        """
        keys = {key_of(signal if on == ATTR else _OWNERS[on], found.key) for on, found in filters}
        began = monotonic()
        try:
            yield
        except QueryError:
            keys.clear()
            raise
        finally:
            took_s = monotonic() - began
            self.add([(*key, 1, took_s) for key in keys])

    def add(self, counted: Iterable[tuple[str, bytes, int, float]]) -> None:
        """Count what is known: signal, hash of the key, how often, seconds in all."""
        for signal, hash_, filters, seconds in counted:
            key = signal, hash_
            if key in self._uses or len(self._uses) < MOST_KEYS:
                self._uses[key] = self._uses.get(key, Use()).plus(filters, seconds)

    def take(self) -> list[tuple[str, bytes, int, float]]:
        """What was counted since the last time, which is forgotten here."""
        taken, self._uses = self._uses, {}
        return [(*key, *use) for key, use in taken.items()]

    async def of(self, connection: Connection, keys: Iterable[Key]) -> dict[Key, Use]:
        """How often these keys were filtered on: what is stored, and what is counted here."""
        hashes = sorted({hash_ for _, hash_ in keys})
        rows = await connection.fetch(query("reading_storage", "find-filters"), hashes)
        found = dict(self._uses)
        for row in rows:
            key = row["signal"], row["key_hash"]
            found[key] = found.get(key, Use()).plus(row["filters"], row["seconds"])
        return found
