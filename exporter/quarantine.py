"""Refused records are kept, with what was around them, until they are replayed, too old or too many.

Source: docs/ingest.md, "Bad records"; sql/migrations/0007_ledger.sql.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import structs

from exporter.batch import Batch
from exporter.database import Connection, Database
from exporter.otlp.anyvalue import escape_nul
from exporter.otlp.records import Refusal
from sql import query

_ROW_BYTES = 150
"""About what a row takes beside its texts."""
_KEPT_SHARE = 0.9
"""Of the bound, after pruning: new records find room until the next round."""


class Quarantine:
    """The one place where refused records are kept; `max_bytes` bounds all of them, `max_age_s` each one."""

    def __init__(self, max_bytes: int, max_age_s: float) -> None:
        self._max_bytes, self._max_age_s = max_bytes, max_age_s
        self._room = max_bytes

    async def keep(self, connection: Connection, batches: Iterable[Batch]) -> None:
        """Keep what was refused of the batches; a kept record that has landed now is kept no longer."""
        rows: list[tuple[Any, ...]] = []
        for batch in batches:
            refusals = batch.refusals + batch.found
            if batch.replays is None:
                rows += [(batch.signal.name, *row) for row in self._rows(refusals)]
            elif not refusals:
                await connection.execute(query("ledger", "release-record"), batch.replays)
        if rows:
            await connection.execute(query("ledger", "quarantine-records"), *map(list, zip(*rows, strict=True)))

    @property
    def size_bytes(self) -> int:
        """What is kept, as far as this process knows."""
        return self._max_bytes - self._room

    async def prune(self, database: Database) -> None:
        """Delete what is too old, and the oldest of what is too much."""
        kept_bytes = int(self._max_bytes * _KEPT_SHARE)
        await database.retrying(lambda c: c.execute(query("ledger", "prune-records"), self._max_age_s, kept_bytes))
        size = await database.retrying(lambda c: c.fetchval(query("ledger", "measure-records")))
        self._room = self._max_bytes - size

    def _rows(self, refusals: Sequence[Refusal]) -> Iterable[tuple[Any, ...]]:
        """(reason, message, count, context, record) of each; where there is no room, one a reason without record."""
        crowded: dict[str, Refusal] = {}
        for refusal in refusals:
            size = _ROW_BYTES + len(refusal.message) + len(refusal.context) + len(refusal.record)
            if size > self._room:
                first = crowded.setdefault(refusal.reason, structs.replace(refusal, count=0, context=b"", record=b""))
                first.count += refusal.count
                continue
            self._room -= size
            yield _row(refusal)
        yield from map(_row, crowded.values())


def _row(refusal: Refusal) -> tuple[Any, ...]:
    texts = (refusal.context, refusal.record)
    return (
        refusal.reason,
        escape_nul(refusal.message),
        refusal.count,
        # In JSON U+0000, which PostgreSQL refuses, can always be written as an escape.
        *(text.decode(errors="replace").replace("\0", "\\u0000") or None for text in texts),
    )
