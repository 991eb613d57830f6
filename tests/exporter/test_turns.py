"""Clients that wait take turns, whoever gives up meanwhile."""

import asyncio

import pytest

from exporter.errors import ShuttingDown
from exporter.turns import Queue, Turns, Turnstile


def test_clients_take_turns_and_each_ones_things_go_in_order() -> None:
    turns: Turns[str] = Turns()
    for client, thing in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")):
        turns.put(client, thing)
    assert [turns.take() for _ in range(4)] == ["a1", "b1", "c1", "a2"]
    turns.put("c", "c2")
    assert [turns.take() for _ in range(3)] == ["b2", "a3", "c2"]
    assert not turns


def test_a_turnstile_lets_one_through_at_a_time_and_clients_in_turns() -> None:
    async def session() -> list[str]:
        stile, passed, inside = Turnstile(), [], 0

        async def go(client: str) -> None:
            nonlocal inside
            async with stile.turn(client):
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                passed.append(client)
                inside -= 1

        await asyncio.gather(*(go(client) for client in "aaaaabb"))
        return passed

    assert asyncio.run(session()) == ["a", "a", "b", "a", "b", "a", "a"]


def test_who_gives_up_waiting_blocks_nobody() -> None:
    async def session() -> None:
        stile = Turnstile()

        async def go() -> None:
            async with stile.turn("a"):
                await asyncio.sleep(0)

        async with stile.turn("b"):
            first, second, third = (asyncio.create_task(go()) for _ in range(3))
            await asyncio.sleep(0)
            first.cancel()
        # It is the second one's turn now, and it does not know yet.
        second.cancel()
        async with asyncio.timeout(5):
            await third
            async with stile.turn("c"):
                pass

    asyncio.run(session())


class Sized:
    """As much of a batch as the queue looks at."""

    def __init__(self, stored: int) -> None:
        self.stored, self.size_bytes = stored, 10


def test_the_queue_gives_whole_batches_up_to_its_bounds_and_then_the_rest() -> None:
    async def session() -> list[list[int] | None]:
        queue = Queue(10, 1000)
        for stored in (6, 6, 100, 1):
            await queue.put(Sized(stored))  # type: ignore[arg-type]
        await queue.close()
        with pytest.raises(ShuttingDown):
            await queue.put(Sized(1))  # type: ignore[arg-type]
        taken = [await queue.take() for _ in range(4)]
        return [None if group is None else [batch.stored for batch in group] for group in taken]

    assert asyncio.run(session()) == [[6, 6], [100], [1], None]
