"""Waiting for rows ends when they are there, when none comes any more, or when it has taken too long."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain, count, repeat

import asyncpg
import pytest

from bench.peers import database
from bench.peers.database import Seen, connect, dump, wait_for_rows


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test takes no time."""
    monkeypatch.setattr(database, "_POLL_S", 0.001)


def counting(numbers: Iterator[int]) -> Callable[[], Awaitable[int]]:
    """A count that says these."""

    async def counted() -> int:
        return next(numbers)

    return counted


def waited(numbers: Iterator[int], expected: int, quiet_s: float = 0.05, at_most_s: float = 5.0) -> Seen:
    """What was seen, of rows that were acknowledged at 7.0."""
    return asyncio.run(wait_for_rows(counting(numbers), expected, since=7.0, quiet_s=quiet_s, at_most_s=at_most_s))


def test_what_is_there_at_once_was_there_at_the_acknowledgement() -> None:
    assert waited(iter([10]), 10) == Seen(10, 7.0)


def test_later_rows_have_the_time_of_their_count() -> None:
    before = time.monotonic()
    seen = waited(iter([0, 5, 5, 10]), 10)
    assert seen.rows == 10
    assert before < seen.at <= time.monotonic()


def test_it_ends_when_nothing_comes_any_more() -> None:
    seen = waited(chain([0, 4], repeat(4)), 10)
    assert seen.rows == 4


def test_it_ends_when_rows_come_for_ever() -> None:
    assert waited(count(), 10**9, quiet_s=1.0, at_most_s=0.05).rows > 0


def test_a_dump_holds_every_row_of_every_table(server_url: str) -> None:
    async def run() -> list[str]:
        postgres = await connect(server_url)
        assert postgres.socket_dir and postgres.socket_port
        assert postgres.cpu_s() > 0
        async with postgres.empty("peer_dumped") as url:
            connection = await asyncpg.connect(url)
            await connection.execute("CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1), (1)")
            await connection.execute('CREATE TABLE "Odd name" (b text); INSERT INTO "Odd name" VALUES (NULL)')
            await connection.close()
            return sorted((await dump(url)).elements())

    assert asyncio.run(run()) == ['{"a": 1}', '{"a": 1}', '{"b": null}']
