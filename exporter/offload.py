"""Long computations in a thread, so that the event loop goes on meanwhile: Python changes threads every 5 ms."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LONG_BYTES = 1024 * 1024
"""What telemetry takes less than a tenth of a second to decode; a thread would slow that down, and everything else."""
LONG_ROWS = 10_000
"""The same for rows."""


def slices(columns: Sequence[Sequence[T]]) -> Iterator[list[Sequence[T]]]:
    """Columns of one length in slices of LONG_ROWS rows."""
    for start in range(0, len(columns[0]), LONG_ROWS):
        yield [column[start : start + LONG_ROWS] for column in columns]


async def compute(is_long: bool, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What `work` returns, computed in a thread where that `is_long`, else here.

    A thread cannot be stopped: cancelled, this waits for its end, so that no lock around it is let go too early.
    """
    if not is_long:
        return work(*arguments, **named)
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **named))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
