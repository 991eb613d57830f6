"""Loads the bodies of one signal into its JSONB table as fast as it goes, in a process of its own and without HTTP.

5,000 records a transaction, two connections, decoding overlapped with COPY. Prints one JSON object: bench.measure.Load.
"""

import argparse
import asyncio
import gc
import gzip
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import uvloop

from bench.corpus import read_bodies
from bench.jsonb import JsonbTable, Row, connect
from bench.measure import Clock, Load, parent_of

_BODIES_PER_TRANSACTION = 5
_CONNECTIONS = 2
_ROWS_PER_SLICE = 500
"""Between two yields to the event loop: 100 to 5,000 were tried, this does best."""


async def load(signal: str, bodies: Sequence[bytes], url: str) -> Load:
    """Store serialized requests in the table of the signal, which is made in the empty database at `url`."""
    control = await connect(url)
    table = JsonbTable(signal, control)
    await table.create()
    writers = [await connect(url) for _ in range(_CONNECTIONS)]
    postmaster_pid = parent_of(await control.fetchval("SELECT pg_backend_pid()"))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    clock = Clock(time.monotonic(), os.getpid(), postmaster_pid)
    await _store_all(signal, table, bodies, writers, clock)
    done = clock.load()
    for connection in (control, *writers):
        await connection.close()
    return done


async def _store_all(
    signal: str,
    table: JsonbTable,
    bodies: Sequence[bytes],
    writers: Sequence["asyncpg.Connection[Any]"],
    clock: Clock,
) -> None:
    idle: asyncio.Queue[asyncpg.Connection[Any]] = asyncio.Queue()
    for connection in writers:
        idle.put_nowait(connection)

    async def store(connection: "asyncpg.Connection[Any]", rows: list[Row]) -> None:
        async with connection.transaction():
            await connection.copy_records_to_table(signal, records=rows, columns=table.columns)
        clock.mark(time.monotonic(), len(rows))
        idle.put_nowait(connection)

    async with asyncio.TaskGroup() as stores:
        for start in range(0, len(bodies), _BODIES_PER_TRANSACTION):
            rows = await _decode(table, bodies[start : start + _BODIES_PER_TRANSACTION])
            stores.create_task(store(await idle.get(), rows))


async def _decode(table: JsonbTable, bodies: Sequence[bytes]) -> list[Row]:
    rows: list[Row] = []
    due = _ROWS_PER_SLICE
    for body in bodies:
        async for part in table.decode(body):
            rows += part
            if len(rows) >= due:
                due = len(rows) + _ROWS_PER_SLICE
                await asyncio.sleep(0)
    return rows


def main() -> None:
    """Run by `bench.rounds`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("signal")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("url")
    args = parser.parse_args()
    bodies = [gzip.decompress(body) for body in read_bodies(args.corpus, args.signal)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        done = runner.run(load(args.signal, bodies, args.url))
    sys.stdout.buffer.write(msgspec.json.encode(done))


if __name__ == "__main__":
    main()
