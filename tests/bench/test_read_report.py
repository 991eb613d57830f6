"""The table has both sides of a question, whether they agree, and what a target makes of it."""

from bench.read_report import Compared, Holding, missed, report
from bench.reads import Read
from tests.bench.loads import MIB

HOLDING = Holding({"spans": 4_000, "logs": 2_000}, {"spans": 5, "logs": 4}, 2_048 * MIB, 3_072 * MIB)


def test_a_question_in_a_row() -> None:
    quick = Compared(Read("quick", [0.010]), Read("quick", [0.030], target_s=None), [(50, 50), (50, 50)])
    slow = Compared(Read("slow", [0.120], target_s=0.1), Read("slow", [], ["cut off"], None), [(7, 8)])
    beyond = Compared(Read("beyond", [7.0], target_s=None), Read("beyond", [1.0], target_s=None))
    text = report([quick, slow, beyond], HOLDING, "128MB")
    assert "| quick | < 20 | 10 / 10 / 10 | 30 / 30 / 30 | 50 |" in text
    assert "| slow | < 100 | 120 / **120** / 120 | **1 of 1 cut off** | 7; differs in 1 |" in text
    assert "| beyond |  | 7,000 / 7,000 / 7,000 | 1,000 / 1,000 / 1,000 |  |" in text
    assert "4,000 spans in 5 partitions, 2,000 logs in 4 partitions; 2.0 GiB with indexes, J2 3.0 GiB" in text
    assert "`shared_buffers` = 128MB" in text
    assert missed([quick, slow, beyond]) == ["slow: 120 / 120 / 120"]


def test_what_is_not_answered_misses_its_target() -> None:
    refused = Compared(Read("refused", [], ["answered 404: no"]), Read("refused", [0.001], target_s=None))
    assert missed([refused]) == ["refused: 1 of 1 answered 404: no"]
