"""The three roles of a deployment: made, and everything that is Postel's given to its owner, while servers go on.

Source: docs/operate.md, "Data life"; docs/decisions/0023; sql/grants.
"""

import asyncio
import time
from collections.abc import Sequence

from exporter.database import Database
from exporter.errors import ConfigurationError, Deadlock, NotPermitted, StorageUnavailable
from exporter.migrations import migrate
from sql import query

DEFAULT_PREFIX = "postel"
_TIMEOUT_S = 600.0
_PATIENCE_S, _PAUSE_S = 60.0, 0.05
"""How long a table may be busy, and how often it is tried meanwhile: nobody waits behind us for long."""


async def create(database_url: str, prefix: str | None, timeout_s: float) -> Sequence[str]:
    """Make what is missing of the roles of a migrated database; returns their names: owner, writer, reader.

    `prefix` begins their names (None = what they have, else postel); `timeout_s` bounds the statements of writer and
    reader. May be called again. Raises NotPermitted, which says what an administrator has to execute,
    ConfigurationError where the database has others, and StorageUnavailable, as when a table stays busy.
    """
    database = Database(database_url, 1, _TIMEOUT_S, "postel roles")
    try:
        names = await _make(database, prefix, str(int(timeout_s * 1000)))
        await _hand_over(database)
    finally:
        await database.close()
    await migrate(database_url)
    return names


async def _make(database: Database, prefix: str | None, timeout_ms: str) -> Sequence[str]:
    due: list[str] = []
    try:
        async with database.transaction() as connection:
            await connection.execute(query("migrations", "lock-schema"))
            found = {row["duty"]: row["role"] for row in await connection.fetch(query("roles", "list-roles"))}
            names = _names(prefix, found)
            _require_ours(await connection.fetchval(query("roles", "find-team-owner")), names[0])
            arguments = (*names, timeout_ms)
            due = [row[0] for row in await connection.fetch(query("roles", "list-due-roles"), *arguments)]
            for statement in due:
                await connection.execute(statement)
            await connection.execute(query("roles", "record-roles"), *names)
    except NotPermitted as error:
        script = "".join(f"{statement};\n" for statement in due)
        raise NotPermitted(
            f"{error}\nHave a role execute this that may, then run the command again:\n{script}"
        ) from error
    return names


def _names(prefix: str | None, found: dict[str, str]) -> list[str]:
    duties = ("owner", "writer", "reader")
    names = [f"{prefix or DEFAULT_PREFIX}_{duty}" for duty in duties]
    if not found:
        return names
    there = [found[duty] for duty in duties]
    if prefix is not None and there != names:
        raise ConfigurationError(f"--create-roles {prefix}: this database has the roles {', '.join(there)}")
    return there


def _require_ours(team_owner: str | None, owner: str) -> None:
    if team_owner not in (None, owner):
        raise ConfigurationError(
            f"--create-roles: schema otel_team belongs to {team_owner}, not to {owner}: another deployment in this"
            " database has its teams there; name that one's schema in search_path, or take a database of its own"
        )


async def _hand_over(database: Database) -> None:
    """Give what belongs to others to the owner, each object by itself; what is made meanwhile, too."""
    while due := await _foreign(database):
        for statement in due:
            await _execute_between(database, statement)


async def _foreign(database: Database) -> list[str]:
    async with database.transaction() as connection:
        # Who makes partitions just now began as the old owner: what is not committed yet would not be seen.
        await connection.fetch(query("indexes", "wait-for-partitions"))
        return [row[0] for row in await connection.fetch(query("roles", "list-foreign-objects"))]


async def _execute_between(database: Database, statement: str) -> None:
    """Execute a statement as soon as its lock is to be had at once."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            async with database.transaction() as connection:
                await connection.fetch(query("roles", "limit-lock"))
                await connection.execute(statement)
        except NotPermitted:
            raise
        except (StorageUnavailable, Deadlock) as error:
            if time.monotonic() > deadline:
                raise StorageUnavailable(f"{statement}: {error}") from error
            await asyncio.sleep(_PAUSE_S)
        else:
            return
