"""A memory cgroup for one server, where cgroups may be written; elsewhere its peak memory is what is looked at.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from tests.faults.life import PYTHON

_PLACES = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.oom_control"),
    (Path("/sys/fs/cgroup"), "memory.max", "memory.events"),
)


class Cell(Struct, frozen=True):
    """How to launch a server inside, what bounds it, and the file that counts what the kernel killed there."""

    launcher: Sequence[str]
    bound: str
    events: Path | None = None

    def kills(self) -> list[str]:
        """A problem where the kernel killed for want of memory."""
        if self.events is None:
            return []
        lines = [line.split() for line in self.events.read_text().splitlines()]
        killed = sum(int(count) for name, count in lines if name == "oom_kill")
        return [f"the kernel killed {killed} processes for want of memory"] if killed else []


@contextmanager
def confined(limit_bytes: int) -> Iterator[Cell]:
    """A cell of that much memory until the block ends."""
    folder, events = _made(limit_bytes)
    if folder is None:
        yield Cell(PYTHON, "no cgroup could be made")
        return
    try:
        enter = ("sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$@"', "sh")
        yield Cell((*enter, *PYTHON), f"in a cgroup of {limit_bytes >> 20} MiB", events)
    finally:
        with suppress(OSError):
            folder.rmdir()


def _made(limit_bytes: int) -> tuple[Path | None, Path | None]:
    for place, limit, events in _PLACES:
        folder = place / f"postel-{os.getpid()}"
        with suppress(OSError):
            folder.mkdir()
            with suppress(OSError):
                (folder / limit).write_text(str(limit_bytes))
                return folder, folder / events
            folder.rmdir()
    return None, None
