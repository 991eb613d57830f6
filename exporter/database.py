"""The only importer of asyncpg on the write side: connections, COPY, and the driver's errors in Postel's words."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from random import random
from typing import Any, TypeAlias, TypeVar

import asyncpg

from exporter.columns import Table
from exporter.errors import BadData, Deadlock, Duplicate, NoPartition, PostelError, StorageUnavailable
from sql.codecs import set_codecs

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[Any]"
"""A connection with an open transaction: `fetch`, `execute`, and `copy`'s first argument."""

_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The last is what a connection that is cut in the middle of something may end in."""
_DEADLOCK_RETRIES = 3
_DUPLICATE = ("23505",)
_DEADLOCKS = ("40P01", "40001")
_BAD_DATA = ("21", "22", "23", "54")
_FOREVER = 1e9


class Database:
    """A few connections, opened on demand, closed when idle, discarded after trouble.

    `size` is the most that are open at once; `command_timeout_s` bounds every statement on the client's side.
    """

    def __init__(self, url: str, size: int, command_timeout_s: float, name: str = "postel") -> None:
        self._pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            init=set_codecs,
            reset=_keep_session,
            command_timeout=command_timeout_s,
            timeout=command_timeout_s,
            max_inactive_connection_lifetime=60,
            server_settings={"application_name": name, "jit": "off"},
        )
        self._open = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction, committed on leaving.

        Raises Duplicate, Deadlock, BadData, or StorageUnavailable, after which the connection is gone and it may be
        unknown whether the transaction was committed.
        """
        connection: Connection | None = None
        try:
            if not self._open:
                await self._pool
                self._open = True
            connection = await self._pool.acquire()
            async with connection.transaction():
                yield connection
        except PostelError:
            raise
        except (*_DRIVER_ERRORS, OSError, TimeoutError, ValueError) as error:
            translated = translate(error)
            if connection is not None and isinstance(translated, StorageUnavailable):
                with suppress(asyncpg.InterfaceError):
                    # Already released where the server cut it off.
                    connection.terminate()
            raise translated from error
        finally:
            if connection is not None:
                with suppress(*_DRIVER_ERRORS, OSError):
                    await self._pool.release(connection)

    async def retrying(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """`work` in a transaction of its own, again after a deadlock, three times at most."""
        for attempt in range(_DEADLOCK_RETRIES):
            try:
                async with self.transaction() as connection:
                    return await work(connection)
            except Deadlock:
                await asyncio.sleep(random() * 0.05 * (attempt + 1))
        raise StorageUnavailable("deadlocks did not end")

    async def close(self) -> None:
        """Close every connection; the ones in use are cut off."""
        if self._open:
            self._pool.terminate()


async def _keep_session(_connection: Any) -> None:
    """Between uses nothing is reset, as no session state is ever set: saves a round trip, and suits PgBouncer."""


def translate(error: Exception) -> PostelError:
    """A driver's error in Postel's words; whatever is not known to be ours to mend is taken for transient."""
    state = getattr(error, "sqlstate", None) or ""
    text = f"{state} {type(error).__name__}".strip()
    if state in _DUPLICATE or (state == "XX000" and "duplicate key" in str(error)):
        return Duplicate(text)
    if state == "23514" and "no partition of relation" in str(error):
        return NoPartition(text)
    if state in _DEADLOCKS:
        return Deadlock(text)
    if state[:2] in _BAD_DATA or isinstance(error, asyncpg.DataError | ValueError):
        return BadData(text)
    return StorageUnavailable(text)


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """A part of a transaction that can fail alone. Raises what `Database.transaction` does."""
    try:
        async with connection.transaction():
            yield
    except (*_DRIVER_ERRORS, ValueError) as error:
        raise translate(error) from error


async def copy(connection: Connection, table: Table, rows: Iterable[Sequence[object]]) -> None:
    """COPY rows, tuples in the order of the table's columns, in binary."""
    await connection.copy_records_to_table(table.name, records=rows, columns=table.columns)
