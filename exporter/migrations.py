"""The schema brought up to this version: numbered scripts once each, views and privileges anew, under an advisory lock.

Source: sql/migrations, sql/views, sql/grants, sql/team.
"""

from hashlib import sha256

from exporter.database import Connection, Database
from exporter.errors import ChangedMigration, StorageUnavailable
from sql import query, scripts

_TIMEOUT_S = 600


async def migrate(database_url: str) -> None:
    """Apply what is missing, in one transaction, as the role that the schema belongs to.

    Raises StorageUnavailable where the database cannot be reached, ChangedMigration where an applied script was edited.
    """
    database = Database(database_url, 1, _TIMEOUT_S, "postel migrate")
    try:
        async with database.transaction() as connection:
            await _apply(connection)
    finally:
        await database.close()


async def _apply(connection: Connection) -> None:
    await connection.execute(query("migrations", "lock-schema"))
    await connection.execute(query("migrations", "create-migrations"))
    await connection.execute(query("migrations", "become-owner"))
    applied = {
        row["version"]: row["checksum"] for row in await connection.fetch(query("migrations", "list-migrations"))
    }
    for name, text in scripts("migrations"):
        version, checksum = int(name[:4]), sha256(text.encode()).hexdigest()
        if applied.get(version, checksum) != checksum:
            raise ChangedMigration(f"sql/migrations/{name} is not what was applied here as version {version}")
        if version not in applied:
            await connection.execute(text)
            await connection.execute(query("migrations", "record-migration"), version, name, checksum)
    if max(applied, default=0) > newest():
        # A newer replica has been here: its views are not ours to take back.
        return
    teams = await connection.fetchval(query("roles", "find-team-schema"))
    for folder in ("views", "grants", "team") if teams else ("views", "grants"):
        for _, text in scripts(folder):
            await connection.execute(text)
    await connection.execute(query("roles", "apply-privileges"))


def newest() -> int:
    """The schema version that this code needs."""
    return max(int(name[:4]) for name, _ in scripts("migrations"))


async def require(connection: Connection) -> None:
    """Raises StorageUnavailable unless the schema is at this version or a later one."""
    found = await connection.fetchval(query("migrations", "find-version"))
    version = found and await connection.fetchval(query("migrations", "read-version"))
    if (version or 0) < newest():
        raise StorageUnavailable(f"schema version is {version or 0}, {newest()} is needed: run `postel migrate`")
