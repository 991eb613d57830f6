"""What reading takes, as Markdown: a question in a row, Postel beside the JSONB baseline."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from bench.figures import GIB, markdown
from bench.reads import Read


class Compared(Struct):
    """One question on both sides; of each ask that both answered, the rows."""

    postel: Read
    baseline: Read
    rows: list[tuple[int, int]] = []

    def rows_cell(self) -> str:
        """The usual number of rows, and in how many answers the sides do not agree."""
        if not self.rows:
            return ""
        usual = sorted(postel for postel, _ in self.rows)[len(self.rows) // 2]
        differing = sum(postel != baseline for postel, baseline in self.rows)
        return f"{usual:,}" + (f"; differs in {differing}" if differing else "")


class Holding(Struct, frozen=True):
    """What the databases hold: Postel's records and the partitions that have any, by signal; the bytes of both."""

    records: Mapping[str, int]
    partitions: Mapping[str, int]
    postel_bytes: int
    baseline_bytes: int


def report(compared: Sequence[Compared], holding: Holding, buffers: str) -> str:
    """The table, and below it of what it is."""
    head = ["ms, p50 / p95 / p99", "target p95", "Postel, over HTTP", "J2, in SQL", "rows"]
    rows = [
        [
            each.postel.title,
            "" if each.postel.target_s is None else f"< {each.postel.target_s * 1e3:.0f}",
            each.postel.cell(),
            each.baseline.cell(),
            each.rows_cell(),
        ]
        for each in compared
    ]
    held = ", ".join(
        f"{number:,} {signal} in {holding.partitions[signal]} partitions" for signal, number in holding.records.items()
    )
    return (
        f"{markdown(head, rows)}\n\n{held}; {holding.postel_bytes / GIB:.1f} GiB with indexes, J2"
        f" {holding.baseline_bytes / GIB:.1f} GiB; `shared_buffers` = {buffers}."
    )


def missed(compared: Sequence[Compared]) -> list[str]:
    """The targets that were not met, each in a line."""
    reads = [each.postel for each in compared if each.postel.target_s is not None]
    return [f"{read.title}: {read.told()}" for read in reads if not read.is_fast()]
