"""`python -m tests.faults.moved_clock FILE serve ...`: Postel under a clock moved on by the seconds that FILE holds.

Moves what Postel reads the time of day from and what its caches age by; the event loop's own clock goes on as it is.
PostgreSQL's clock stays: a test moves that on by making what is stored older.
"""

import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

_NANO = 1_000_000_000


def moved(real: Callable[[], float], shift: Callable[[], float]) -> Callable[[], float]:
    """A clock of seconds, moved on."""
    return lambda: real() + shift()


def move_on(file: Path) -> None:
    """Replace the clocks of this process."""
    real_time_ns = time.time_ns

    def shift() -> float:
        return float(file.read_text() or 0)

    time.time_ns = lambda: real_time_ns() + int(shift()) * _NANO
    time.time = moved(time.time, shift)
    dimensions = import_module("exporter.dimensions")
    vars(dimensions)["monotonic"] = moved(time.monotonic, shift)


if __name__ == "__main__":
    move_on(Path(sys.argv.pop(1)))
    from exporter.cli import main

    sys.exit(main())
