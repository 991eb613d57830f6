"""Long computations in a thread."""

import asyncio
import threading
import time
from typing import Any

import pytest

from exporter.offload import LONG_ROWS, compute, slices


def test_what_is_long_is_computed_elsewhere() -> None:
    async def where(is_long: bool) -> bool:
        return await compute(is_long, threading.get_ident) == threading.get_ident()

    assert asyncio.run(where(False))
    assert not asyncio.run(where(True))


def test_an_error_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(compute(True, lambda: 1 // 0))


def test_a_lock_around_it_is_kept_until_the_thread_has_ended() -> None:
    ended = False

    def work() -> None:
        nonlocal ended
        time.sleep(0.2)
        ended = True

    async def cancelled() -> None:
        lock = asyncio.Lock()

        async def locked() -> None:
            async with lock:
                await compute(True, work)

        task = asyncio.create_task(locked())
        await asyncio.sleep(0.05)
        task.cancel()
        async with lock:
            assert ended
        assert task.cancelled() or task.done()

    asyncio.run(cancelled())


def test_slices_hold_every_row_once() -> None:
    columns: list[list[Any]] = [list(range(LONG_ROWS * 2 + 1)), ["x"] * (LONG_ROWS * 2 + 1)]
    found = list(slices(columns))
    assert [len(some[0]) for some in found] == [LONG_ROWS, LONG_ROWS, 1]
    assert [row for some in found for row in some[0]] == columns[0]
