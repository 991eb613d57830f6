"""P0, the floor: the very rows that Postel stored, out of its database and COPYed into tables without an index."""

import argparse
import asyncio
import pickle
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.baseline import RECORDS_PER_TRANSACTION, Connection, Copy, Row, Tables, connect
from bench.corpus import LOGS, POINTS, SPANS
from bench.statements import statement
from exporter import columns
from exporter.columns import Table

_FACTS: Mapping[str, Sequence[Table]] = {
    SPANS: (columns.SPANS,),
    LOGS: (columns.LOGS,),
    POINTS: (columns.NUMBER, columns.HISTOGRAM, columns.EXP_HISTOGRAM, columns.SUMMARY),
}
"""Signal -> Postel's tables whose rows are its records."""
_TRACE_WIDTH = 1
_CHILDREN: Mapping[str, Mapping[str, int]] = {
    SPANS: {
        columns.SPAN_EVENTS.name: columns.SPAN_EVENTS.key_width,
        columns.SPAN_LINKS.name: columns.SPAN_LINKS.key_width,
        "otel_traces": _TRACE_WIDTH,
    },
    LOGS: {},
    POINTS: {columns.EXEMPLARS.name: columns.EXEMPLARS.key_width},
}
"""Signal -> table written with the facts -> how many columns say of which fact, the same columns in both."""


class Stored(NamedTuple):
    """One signal's rows as Postel stored them: by table what makes it, its columns, and its rows."""

    ddl: dict[str, str]
    columns: dict[str, list[str]]
    rows: Tables


class Floor:
    """Tables like Postel's, but neither partitioned nor indexed nor constrained."""

    def __init__(self, signal: str, file: Path, control: Connection) -> None:
        self._control = control
        # A file that this module has written in the run's own folder.
        stored = Stored(*pickle.loads(file.read_bytes()))
        self._ddl, self.columns = stored.ddl, stored.columns
        self._copies = split(signal, stored.rows)

    async def create(self) -> None:
        """Make the tables."""
        for ddl in self._ddl.values():
            await self._control.execute(ddl)

    async def copies(self) -> AsyncIterator[Copy]:
        """Everything there is to store, a transaction at a time."""
        for copy in self._copies:
            yield copy


def fact_names(signal: str) -> list[str]:
    """Postel's tables that have one row a record."""
    return [table.name for table in _FACTS[signal]]


def split(signal: str, rows: Tables) -> list[Copy]:
    """Transactions of 5,000 facts, in the order in which they lie, each with the children that belong.

    Where a signal has several fact tables, each transaction has its share of every one, as Postel's have.
    """
    facts = fact_names(signal)
    total = sum(len(rows[name]) for name in facts)
    count = -(-total // RECORDS_PER_TRANSACTION)
    found: list[Tables] = [{name: [] for name in rows} for _ in range(count)]
    places: dict[Row, int] = {}
    widths = sorted(set(_CHILDREN[signal].values()))
    for name in facts:
        size = len(rows[name])
        for place, tables in enumerate(found):
            tables[name] = rows[name][place * size // count : (place + 1) * size // count]
            for width in widths:
                for row in tables[name]:
                    places.setdefault(row[:width], place)
    for name, width in _CHILDREN[signal].items():
        for row in rows[name]:
            found[places[row[:width]]][name].append(row)
    return [Copy(sum(len(tables[name]) for name in facts), tables) for tables in found]


async def take_rows(signal: str, url: str) -> Stored:
    """The stored rows of a signal in Postel's database, facts first."""
    names = fact_names(signal) + list(_CHILDREN[signal])
    connection = await connect(url)
    try:
        described: dict[str, Any] = {
            row["name"]: row for row in await connection.fetch(statement("describe-tables"), names)
        }
        rows: Tables = {}
        for name in names:
            async with connection.transaction():
                rows[name] = [tuple(row) async for row in connection.cursor(f"SELECT * FROM {name}", prefetch=5_000)]
    finally:
        await connection.close()
    return Stored(
        {name: described[name]["ddl"] for name in names}, {name: described[name]["columns"] for name in names}, rows
    )


def main() -> None:
    """Run by `bench.rounds` after a round of Postel: writes what its database at `url` holds to `file`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("signal")
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    # A plain tuple: this module is `__main__` here, and is not where the file is read.
    args.file.write_bytes(pickle.dumps(tuple(asyncio.run(take_rows(args.signal, args.url)))))


if __name__ == "__main__":
    main()
