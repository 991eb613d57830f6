"""What replicas and readers know in common of a signal's attribute keys: which have values on rows, not in series."""

from exporter.cardinality import Cardinality
from exporter.database import Connection, Database
from exporter.otlp.anyvalue import escape_nul, key_hash, unescape_nul
from sql import query


async def tell(database: Database, cardinality: Cardinality) -> None:
    """Tell which keys have values on rows as far as nobody knows; returns when everybody can know.

    Before the first such row is committed: who reads looks for a key that is not marked in the series alone.
    Raises StorageUnavailable (safe to retry: idempotent).
    """
    untold = dict(cardinality.untold)
    if not untold:
        return
    keys = sorted((key_hash(key), escape_nul(key), values) for key, values in untold.items())

    async def mark(connection: Connection) -> None:
        statement = query("dimensions", "mark-keys").replace("__signal__", cardinality.owner)
        await connection.execute(statement, *map(list, zip(*keys, strict=True)))

    await database.retrying(mark)
    cardinality.told(untold)


async def fetch(connection: Connection, cardinality: Cardinality) -> list[str]:
    """The keys that left the series in any replica."""
    statement = query("dimensions", "list-high-keys").replace("__signal__", cardinality.owner)
    return [unescape_nul(row[0]) for row in await connection.fetch(statement)]
