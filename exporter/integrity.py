"""The check that stands in for foreign keys: what no constraint holds is asked of the stored rows.

Source: `sql/queries/integrity.sql`; each statement answers no row when all is well.
"""

from typing import Any, Protocol

from sql import query

CHECKS = (
    "spans-miss-dimensions",
    "logs-miss-dimensions",
    "points-miss-metric",
    "series-miss-dimensions",
    "events-miss-span",
    "exemplars-miss-point",
    "rollup-differs",
    "split-traces-unmarked",
    "spans-lack-identity",
    "logs-contradict-themselves",
    "points-contradict-themselves",
    "resource-attributes-dangle",
    "scope-attributes-dangle",
    "span-series-attributes-dangle",
    "log-series-attributes-dangle",
    "metric-series-attributes-dangle",
    "ledger-loses-count",
    "operations-differ",
    "edges-differ",
    "log-counts-differ",
)


class Connection(Protocol):
    """Whatever runs a statement and returns its rows as mappings; asyncpg's connection does."""

    async def fetch(self, query: str, /) -> list[Any]:
        """The rows of one statement."""


async def check(connection: Connection) -> list[str]:
    """One line per kind of violation in the database behind `connection`: its name, how many rows, and one of them.

    Empty when all is well. Each statement sees one snapshot, so it may run beside writers; it reads every fact.
    """
    lines = []
    for name in CHECKS:
        for row in await connection.fetch(query("integrity", name)):
            count, *example = row.items()
            lines.append(f"{name}: {count[1]}, such as " + ", ".join(f"{column}={value}" for column, value in example))
    return lines
