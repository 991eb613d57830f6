"""What growth does, as Markdown: a column for each step, one table for what comes in and one for what is asked."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from bench.figures import MIB, markdown, milliseconds, spread, verdict
from bench.measure import Load
from bench.reads import Read

TARGET_RATE = 0.85
"""Of the rate at the first step: the whole chunk's, and its second half's, as the first chunk also teaches the server
what repeats and would flatter the others."""
TARGET_MEMORY = 1.15
"""Most resident memory, of that at the first step, that is still called flat."""


class Step(Struct):
    """What was found at one step."""

    spans: int
    loads: Sequence[Load]
    """The chunks since the step before."""
    rss_bytes: int
    """Of the server after the last chunk; then after the reads, and the most it ever had."""
    rss_after_reads_bytes: int
    peak_rss_bytes: int
    database_bytes: int
    partitions: int
    stored: int
    reads: Sequence[Read]

    @property
    def last(self) -> Load:
        """The last chunk before the step: its rate is that of the step."""
        return self.loads[-1]

    @property
    def title(self) -> str:
        """How many spans, for people."""
        return f"{self.spans / 1e6:g} M spans"


def tables(steps: Sequence[Step]) -> str:
    """Both tables; nothing where not even the first step was taken."""
    if not steps:
        return "No step was taken."
    head = ["", *(step.title for step in steps)]
    rows = [[title, *(cell(step, steps[0]) for step in steps)] for title, cell in _ROWS]
    # Every step asks the same questions.
    reads = [[read.title, *(step.reads[i].cell() for step in steps)] for i, read in enumerate(steps[0].reads)]
    return f"{markdown(head, rows)}\n\nms, p50 / p95 / p99; targets p95 < 20:\n\n{markdown(head, reads)}"


def missed(steps: Sequence[Step]) -> list[str]:
    """The targets that were not met, each in a line."""
    lines = []
    for step in steps[1:]:
        for name, share in (("rate", _rate_share(step, steps[0])), ("late rate", _late_share(step, steps[0]))):
            if share < TARGET_RATE:
                lines.append(
                    f"{step.title}: {share:.2f} of the {name} at {steps[0].title}, the target is {TARGET_RATE}"
                )
        if (memory := _memory_share(step, steps[0])) > TARGET_MEMORY:
            lines.append(f"{step.title}: {memory:.2f} of the memory at {steps[0].title}, the most is {TARGET_MEMORY}")
    for step in steps:
        lines += [f"{step.title}: {read.title}: {read.told()}" for read in step.reads if not read.is_fast()]
    return lines


def _rate_share(step: Step, first: Step) -> float:
    return step.last.rate / first.last.rate


def _late_share(step: Step, first: Step) -> float:
    return step.last.late_rate / first.last.late_rate


def _memory_share(step: Step, first: Step) -> float:
    return step.rss_bytes / first.rss_bytes


def _share_cell(share: Callable[[Step, Step], float]) -> Callable[[Step, Step], str]:
    def cell(step: Step, first: Step) -> str:
        if step is first:
            return "1"
        return f"{share(step, first):.2f}; target ≥ {TARGET_RATE}: {verdict(share(step, first) >= TARGET_RATE)}"

    return cell


def _memory_cell(step: Step, first: Step) -> str:
    sizes = (step.rss_bytes, step.rss_after_reads_bytes, step.peak_rss_bytes)
    text = " / ".join(f"{size / MIB:,.0f}" for size in sizes)
    if step is first:
        return text
    share = _memory_share(step, first)
    return f"{text}; {share:.2f} of the first, target ≤ {TARGET_MEMORY}: {verdict(share <= TARGET_MEMORY)}"


def _cpu(step: Step, _first: Step) -> str:
    return " / ".join(f"{s / step.last.records * 1e6:.1f}" for s in (step.last.python_cpu_s, step.last.postgres_cpu_s))


_ROWS: Sequence[tuple[str, Callable[[Step, Step], str]]] = (
    ("spans stored, counted", lambda step, _: f"{step.stored:,}"),
    ("**durable spans/s, last chunk**", lambda step, _: f"**{step.last.rate:,.0f}**"),
    ("of the first step's", _share_cell(_rate_share)),
    ("second half of that chunk, spans/s", lambda step, _: f"{step.last.late_rate:,.0f}"),
    ("of the first step's second half", _share_cell(_late_share)),
    ("chunks since the step before", lambda step, _: f"{len(step.loads)} of {step.last.records:,}"),
    ("their rates, spans/s", lambda step, _: spread([load.rate for load in step.loads])),
    ("last chunk, acknowledged after, ms, p50 / p99", lambda step, _: milliseconds(step.last.latencies_s, 0.5, 0.99)),
    ("last chunk, CPU, Python / PostgreSQL, µs/span", _cpu),
    ("`postel serve`, MiB, after the chunk / after the reads / peak", _memory_cell),
    ("bytes/span with indexes", lambda step, _: f"{step.database_bytes / step.spans:,.0f}"),
    ("partitions that hold spans", lambda step, _: f"{step.partitions}"),
)
