"""`make soak`: every fault at full size, one after the other, and the table of docs/reliability.md.

Source: docs/reliability.md.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from bench.machine import describe
from exporter.embedded import EmbeddedPostgres
from tests.e2e.collector import BINARY
from tests.faults import access, collector, dimensions, dropping, kills, load, trouble
from tests.faults.life import asked
from tests.faults.outcome import HEAD, Outcome

PAGE = Path("docs/reliability.md")
BEGIN, END = "<!-- make soak -->\n", "<!-- end -->\n"
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "max_connections": "100"}


class Run(Struct):
    """What faults need: sizes at this scale, and databases."""

    scale: float
    new_database: Callable[[], str]

    def size(self, full: int) -> int:
        """A number or seconds at this scale, at least 1."""
        return max(1, round(full * self.scale))


Fault = Callable[[Run], Outcome]
FAULTS: tuple[tuple[str, Fault], ...] = (
    ("1", lambda run: load.sustained(run.size(600), run.size(10), run.new_database())),
    ("2", lambda run: load.raced_dimensions(run.size(50), run.new_database())),
    ("3", lambda run: load.overload(run.size(60), {}, 300, run.new_database())),
    ("4", lambda run: kills.sidecar_killed(run.size(100))),
    ("5", lambda run: kills.postgres_killed(run.size(50))),
    ("6", lambda run: kills.commit_cut_off(run.size(100), run.new_database())),
    ("6", lambda run: kills.commit_cut_off_and_an_hour_passes(run.size(50), run.new_database())),
    ("6", lambda run: kills.sender_gave_up_waiting(run.size(10), run.new_database())),
    ("7", lambda run: trouble.postgres_frozen(5, {})),
    ("7", lambda run: trouble.postgres_frozen(run.size(60), {})),
    ("7", lambda run: trouble.black_holed(5, {}, run.new_database())),
    ("7", lambda run: trouble.black_holed(run.size(60), {}, run.new_database())),
    ("7", lambda run: trouble.half_open(run.size(10), {}, run.new_database())),
    ("8", lambda run: trouble.turned_read_only(run.size(20), {})),
    ("8", lambda run: trouble.failed_over()),
    ("9", lambda run: trouble.disk_full(run.size(60), {})),
    ("9", lambda run: trouble.no_connections_left(run.size(60), {})),
    ("9", lambda run: trouble.table_locked(run.size(60), {})),
    ("10", lambda run: kills.stopped_under_load(run.size(10), 50, 30.0)),
    ("15b", lambda run: load.large_bodies(run.size(64), run.new_database())),
    ("16", lambda run: load.slow_connections(run.size(1000), run.size(20), run.new_database())),
    ("17", lambda run: dimensions.every_attribute_unique(run.size(125), 100, {}, run.new_database())),
    ("17b", lambda run: dimensions.series_that_sleep(run.size(63), run.new_database())),
    ("17c", lambda run: load.batched_again(run.size(300), run.new_database())),
    ("17d", lambda run: dropping.dropped_under_load(run.size(30), run.new_database())),
    ("19", lambda run: access.hostile_reads(run.size(60), run.new_database())),
    ("20", lambda run: access.tokens_rotated(run.size(50), run.new_database())),
    ("23", lambda run: _behind_a_collector("disk", run.size(3))),
    ("23", lambda run: _behind_a_collector("memory", run.size(3))),
)
"""Row of docs/reliability.md -> a fault at full size."""


def main(argv: Sequence[str] | None = None) -> int:
    """Strike, print the table as it grows, publish it where all ran at full size; 1 when a promise is broken."""
    args = _parser().parse_args(argv)
    chosen = [(row, fault) for row, fault in FAULTS if args.row is None or row in args.row.split(",")]
    with tempfile.TemporaryDirectory(prefix="postel-soak-") as name, asyncio.Runner() as runner:
        Path(name).chmod(0o755)
        embedded = EmbeddedPostgres(Path(name) / "data", _DURABLE)
        load_before = os.getloadavg()[0]
        try:
            url = runner.run(embedded.start())
            lines, broken = _strike(chosen, Run(args.scale, lambda: runner.run(_new_database(url))))
            text = f"{HEAD}\n" + "\n".join(lines) + f"\n\n{runner.run(describe(url, load_before))}\n"
        finally:
            runner.run(embedded.stop())
    print(f"\n{text}")
    if args.row is None and args.scale == 1:
        publish(text)
    return 1 if broken else 0


def _strike(chosen: Sequence[tuple[str, Fault]], run: Run) -> tuple[list[str], int]:
    """The table's lines, and how many faults broke a promise."""
    lines: list[str] = []
    broken = 0
    print(HEAD, flush=True)
    for row, fault in chosen:
        began = time.monotonic()
        try:
            outcome = fault(run)
            lines.append(outcome.line(row))
            broken += bool(outcome.problems)
        except PermissionError as error:
            lines.append(f"| {row} | left out: {error} | 0 | 0 | 0 | 0 | 0 | |")
        except Exception as error:
            # The others are worth running all the same.
            traceback.print_exc()
            lines.append(f"| {row} | | 0 | 0 | 0 | 0 | 0 | **failed**: {type(error).__name__}: {error} |")
            broken += 1
        print(f"{lines[-1]}  ({time.monotonic() - began:.0f} s)", flush=True)
    return lines, broken


def publish(text: str, page: Path = PAGE) -> None:
    """Replace the page's table by this one."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


async def _new_database(server_url: str) -> str:
    """An empty database, which the server that comes first migrates."""
    name = f"soak_{time.monotonic_ns()}"
    await asked(server_url, lambda connection: connection.execute(f"CREATE DATABASE {name}"))
    return server_url.replace("/postgres?", f"/{name}?", 1)


def _behind_a_collector(queue: str, times: int) -> Outcome:
    if not BINARY.exists():
        raise PermissionError("the Collector is not built (make collector)")
    with tempfile.TemporaryDirectory(prefix="postel-collector-") as name:
        return collector.across_restarts(queue, times, Path(name))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make soak ARGS=...", description=__doc__, allow_abbrev=False)
    parser.add_argument("--row", help="only these rows of the table, separated by commas: 4,5,6")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full numbers and times; 0.1 is quick")
    return parser


if __name__ == "__main__":
    sys.exit(main())
