"""`postel replay`: refused records once more, as after a fix; those that land are not in quarantine any longer.

Source: docs/ingest.md, "Bad records".
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from exporter import promotion
from exporter.database import Database
from exporter.embedded import attached
from exporter.errors import UndecodableBody
from exporter.ingest import Ingest
from exporter.otlp.export import with_record
from exporter.settings import Settings
from exporter.sidecar import Sidecar
from sql import query

_PAGE = 200
"""Records that are sent at once: they share transactions."""


async def run_once(settings: Settings, reasons: Sequence[str] | None, since_s: float | None) -> bool:
    """Replay what was refused for one of `reasons` (None = any) in the last `since_s` seconds (None = ever).

    Prints what became of the records; returns whether all of them landed. Raises Unavailable.
    """
    async with attached(settings) as url:
        database = Database(url, 1, settings.statement_timeout, "postel replay")
        sidecar = Sidecar(settings, promotion.load(overrides=settings.attribute_overrides), url)
        try:
            # First whether the database answers at all: the sidecar would wait for it without end.
            await database.retrying(lambda c: c.fetch(query("ledger", "list-records"), 0, reasons, since_s, 1))
            sidecar.start()
            found = await _replay_all(await sidecar.ready(), database, reasons, since_s)
        finally:
            await sidecar.stop(settings.shutdown_grace)
            await database.close()
    print(f"{found.total()} records replayed: {found['stored']} stored, {found['known']} stored before", end="")
    print(f", {found['refused']} refused again" if found["refused"] else "")
    return not found["refused"]


async def _replay_all(
    ingest: Ingest, database: Database, reasons: Sequence[str] | None, since_s: float | None
) -> Counter[str]:
    found: Counter[str] = Counter()
    after = 0
    while True:
        # Bound now: the loop goes on, and retries may run later.
        arguments = (after, reasons, since_s, _PAGE)
        rows = await database.retrying(lambda c, a=arguments: c.fetch(query("ledger", "list-records"), *a))  # type: ignore[misc]
        if not rows:
            return found
        found.update(await asyncio.gather(*(_replay(ingest, row) for row in rows)))
        after = rows[-1]["rejected_id"]


async def _replay(ingest: Ingest, row: Any) -> str:
    """`stored`, `known` (it was stored before) or `refused` (it stays where it is)."""
    body = msgspec.json.encode(with_record(row["signal"], msgspec.json.decode(row["context"]), row["record"].encode()))
    try:
        outcome = await ingest.replay(row["signal"], row["rejected_id"], body)
    except UndecodableBody:
        return "refused"
    if outcome.rejected:
        return "refused"
    return "stored" if outcome.stored else "known"
