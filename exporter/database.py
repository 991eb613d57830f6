"""The only importer of asyncpg on the write side: connections, COPY, and the driver's errors in Postel's words."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from random import random
from time import monotonic
from typing import Any, TypeAlias, TypeVar
from weakref import WeakSet

import asyncpg

from exporter.columns import Table
from exporter.errors import (
    BadData,
    Deadlock,
    Duplicate,
    NoPartition,
    NotPermitted,
    PostelError,
    Refused,
    StorageUnavailable,
)
from sql import query
from sql.codecs import set_codecs

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[Any]"
"""A connection with an open transaction: `fetch`, `execute`, and `copy`'s first argument."""

_TROUBLE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    ValueError,
)
"""The third is what a connection that is cut in the middle of something may end in."""
_DEADLOCK_RETRIES = 3
_DUPLICATE = ("23505",)
_DEADLOCKS = ("40P01", "40001")
_BAD_DATA = ("21", "22", "23", "54")
_NOT_PERMITTED, _REFUSED = "42501", "PO001"
"""What a role lacks rights for, and what functions of ours raise."""
_LOST = ("08", "57P", "25006")
"""The server is another one by now, or going: connections that are open lead nowhere."""
_CONNECT_S = 3.0
_ROLLBACK_S = 1.0
_SERVER_MARGIN_S = 0.5
_RECENT_S = 10.0


class Database:
    """A few connections, opened on demand, closed when idle, discarded after trouble.

    `size` is the most that are open at once; `command_timeout_s` bounds every statement, and the wait for a connection.
    `lost` is what is called where the server seems to be another or gone: it replaces the connections of this pool.
    """

    def __init__(self, url: str, size: int, command_timeout_s: float, name: str = "postel") -> None:
        self._pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            init=self._introduce,
            reset=_keep_session,
            command_timeout=command_timeout_s,
            timeout=min(_CONNECT_S, command_timeout_s),
            max_inactive_connection_lifetime=60,
            server_settings={"application_name": name, "jit": "off", **_patience(command_timeout_s)},
        )
        self._command_timeout_s = command_timeout_s
        self._open = False
        self._connections: WeakSet[Any] = WeakSet()
        self._abandoned: set[int] = set()
        self._failure, self._failed_at = "", 0.0
        self.waited_s = 0.0
        """For connections, in all."""
        self.lost: Callable[[], Awaitable[None]] = self.renew

    @property
    def trouble(self) -> str:
        """Why a transaction failed a short while ago, where none was committed since; else ""."""
        return self._failure if monotonic() - self._failed_at < _RECENT_S else ""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction, committed on leaving.

        Raises Duplicate, Deadlock, BadData, or StorageUnavailable, after which the connection is gone and it may be
        unknown whether the transaction was committed. Who is cancelled does not wait for the server.
        """
        connection = await self._acquire()
        transaction = connection.transaction()
        try:
            await transaction.start()
            await self._end_abandoned(connection)
            yield connection
            await transaction.commit()
            self._failure = ""
        except _TROUBLE as error:
            translated = await self._fail(error)
            if isinstance(translated, StorageUnavailable):
                self._abandon(connection)
            else:
                await self._roll_back(connection, transaction)
            raise translated from error
        except PostelError:
            await self._roll_back(connection, transaction)
            raise
        except BaseException as error:
            was_cut_off = isinstance(error, AttributeError) and _is_gone(connection)
            self._abandon(connection)
            if was_cut_off:
                # What asyncpg (0.32) ends in where a connection is cut off between two steps of a statement.
                raise await self._fail(asyncpg.InterfaceError("connection is closed")) from error
            raise
        finally:
            with suppress(*_TROUBLE):
                await self._pool.release(connection)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A connection outside any transaction, for what cannot be done in one; it is closed on leaving.

        Raises what `transaction` does.
        """
        connection = await self._acquire()
        try:
            yield connection
        except _TROUBLE as error:
            raise self._note(error) from error
        finally:
            self._abandon(connection)
            with suppress(*_TROUBLE):
                await self._pool.release(connection)

    async def _acquire(self) -> Connection:
        began = monotonic()
        try:
            async with asyncio.timeout(self._command_timeout_s):
                if not self._open:
                    await self._pool
                    self._open = True
                return await self._pool.acquire()
        except _TROUBLE as error:
            raise self._note(error) from error
        finally:
            self.waited_s += monotonic() - began

    async def _introduce(self, connection: Any) -> None:
        await set_codecs(connection)
        self._connections.add(connection)

    async def _fail(self, error: Exception) -> PostelError:
        state = getattr(error, "sqlstate", None) or ""
        if state.startswith(_LOST) or isinstance(error, OSError | asyncpg.InterfaceError):
            await self.lost()
        return self._note(error)

    def _note(self, error: Exception) -> PostelError:
        translated = translate(error)
        if isinstance(translated, StorageUnavailable):
            self._failure, self._failed_at = str(translated), monotonic()
        return translated

    async def _roll_back(self, connection: Connection, transaction: Any) -> None:
        try:
            async with asyncio.timeout(_ROLLBACK_S):
                await transaction.rollback()
        except _TROUBLE:
            self._abandon(connection)
        except BaseException:
            self._abandon(connection)
            raise

    def _abandon(self, connection: Connection) -> None:
        # Already released where the server cut it off.
        with suppress(asyncpg.InterfaceError):
            if not connection.is_closed():
                self._abandoned.add(connection.get_server_pid())
                connection.terminate()

    async def _end_abandoned(self, connection: Connection) -> None:
        """A server that was frozen, or out of reach, knows nothing of our end, and keeps the locks: tell it."""
        if self._abandoned:
            pids, self._abandoned = list(self._abandoned), set()
            await connection.fetch(query("backends", "end-backends"), pids)

    async def renew(self) -> None:
        """Have fresh connections: those in a transaction are replaced after it, the others now."""
        await self._pool.expire_connections()
        for connection in list(self._connections):
            if not connection.is_closed() and not connection.is_in_transaction():
                connection.terminate()

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


def _patience(timeout_s: float) -> dict[str, str]:
    """How long the server bears with us where it cannot tell that we are gone: no lock of ours outlives that."""
    limit_ms = str(int((timeout_s + _SERVER_MARGIN_S) * 1000))
    return {
        "statement_timeout": limit_ms,
        "idle_in_transaction_session_timeout": limit_ms,
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }


def _is_gone(connection: Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


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
    if state == _NOT_PERMITTED:
        # It names an object, and no value.
        return NotPermitted(f"{text}: {error.args[0]}")
    if state == _REFUSED:
        return Refused(f"{error.args[0]}: {getattr(error, 'hint', '')}")
    return StorageUnavailable(text)


@asynccontextmanager
async def savepoint(connection: Connection, *, keep: bool = True) -> AsyncIterator[None]:
    """A part of a transaction that can fail alone; undone in any case unless `keep`. Raises what
    `Database.transaction` does."""
    part = connection.transaction()
    try:
        await part.start()
        yield
        await (part.commit() if keep else part.rollback())
    except PostelError as error:
        await _undo(part, error)
        raise
    except _TROUBLE as error:
        translated = translate(error)
        await _undo(part, translated)
        raise translated from error


async def _undo(part: Any, error: PostelError) -> None:
    if not isinstance(error, StorageUnavailable):
        # Else the whole transaction is given up, and the server may not answer.
        await part.rollback()


async def copy(connection: Connection, table: Table, rows: Iterable[Sequence[object]]) -> None:
    """COPY rows, tuples in the order of the table's columns, in binary."""
    await connection.copy_records_to_table(table.name, records=rows, columns=table.columns)
