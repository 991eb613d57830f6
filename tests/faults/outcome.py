"""What a fault showed: one row of the table in docs/reliability.md."""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from tests.faults.life import asked
from tests.faults.oracle import Verdict, judge, judge_metrics
from tests.faults.sender import Attempt, Sender

MIB = 1 << 20
HEAD = "| # | fault | times | sent | acknowledged | lost | twice | figures |\n|---|---|--:|--:|--:|--:|--:|---|"


class Outcome(Struct):
    """A fault, how often it struck, the oracle's verdict, figures in words, and figures that miss what is asked."""

    fault: str
    times: int
    verdict: Verdict
    figures: str = ""
    missed: list[str] = []

    @property
    def problems(self) -> list[str]:
        """What must never be: lost, doubled or miscounted records, answers out of contract."""
        return self.verdict.problems

    def line(self, row: str) -> str:
        """The table's row."""
        v = self.verdict
        notes = "; ".join([self.figures, *(f"**missed**: {text}" for text in [*self.missed, *self.problems])])
        return (
            f"| {row} | {self.fault} | {self.times} | {v.sent:,} | {v.acknowledged:,} | {v.lost} | {v.duplicates} |"
            f" {notes.strip('; ')} |"
        )


def verdict_of(database_url: str, sender: Sender, throughout: Sequence[str] = ()) -> Verdict:
    """The oracle's verdict; `throughout`: the servers that were never restarted, whose counters must agree as well."""
    verdict = asyncio.run(asked(database_url, lambda connection: judge(connection, sender)))
    if throughout:
        verdict.problems += judge_metrics(throughout, sender)
    return verdict


def percentile(attempts: Sequence[Attempt], share: float) -> float:
    """The seconds that `share` of the acknowledgements did not exceed."""
    took = sorted(attempt.took_s for attempt in attempts if attempt.status == 200)
    return took[min(len(took) - 1, int(share * len(took)))] if took else float("nan")


def longest_answer_s(attempts: Sequence[Attempt]) -> float:
    """The seconds of the slowest answer of any status."""
    return max((attempt.took_s for attempt in attempts), default=0.0)
