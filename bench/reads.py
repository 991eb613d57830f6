"""How long the read API takes for each question, one after the other; what is not answered well is shown."""

import json
from collections.abc import Sequence

from msgspec import Struct

from bench.client import Answer, Asker
from bench.figures import milliseconds, percentile
from bench.questions import Question

TARGET_P95_S = 0.020
_SHOWN = 80


class Read(Struct):
    """What became of a question: latencies of the good answers, and what each of the others was."""

    title: str
    latencies_s: list[float] = []
    others: list[str] = []
    target_s: float | None = TARGET_P95_S
    """What p95 has to stay below; None where there is no target."""

    def cell(self) -> str:
        """p50 / p95 / p99 in ms, p95 in bold where it misses its target; before them what went wrong, if anything."""
        asked = len(self.latencies_s) + len(self.others)
        parts = [f"**{len(self.others)} of {asked} {self.others[0]}**"] if self.others else []
        if self.latencies_s:
            p50, p95, p99 = (milliseconds(self.latencies_s, share) for share in (0.5, 0.95, 0.99))
            parts.append(f"{p50} / {p95 if self._is_below() else f'**{p95}**'} / {p99}")
        return "; ".join(parts) or "nothing in the sample to ask for"

    def told(self) -> str:
        """The cell as plain text."""
        return self.cell().replace("**", "")

    def is_fast(self) -> bool:
        """Whether all of it was answered well, and p95 is below the target."""
        return bool(self.latencies_s) and not self.others and self._is_below()

    def _is_below(self) -> bool:
        return self.target_s is None or percentile(self.latencies_s, 0.95) < self.target_s


async def ask_all(asker: Asker, questions: Sequence[Question]) -> list[Read]:
    """Ask every question with all its arguments, one after the other over one connection."""
    reads = []
    for question in questions:
        read = Read(question.title)
        for path in question.paths:
            await ask(asker, question, path, read)
        reads.append(read)
    return reads


async def ask(asker: Asker, question: Question, path: str, into: Read) -> int:
    """Ask once; the rows of the answer, 0 where it is not a good one.

    As every argument is of something stored, an answer without a row is none.
    """
    answer = await asker.get(path)
    rows = question.count(json.loads(answer.content)) if answer.status == 200 else 0
    if rows:
        into.latencies_s.append(answer.latency_s)
    else:
        into.others.append("answered with nothing" if answer.status == 200 else _refusal(answer))
    return rows


def _refusal(answer: Answer) -> str:
    try:
        said = json.loads(answer.content)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = answer.content.decode(errors="replace")
    return f"answered {answer.status}: {' '.join(str(said).split())[:_SHOWN].replace('|', '/')}"
