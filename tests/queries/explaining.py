"""A connection that keeps the plan of every statement that it is asked."""

from collections.abc import AsyncIterator
from typing import Any

from queries.database import Connection


class Explaining:
    """A connection that explains every statement before it asks it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.plans: list[str] = []

    async def fetch(self, statement: str, *arguments: object) -> Any:
        """The rows of a statement."""
        plan = await self._connection.fetch(f"EXPLAIN {statement}", *arguments)
        self.plans.append("\n".join(row[0] for row in plan))
        return await self._connection.fetch(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: object) -> Any:
        """The first value of the first row."""
        rows = await self.fetch(statement, *arguments)
        return rows[0][0] if rows else None

    async def cursor(self, statement: str, *arguments: object, prefetch: int) -> AsyncIterator[Any]:
        """The rows of a statement, one by one."""
        assert prefetch
        for row in await self.fetch(statement, *arguments):
            yield row
