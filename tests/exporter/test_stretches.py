"""Where records lie in time: all of them in few stretches, none of which is wide for nothing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.stretches import MOST, merged, of_times

SECOND = 1_000_000_000
TIMES = st.lists(st.integers(0, 3_600 * SECOND), max_size=40)


def test_near_times_are_one_stretch() -> None:
    assert of_times([]) == []
    assert of_times([5]) == [(5, 5)]
    assert of_times([7 * SECOND, 0, 9 * SECOND]) == [(0, 9 * SECOND)]


def test_a_late_one_is_a_stretch_of_its_own() -> None:
    assert of_times([100 * SECOND, 0, 101 * SECOND, 1]) == [(0, 1), (100 * SECOND, 101 * SECOND)]


@given(TIMES)
def test_every_time_is_covered_by_few_stretches(times: list[int]) -> None:
    found = of_times(times)
    assert len(found) <= MOST
    assert {time for time in times if any(low <= time <= high for low, high in found)} == set(times)
    ends = [end for stretch in found for end in stretch]
    assert ends == sorted(ends)
    assert set(ends) <= set(times)
    assert all(after[0] - before[1] >= 10 * SECOND for before, after in pairwise(found))


@given(st.lists(TIMES.map(of_times), max_size=5))
def test_stretches_of_stretches(several: list[list[tuple[int, int]]]) -> None:
    found = merged(stretch for stretches in several for stretch in stretches)
    assert len(found) <= MOST
    for low, high in (stretch for stretches in several for stretch in stretches):
        assert any(begin <= low and high <= end for begin, end in found)
