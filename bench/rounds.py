"""Alternating rounds: each side loads the same bodies into an empty database of the same PostgreSQL server."""

import asyncio
import sys
from pathlib import Path

import msgspec

from bench.client import JSON, PROTOBUF
from bench.corpus import read_bodies
from bench.database import empty_database
from bench.floor import fact_names
from bench.measure import Load, database_bytes
from bench.sides import FLOOR, JSONB, POSTEL, POSTEL_JSON, REPEATED
from bench.stage import DEFAULT_CONNECTIONS, SETTLE_S, Stage, count_all
from exporter.errors import PostelError


class Bench:
    """One run on a stage, in whose folder the corpus is.

    `connections` are what Postel's client has, each with one request under way. With `keep_rows`, what Postel stored in
    its first round of a signal is kept in that folder: P0 loads it.
    """

    def __init__(
        self,
        stage: Stage,
        connections: int = DEFAULT_CONNECTIONS,
        *,
        settle_s: float = SETTLE_S,
        keep_rows: bool = True,
    ) -> None:
        self._stage, self._connections, self._settle_s, self._keep_rows = stage, connections, settle_s, keep_rows

    async def load(self, side: str, signal: str, *, vacuum: bool) -> Load:
        """One side's round: load, count, measure the bytes (also after VACUUM where asked), drop the database.

        Raises Miscounted, or Unacknowledged where a body was not taken whole.
        """
        async with empty_database(self._stage.url) as url:
            done = await self._load(side, signal, url)
            done.stored = await count_all(url, _tables(side, signal), done.records, f"{signal} of {side}")
            done.bytes_loaded = await database_bytes(url)
            if vacuum:
                done.bytes_vacuumed = await database_bytes(url, vacuum=True)
            if side == POSTEL and self._keep_rows and not self._rows(signal).exists():
                await _run("bench.floor", signal, url, str(self._rows(signal)))
        return done

    async def _load(self, side: str, signal: str, url: str) -> Load:
        if side in (POSTEL, POSTEL_JSON):
            return await self._load_postel(signal, url, as_json=side == POSTEL_JSON)
        if side == FLOOR and not self._rows(signal).exists():
            raise PostelError(f"{FLOOR} loads the rows of a round of {POSTEL}: let that be a side as well, before it")
        source = self._rows(signal) if side == FLOOR else self._stage.folder
        return msgspec.json.decode(await _run("bench.baseline_load", side, signal, str(source), url), type=Load)

    def _rows(self, signal: str) -> Path:
        return self._stage.folder / f"{signal}.rows"

    async def _load_postel(self, signal: str, url: str, *, as_json: bool) -> Load:
        bodies = read_bodies(self._stage.folder, signal, as_json=as_json)
        async with self._stage.served(url, settle_s=self._settle_s) as served:
            return await served.load(signal, bodies, self._connections, form=JSON if as_json else PROTOBUF)


def _tables(side: str, signal: str) -> list[str]:
    """The tables of a side that have one row a record. The seed's have the names that Postel's have."""
    return [signal] if side in (REPEATED, JSONB) else fact_names(signal)


async def _run(module: str, *arguments: str) -> bytes:
    """What a module prints, run in a process of its own. Raises PostelError where it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise PostelError(f"{' '.join((module, *arguments[:2]))} ended with exit code {process.returncode}")
    return output
