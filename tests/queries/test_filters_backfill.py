"""Filters answer right before, while and after keys are promoted and demoted, with records coming meanwhile."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from exporter.backfill import Backfill, Difference, Target
from exporter.integrity import check
from exporter.promotion import TYPES
from tests.queries import filter_oracle as oracle
from tests.queries.sending import ago, send_spans, span
from tests.queries.test_filters import FLIPPING, compare, send_logs
from tests.running import Server, serving

BODIES, RECORDS = 10, 30
ASKED = 60
"""Questions at rest."""
MEANWHILE = 6
"""Questions in each pause that is looked at."""


def align(url: str, target: Target, pause: Callable[[float], Awaitable[None]]) -> Difference:
    """Promote or demote with small batches."""

    async def session() -> Difference:
        work = Backfill(url, target, size=20)
        work.rest = pause
        try:
            return await work.align()
        finally:
            await work.close()

    return asyncio.run(session())


def violations(url: str) -> list[str]:
    """What the integrity check finds."""

    async def session() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            return await check(connection)
        finally:
            await connection.close()

    return asyncio.run(session())


@pytest.mark.parametrize("signal", ["spans", "logs"])
def test_answers_are_right_before_meanwhile_and_after(signal: str, database_url: str) -> None:
    rng = random.Random(13)
    base = ago(60)
    sent: list[dict[str, Any]] = []
    pauses = 0

    def send(server: Server, turn: int, count: int) -> None:
        records = [oracle.random_attributes(rng, turn) for _ in range(count)]
        if signal == "spans":
            numbered = enumerate(records, len(sent))
            send_spans(server, "shop", [span(n + 1, base + n, attributes=has) for n, has in numbered])
        else:
            send_logs(server, "shop", base, records, len(sent))
        sent.extend(records)

    with serving(database_url, FLIPPING) as server:
        for turn in range(BODIES):
            send(server, turn, RECORDS)
        compare(server, signal, base, sent, rng, ASKED)

        async def meanwhile(_took_s: float) -> None:
            nonlocal pauses
            pauses += 1
            if pauses % 8 == 0:
                await asyncio.to_thread(send, server, BODIES, 3)
                await asyncio.to_thread(compare, server, signal, base, sent, rng, MEANWHILE)

        for types in (frozenset(TYPES), frozenset[str](), frozenset(("string", "double"))):
            for key in oracle.KEYS:
                done = align(database_url, Target(signal, key, types), meanwhile)
                assert done.missing + done.surplus > 0
            compare(server, signal, base, sent, rng, ASKED)
        assert pauses > 50
    assert violations(database_url) == []
