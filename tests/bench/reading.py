"""What the tests of the baselines read: the records of requests, and rows of a database."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.baseline import WALKS, connect
from bench.baseline_load import load_bodies
from bench.measure import Load
from bench.rounds import Bench
from bench.stage import Stage


def records(signal: str, bodies: Sequence[bytes]) -> list[tuple[Any, Any, Any]]:
    """(resource, scope, record) of serialized requests; of metrics, the metric."""
    walk = WALKS[signal]
    return [
        (group.resource, part.scope, record)
        for body in bodies
        for group in walk.resources(body)
        for part in walk.scopes(group)
        for record in walk.records(part)
    ]


def rows(url: str, statement: str) -> list[Any]:
    """The rows of a statement."""

    async def fetch() -> list[Any]:
        connection = await connect(url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    return asyncio.run(fetch())


def loaded(side: str, signal: str, bodies: Sequence[bytes], url: str) -> int:
    """How many records a side says it has stored of these bodies, in the empty database at `url`."""
    done = asyncio.run(load_bodies(side, signal, bodies, url))
    assert done.rate > 0 < done.peak_rss_bytes
    return done.records


def round_of(
    server_url: str, folder: Path, side: str, signal: str, *, vacuum: bool = False, keep_rows: bool = True
) -> Load:
    """One round of a side, with the corpus in a folder."""

    async def run() -> Load:
        stage = await Stage.at(folder, server_url)
        return await Bench(stage, settle_s=0, keep_rows=keep_rows).load(side, signal, vacuum=vacuum)

    return asyncio.run(run())
