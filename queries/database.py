"""The only importer of asyncpg on the read side: a few read-only connections, and time-outs in Postel's words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import asyncpg

from exporter.errors import Overloaded, PostelError, StorageUnavailable
from exporter.settings import Settings
from queries.errors import QueryError, QueryTimeout
from sql import query
from sql.codecs import set_codecs

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[Any]"
"""A connection inside a read-only transaction."""

_IDLE_S = 60
_CONNECT_S = 3.0


class ReadDatabase:
    """At most `settings.readers` connections, opened on demand and closed when idle: reads cannot crowd out writes."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.settings = settings
        self._timeout_s = settings.statement_timeout
        timeout_ms = str(int(self._timeout_s * 1000))
        self._pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=settings.readers,
            init=set_codecs,
            reset=_keep_session,
            timeout=min(_CONNECT_S, self._timeout_s),
            command_timeout=self._timeout_s + 1,
            max_inactive_connection_lifetime=_IDLE_S,
            server_settings={
                "application_name": "postel reader",
                "default_transaction_read_only": "on",
                "statement_timeout": timeout_ms,
                "idle_in_transaction_session_timeout": str(int(self._timeout_s * 2000)),
                "jit": "off",
                # A plan made for the very window leaves other partitions, and filters that are not given, alone.
                "plan_cache_mode": "force_custom_plan",
            },
        )
        self._opening = asyncio.Lock()
        self._open = False

    @asynccontextmanager
    async def reading(self, *, one_snapshot: bool = False) -> AsyncIterator[Connection]:
        """A connection inside a read-only transaction; with `one_snapshot` all its statements see the same rows.

        Raises QueryTimeout, Overloaded where every connection stays busy, StorageUnavailable, and QueryError where
        numbers are too large to be added up.
        """
        connection = await self._acquire()
        transaction = connection.transaction(isolation="repeatable_read" if one_snapshot else None, readonly=True)
        ended = False
        try:
            await transaction.start()
            try:
                # All statements together may take as long as one.
                async with asyncio.timeout(self._timeout_s):
                    yield connection
            except (PostelError, asyncpg.QueryCanceledError, asyncpg.NumericValueOutOfRangeError):
                await transaction.rollback()
                ended = True
                raise
            await transaction.commit()
            ended = True
        except PostelError:
            raise
        except asyncpg.NumericValueOutOfRangeError as error:
            raise QueryError("a number of the answer would be beyond what a double holds") from error
        except (asyncpg.QueryCanceledError, TimeoutError) as error:
            raise QueryTimeout(f"the query took longer than {self._timeout_s:g} s") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise StorageUnavailable(_told(error)) from error
        finally:
            with suppress(asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
                if not ended:
                    # The server does not answer, or is gone, or nobody waits for it any longer.
                    connection.terminate()
                await self._pool.release(connection)

    async def renew(self) -> None:
        """Have fresh connections from now on: the server may be another one."""
        await self._pool.expire_connections()

    async def _acquire(self) -> Connection:
        try:
            if not self._open:
                async with self._opening:
                    await self._pool
                    self._open = True
            return await self._pool.acquire(timeout=self._timeout_s)
        except TimeoutError as error:
            raise Overloaded("no connection to read with was to be had in time") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise StorageUnavailable(_told(error)) from error

    async def close(self) -> None:
        """Close every connection; the ones in use are cut off."""
        if self._open:
            self._pool.terminate()


async def fetch_within(connection: Connection, limit_ms: int, statement: str, *arguments: object) -> list[Any] | None:
    """The rows of a statement, or None where it takes longer. It has to be the last one of its transaction.

    The limit ends with the statement: it bounds a COMMIT too, and a busy machine may let one wait for that long.
    """
    await connection.fetch(query("reading", "limit-statement"), str(limit_ms))
    try:
        rows = await connection.fetch(statement, *arguments)
    except asyncpg.QueryCanceledError:
        return None
    # What ends the limit is itself bound by it. Cut off, it has ended the transaction, and the limit with that.
    with suppress(asyncpg.QueryCanceledError):
        await connection.fetch(query("reading", "end-limit"))
    return rows


async def fetch_apart(connection: Connection, limit_ms: int, statement: str, *arguments: object) -> list[Any] | None:
    """The rows of a statement, or None where it takes longer; the transaction goes on either way."""
    part = connection.transaction()
    await part.start()
    rows = await fetch_within(connection, limit_ms, statement, *arguments)
    # Also where it was not cut off: what ended its limit may have been.
    await part.rollback()
    return rows


async def _keep_session(_connection: Any) -> None:
    """Between uses nothing is reset, as no session state is ever set."""


def _told(error: Exception) -> str:
    return f"{getattr(error, 'sqlstate', None) or ''} {type(error).__name__}".strip()
