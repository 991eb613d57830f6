"""Loads one signal into one baseline's tables as fast as it goes, in a process of its own and without HTTP.

5,000 records a transaction, two connections, decoding overlapped with COPY. Prints one JSON object: bench.measure.Load.
"""

import argparse
import asyncio
import gc
import gzip
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import uvloop

from bench.baseline import Baseline, Connection, Copy, Decoder, connect, in_transactions
from bench.corpus import read_bodies
from bench.floor import Floor
from bench.jsonb import Jsonb, RepeatedJsonb
from bench.measure import Clock, Load, postmaster_of
from bench.seed import Seed
from bench.sides import FLOOR, JSONB, REPEATED, SEED, SEED_WITH_KEYS

_CONNECTIONS = 2


def decoder(side: str, signal: str, control: Connection) -> Decoder:
    """A side that is given bodies, but for Postel itself."""
    if side == REPEATED:
        return RepeatedJsonb(signal, control)
    if side == JSONB:
        return Jsonb(signal, control)
    if side in (SEED, SEED_WITH_KEYS):
        return Seed(signal, control, foreign_keys=side == SEED_WITH_KEYS)
    raise LookupError(f"no baseline decodes bodies for {side}")


async def load_bodies(side: str, signal: str, bodies: Sequence[bytes], url: str) -> Load:
    """Store serialized requests in the tables of a side, which are made in the empty database at `url`."""
    control = await connect(url)
    tables = decoder(side, signal, control)
    return await _load(tables, in_transactions(tables, bodies), control, url)


async def load_rows(signal: str, file: Path, url: str) -> Load:
    """Store the rows that `bench.floor` took out of Postel's database, in the empty database at `url`."""
    control = await connect(url)
    floor = Floor(signal, file, control)
    return await _load(floor, floor.copies(), control, url)


async def _load(tables: Baseline, copies: AsyncIterator[Copy], control: Connection, url: str) -> Load:
    await tables.create()
    writers = [await connect(url) for _ in range(_CONNECTIONS)]
    postmaster_pid = await postmaster_of(control)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    clock = Clock(time.monotonic(), os.getpid(), postmaster_pid)
    await store_all(tables, copies, writers, lambda records: clock.mark(time.monotonic(), records))
    done = clock.load()
    for connection in (control, *writers):
        await connection.close()
    return done


async def store_all(
    tables: Baseline, copies: AsyncIterator[Copy], writers: Sequence[Connection], mark: Callable[[int], None]
) -> None:
    """Write what comes, a transaction a connection at a time; `mark` is told how many records each has made durable."""
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in writers:
        idle.put_nowait(connection)

    async def store(connection: Connection, copy: Copy) -> None:
        async with connection.transaction():
            for table, columns in tables.columns.items():
                if rows := copy.tables[table]:
                    await connection.copy_records_to_table(table, records=rows, columns=columns)
        mark(copy.records)
        idle.put_nowait(connection)

    async with asyncio.TaskGroup() as stores:
        async for copy in copies:
            stores.create_task(store(await idle.get(), copy))


def main() -> None:
    """Run by `bench.rounds`; `source` is the folder of bodies, or P0's file of rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side")
    parser.add_argument("signal")
    parser.add_argument("source", type=Path)
    parser.add_argument("url")
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if args.side == FLOOR:
            done = runner.run(load_rows(args.signal, args.source, args.url))
        else:
            bodies = [gzip.decompress(body) for body in read_bodies(args.source, args.signal)]
            done = runner.run(load_bodies(args.side, args.signal, bodies, args.url))
    sys.stdout.buffer.write(msgspec.json.encode(done))


if __name__ == "__main__":
    main()
