"""Bytes in flight against their bound, in all and by client, for as long as anything of a request is left."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from exporter.admission import MEMORY_FACTOR, Admission, Visit
from exporter.errors import Overloaded, ShuttingDown

BOUND = 100
Enter = Callable[[str], Awaitable[Visit]]


def run(session: Callable[[Admission, Enter], Awaitable[None]]) -> None:
    """Run a session with visits that end with it; nothing may be held afterwards."""

    async def whole() -> None:
        admission = Admission(BOUND * MEMORY_FACTOR)
        async with AsyncExitStack() as stack:
            await session(admission, lambda client: stack.enter_async_context(admission.visit(client)))
        assert (admission.held_bytes, admission.is_idle) == (0, True)

    asyncio.run(whole())


def test_the_only_body_may_be_as_large_as_the_bound() -> None:
    async def session(admission: Admission, enter: Enter) -> None:
        lone, other = await enter("a"), await enter("b")
        lone.hold(BOUND // 4)
        lone.hold(BOUND)
        assert admission.held_bytes == BOUND * MEMORY_FACTOR
        lone.hold(1)
        for asked in (other.foresee, other.hold, lambda size: lone.hold(BOUND + size)):
            with pytest.raises(Overloaded):
                asked(1)

    run(session)


def test_several_of_one_client_get_half_and_leave_room_for_others() -> None:
    async def session(admission: Admission, enter: Enter) -> None:
        mine = [await enter("a") for _ in range(3)]
        mine[0].hold(25)
        mine[1].hold(25)
        with pytest.raises(Overloaded):
            mine[2].hold(1)
        with pytest.raises(Overloaded):
            mine[0].hold(26)
        (await enter("b")).hold(BOUND // 2)
        assert admission.held_bytes == BOUND * MEMORY_FACTOR

    run(session)


def test_what_is_foreseen_is_not_held() -> None:
    async def session(admission: Admission, enter: Enter) -> None:
        (await enter("a")).foresee(BOUND)
        assert admission.held_bytes == 0
        with pytest.raises(Overloaded):
            (await enter("a")).foresee(BOUND + 1)

    run(session)


def test_what_was_queued_is_held_until_it_is_written() -> None:
    async def session() -> None:
        admission = Admission(BOUND * MEMORY_FACTOR)
        written = asyncio.get_running_loop().create_future()
        async with admission.visit("a") as visit:
            visit.hold(BOUND)
            visit.keep_until(written)
        assert (admission.held_bytes, admission.is_idle) == (BOUND * MEMORY_FACTOR, True)
        written.set_result(None)
        await asyncio.sleep(0)
        assert admission.held_bytes == 0

    asyncio.run(session())


def test_a_thread_that_goes_on_after_its_request_holds_nothing() -> None:
    async def session() -> None:
        admission = Admission(BOUND * MEMORY_FACTOR)
        async with admission.visit("a") as visit:
            visit.hold(1)
        with pytest.raises(Overloaded):
            visit.hold(2)
        assert admission.held_bytes == 0

    asyncio.run(session())


def test_requests_are_told_to_end_those_that_still_arrive_first() -> None:
    async def session() -> None:
        admission = Admission(BOUND)
        ended: list[str] = []

        async def request(name: str, arriving: bool) -> None:
            with pytest.raises(ShuttingDown):
                async with admission.visit(name) as visit:
                    visit.arriving = arriving
                    await asyncio.sleep(30)
            ended.append(name)

        tasks = [asyncio.create_task(request(name, name == "arrives")) for name in ("waits", "arrives")]
        await asyncio.sleep(0)
        for arriving in (True, True, False):
            admission.end(arriving=arriving)
            admission.end(arriving=arriving)
            await asyncio.sleep(0.01)
            assert ended == (["arrives"] if arriving else ["arrives", "waits"])
        await asyncio.gather(*tasks)

    asyncio.run(session())


def test_another_time_out_is_not_taken_for_the_end() -> None:
    async def session() -> None:
        with pytest.raises(TimeoutError, match="of its own"):
            async with Admission(BOUND).visit("a"):
                raise TimeoutError("of its own")

    asyncio.run(session())
