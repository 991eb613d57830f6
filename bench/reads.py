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

    def cell(self) -> str:
        """p50 / p95 / p99 in ms, p95 in bold where it misses its target; before them what went wrong, if anything."""
        asked = len(self.latencies_s) + len(self.others)
        parts = [f"**{len(self.others)} of {asked} {self.others[0]}**"] if self.others else []
        if self.latencies_s:
            p50, p95, p99 = (milliseconds(self.latencies_s, share) for share in (0.5, 0.95, 0.99))
            parts.append(f"{p50} / {p95 if self.is_fast() else f'**{p95}**'} / {p99}")
        return "; ".join(parts) or "nothing in the sample to ask for"

    def told(self) -> str:
        """The cell as plain text."""
        return self.cell().replace("**", "")

    def is_fast(self) -> bool:
        """Whether all of it was answered well, and p95 is below the target."""
        return bool(self.latencies_s) and not self.others and percentile(self.latencies_s, 0.95) < TARGET_P95_S


async def ask_all(asker: Asker, questions: Sequence[Question]) -> list[Read]:
    """Ask every question with all its arguments, one after the other over one connection."""
    reads = []
    for question in questions:
        read = Read(question.title)
        for path in question.paths:
            answer = await asker.get(path)
            problem = _problem(answer, question.member)
            if problem:
                read.others.append(problem)
            else:
                read.latencies_s.append(answer.latency_s)
        reads.append(read)
    return reads


def _problem(answer: Answer, member: str) -> str:
    """What is wrong with an answer: its status, or that it is empty, as every argument is of something stored."""
    if answer.status == 200:
        return "" if json.loads(answer.content)[member] else "answered with nothing"
    try:
        said = json.loads(answer.content)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = answer.content.decode(errors="replace")
    return f"answered {answer.status}: {' '.join(str(said).split())[:_SHOWN].replace('|', '/')}"
