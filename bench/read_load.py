"""Fills what the reads are asked of, out of the timing: Postel over HTTP, and J2 with the same records by COPY."""

import asyncio
import gzip
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from bench.baseline import connect, in_transactions
from bench.baseline_load import store_all
from bench.command import say
from bench.corpus import SIGNALS, Slice, make_slices, read_slice
from bench.database import empty_database, make_database, url_of
from bench.figures import GIB
from bench.jsonb import Jsonb
from bench.measure import count_rows
from bench.read_volume import Volume, chunks
from bench.stage import Miscounted, Served, Stage
from bench.statements import script, statement
from exporter import promotion, row_indexes
from exporter.errors import PostelError
from exporter.migrations import migrate

POSTEL, JSONB = "postel", "jsonb"
"""The databases of a folder that is kept."""

_NOTE = "loaded.json"
_BYTES_PER_RECORD = 1_200
"""On both sides together, with bodies and WAL."""
_WRITERS = 2
_INDEXING = {"maintenance_work_mem": "1GB", "max_parallel_maintenance_workers": "2"}


class Loaded(Struct, frozen=True):
    """What both databases hold: how much, and the time of the last record."""

    volume: Volume
    end_unix_nano: int


class Filled(Struct, frozen=True):
    """Both databases, by URL, and what they hold."""

    postel_url: str
    jsonb_url: str
    loaded: Loaded


@asynccontextmanager
async def filled(stage: Stage, volume: Volume, *, keep: bool) -> AsyncIterator[Filled]:
    """Both databases, filled and vacuumed.

    With `keep` they stay in the stage's folder; where they are there already nothing is loaded.
    Raises PostelError where the folder holds another volume, and Miscounted where a record is missing.
    """
    note = stage.folder / _NOTE
    if keep and note.exists():
        loaded = msgspec.json.decode(note.read_bytes(), type=Loaded)
        if loaded.volume != volume:
            raise PostelError(f"{stage.folder} holds {loaded.volume}: ask for as much, or name another folder")
        both = Filled(url_of(stage.url, POSTEL), url_of(stage.url, JSONB), loaded)
        await _complete(both.postel_url)
        yield both
        return
    async with AsyncExitStack() as stack:
        if keep:
            postel_url, jsonb_url = [await make_database(stage.url, name) for name in (POSTEL, JSONB)]
        else:
            postel_url, jsonb_url = [await stack.enter_async_context(empty_database(stage.url)) for _ in range(2)]
        loaded = await _load(stage, volume, postel_url, jsonb_url)
        if keep:
            note.write_bytes(msgspec.json.encode(loaded))
        yield Filled(postel_url, jsonb_url, loaded)


async def _load(stage: Stage, volume: Volume, postel_url: str, jsonb_url: str) -> Loaded:
    free = shutil.disk_usage(stage.folder).free
    if free < volume.records * _BYTES_PER_RECORD:
        needed = volume.records * _BYTES_PER_RECORD / GIB
        raise PostelError(f"{volume.records:,} records take {needed:,.0f} GiB, {free / GIB:,.0f} GiB are free")
    end_unix_nano = time.time_ns()
    async with stage.served(postel_url) as served, jsonb_tables(jsonb_url) as baseline:
        for parts in chunks(volume, end_unix_nano):
            for signal, bodies in (await _made(stage.folder / "chunk", parts)).items():
                done = await served.load(signal, bodies)
                await baseline.store(signal, bodies)
                say(f"{served.acknowledged[signal]:>12,} {signal} {done.rate:>8,.0f} records/s")
        await _check(served, jsonb_url)
        await baseline.finish()
    await _complete(postel_url)
    return Loaded(volume, end_unix_nano)


async def _made(folder: Path, parts: Sequence[Slice]) -> dict[str, list[bytes]]:
    """Signal -> the bodies of slices, which are on the disk only meanwhile."""
    slices = {folder / f"{number:03}": part for number, part in enumerate(parts)}
    shutil.rmtree(folder, ignore_errors=True)
    try:
        await asyncio.to_thread(make_slices, slices)
        bodies: dict[str, list[bytes]] = {}
        for path, part in slices.items():
            bodies.setdefault(part.signal, []).extend(await asyncio.to_thread(read_slice, path))
        return bodies
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Tables:
    """J2's, of all three signals in one database."""

    def __init__(self, control: Any, writers: Sequence[Any]) -> None:
        self._control, self._writers = control, writers
        self._tables: dict[str, Jsonb] = {}
        self._indexes: list[str] = []

    async def create(self) -> None:
        """Make the tables; without the indexes, which are better and sooner made of rows that are there."""
        for signal in SIGNALS:
            first = next(iter(self._tables.values()), None)
            self._tables[signal] = Jsonb(signal, self._control, first)
            await self._tables[signal].create()
        for name, ddl in await self._control.fetch(statement("list-indexes")):
            await self._control.execute(f"DROP INDEX {name}")
            self._indexes.append(ddl)

    async def store(self, signal: str, bodies: Sequence[bytes]) -> None:
        """Store compressed bodies."""
        tables = self._tables[signal]
        copies = in_transactions(tables, [gzip.decompress(body) for body in bodies])
        await store_all(tables, copies, self._writers, lambda records: None)

    async def finish(self) -> None:
        """Make the indexes, and those that only reading needs."""
        for name, setting in _INDEXING.items():
            await self._control.execute(f"SET {name} = '{setting}'")
        for ddl in (*self._indexes, script("jsonb_reading_indexes")):
            say(f"baseline: {ddl.splitlines()[-1]}")
            await self._control.execute(ddl)
        await self._control.execute("VACUUM ANALYZE")


@asynccontextmanager
async def jsonb_tables(url: str) -> AsyncIterator[Tables]:
    """J2's tables in the empty database at `url`, to be filled."""
    connections = [await connect(url) for _ in range(1 + _WRITERS)]
    try:
        tables = Tables(connections[0], connections[1:])
        await tables.create()
        yield tables
    finally:
        for connection in connections:
            await connection.close()


async def _check(served: Served, jsonb_url: str) -> None:
    stored = await served.count(), await count_rows(jsonb_url, SIGNALS)
    if stored[0] != stored[1]:
        raise Miscounted(f"Postel holds {stored[0]:,} records, the baseline {stored[1]:,}")


async def _complete(postel_url: str) -> None:
    """What a server does after its start: tables as this version has them, and the indexes that it makes late."""
    await migrate(postel_url)
    await row_indexes.make(postel_url, promotion.load())
    connection = await asyncpg.connect(postel_url)
    try:
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
