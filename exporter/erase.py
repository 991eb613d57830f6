"""`postel erase`: every record that has some attributes, and whatever else holds these, deleted beside ingest.

Source: docs/erasure.md; docs/decisions/0022-erasure.md.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from time import monotonic

from exporter.columns import Table
from exporter.database import Connection, Database
from exporter.deletion import SIGNALS, Signal, Windows, sweep
from exporter.embedded import attached
from exporter.erasure import Carriers, Criterion, digest, find_carriers, matching
from exporter.erasure_rest import dimension_tables, holds, rewrite
from exporter.flags import add_setting_flags, run, settings_of
from exporter.minutes import AT_ONCE, Minutes
from exporter.partitions import Partitions
from exporter.quantities import between, parsed_by, seconds
from exporter.redaction import Hasher
from exporter.settings import Settings
from sql import query

REJECTED, ROWS = "rejected", "dimension_rows"
_END = (1 << 63) - 1
_NANO = 1_000_000_000
_LONGEST_S = 600.0
_PAGE = 200
_ROUNDS = 3
"""How often records are looked for that came while the ones before were erased."""
_SAY_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Register the flags of `postel erase`."""
    add_setting_flags(parser, "data_dir", "database_url")
    parser.add_argument(
        "--attr",
        metavar="KEY=VALUE",
        type=parsed_by(_criterion),
        action="append",
        required=True,
        help="records that have this attribute, on themselves or around them; repeatable: all of them",
    )
    parser.add_argument("--signal", choices=sorted(SIGNALS), action="append", help="only records of it; repeatable")
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=parsed_by(between(seconds, "1s", "36500d")),
        help="only records of that last time, such as 30d",
    )
    parser.add_argument("--dry-run", action="store_true", help="count them, and erase nothing")


def _criterion(text: str) -> Criterion:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError("must be KEY=VALUE, such as user.id=42")
    return Criterion.of(key, value)


def run_command(args: argparse.Namespace) -> int:
    """Erase, and say what was erased. Raises ConfigurationError, Unavailable."""
    chosen = [signal for signal in SIGNALS if not args.signal or signal in args.signal]
    run(run_once(settings_of(args), args.attr, chosen, args.since, dry_run=args.dry_run))
    return 0


async def run_once(
    settings: Settings, criteria: Sequence[Criterion], signals: Sequence[str], since_s: float | None, *, dry_run: bool
) -> Counter[str]:
    """Erase the records of these signals that have every attribute, of the last `since_s` seconds (None = all).

    Returns and prints how many of each signal, of what was refused and of rows that were rewritten. Whoever is cut off
    begins again. Raises Unavailable.
    """
    async with attached(settings) as url:
        database = Database(url, 1, _LONGEST_S, "postel erase")
        try:
            key = await database.retrying(lambda c: c.fetchval(query("ledger", "read-digest-key")))
            wanted = [criterion.hashed(Hasher(key)) for criterion in criteria]
            erasure = Erasure(database, wanted, signals, since_s)
            found = await (erasure.count() if dry_run else erasure.erase(settings, key))
        finally:
            await database.close()
    print("\n".join(f"{name:16}{found[name]:>12,}" for name in (*signals, REJECTED, ROWS)))
    if dry_run:
        print("nothing is erased: this was a dry run")
    elif erasure.in_use:
        print(f"{erasure.in_use} series, resources or scopes still have it, for records that were not asked for")
        print("or came meanwhile")
    return found


class Erasure:
    """One erasure; `in_use` is how many rows of dimensions have what is asked for and are needed in the end."""

    def __init__(
        self, database: Database, criteria: Sequence[Criterion], signals: Sequence[str], since_s: float | None
    ) -> None:
        self._database, self._criteria, self._signals, self._since_s = database, criteria, signals, since_s
        self._low = 0 if since_s is None else time.time_ns() - int(since_s * _NANO)
        self._found: Counter[str] = Counter()
        self._touched = (_END, -1)
        self._id = 0
        self._said = monotonic()
        self.in_use = 0

    async def count(self) -> Counter[str]:
        """How much there is to erase."""
        found = await self._carriers()
        for signal, table in self._tables():
            windows = Windows(self._database)
            _, counting = matching(signal, table, found)
            async for begin, until in windows.of(table, self._low, _END):
                ((count,),) = await windows.ask(counting, begin, until)
                self._found[signal.name] += count
                self._say(signal.name, begin)
        await self._quarantine(dry_run=True)
        each = [{(kind, i) for kind, ids in carriers.ids.items() for i in ids} for carriers in found]
        self._found[ROWS] = len(set.intersection(*each))
        return self._found

    async def erase(self, settings: Settings, key: bytes) -> Counter[str]:
        """Erase it, and compute anew what was made of it; the trail knows it by a digest with this key."""
        arguments = list(self._signals), digest(self._criteria, key)
        statement = query("erasure", "start-erasure")
        self._id = await self._database.retrying(lambda c: c.fetchval(statement, *arguments))
        await self._quarantine(dry_run=False)
        for _ in range(_ROUNDS):
            erased = await self._erase_records()
            await self._rewrite()
            if not self.in_use or not erased:
                break
        await self._database.retrying(lambda c: c.execute(query("erasure", "end-erasure"), self._id))
        partitions = Partitions(self._database, settings.intervals, settings.partitions_ahead)
        await Minutes(self._database, partitions, AT_ONCE).roll_up()
        await self._vacuum()
        return self._found

    def _tables(self) -> list[tuple[Signal, Table]]:
        signals = [SIGNALS[name] for name in self._signals]
        return [(signal, table) for signal in signals for table in signal.tables[: signal.facts]]

    async def _carriers(self) -> list[Carriers]:
        async def find(connection: Connection) -> list[Carriers]:
            return [await find_carriers(connection, criterion) for criterion in self._criteria]

        return await self._database.retrying(find)

    async def _erase_records(self) -> int:
        carriers, erased = await self._carriers(), 0
        for signal, table in self._tables():
            listing, _ = matching(signal, table, carriers)
            noted = partial(self._note, signal.name)
            async for count, begin in sweep(self._database, signal, table, listing, (self._low, _END), noted):
                erased += count
                self._found[signal.name] += count
                if count:
                    self._touched = min(self._touched[0], begin), max(self._touched[1], begin)
                self._say(signal.name, begin)
        return erased

    async def _note(self, column: str, connection: Connection, count: int) -> None:
        """Count in the trail what this transaction erases."""
        statement = query("erasure", "count-erased").replace("__column__", column)
        await connection.execute(statement, self._id, count)

    async def _rewrite(self) -> None:
        """Rewrite the rows of dimensions that no record needs any more."""

        async def some(connection: Connection) -> tuple[int, int]:
            rewritten, in_use = await rewrite(connection, self._criteria)
            await self._note(ROWS, connection, rewritten)
            return rewritten, in_use

        while (found := await self._database.retrying(some))[0]:
            self._found[ROWS] += found[0]
        self.in_use = found[1]

    async def _quarantine(self, *, dry_run: bool) -> None:
        after = 0
        while True:
            arguments = after, list(self._signals), self._since_s, _PAGE
            statement = query("erasure", "list-quarantined")
            rows = await self._database.retrying(lambda c, s=statement, a=arguments: c.fetch(s, *a))  # type: ignore[misc]
            found = [row[0] for row in rows if holds(self._criteria, row["context"], row["record"])]
            if dry_run:
                self._found[REJECTED] += len(found)
            elif found:
                self._found[REJECTED] += await self._database.retrying(partial(self._release, found=found))
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    async def _release(self, connection: Connection, found: list[int]) -> int:
        count: int = await connection.fetchval(query("erasure", "delete-quarantined"), found)
        await self._note(REJECTED, connection, count)
        return count

    async def _vacuum(self) -> None:
        """Have PostgreSQL forget what was erased, as far as this role may. Raises StorageUnavailable."""
        parents = [table.name for name in self._signals for table in SIGNALS[name].tables]
        tables = [*parents, "otel_traces", *dimension_tables(), "otel_rejected_records"]
        async with self._database.session() as connection:
            found = await connection.fetch(query("erasure", "list-vacuumable"), tables, *self._touched)
            for name, statement in found:
                if await connection.fetchval(query("erasure", "is-there"), name):
                    await connection.execute(statement)
                    await connection.execute(query("erasure", "forget-statistics"), name)

    def _say(self, what: str, at_unix_nano: int | None = None) -> None:
        """Say on stderr how far it is, now and then."""
        if monotonic() - self._said < _SAY_S:
            return
        self._said = monotonic()
        day = "" if at_unix_nano is None else time.strftime(", at %Y-%m-%d", time.gmtime(at_unix_nano // _NANO))
        print(f"{what}: {self._found[what]:,}{day}", file=sys.stderr, flush=True)
