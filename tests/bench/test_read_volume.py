"""All records are there, signals share their visits and their time, and the days are filled evenly up to the end."""

from itertools import pairwise

import pytest

from bench.corpus import LOGS, POINTS, SPANS, Slice
from bench.read_volume import DAY_S, Volume, chunks

END = 1_790_000_000_000_000_000
FULL = Volume(10_000_000, 5_000_000, 10_000_000, 4.0)


def slices(volume: Volume, signal: str) -> list[Slice]:
    """Of a signal, in order."""
    return [part for parts in chunks(volume, END) for part in parts if part.signal == signal]


@pytest.mark.parametrize(
    "volume", [FULL, Volume(2_000, 2_000, 2_000, 1.0), Volume(153_000, 2_000, 77_000, 4.0)], ids=lambda v: f"{v.spans}"
)
@pytest.mark.parametrize("signal", [SPANS, LOGS, POINTS])
def test_every_record_is_in_a_slice_of_whole_bodies(volume: Volume, signal: str) -> None:
    records = [part.records for part in slices(volume, signal)]
    assert sum(records) == volume[signal]
    assert all(number > 0 and number % 1_000 == 0 for number in records)


def test_spans_and_logs_are_of_the_same_days_up_to_the_end() -> None:
    days = 4 * DAY_S * 1e9
    for signal in (SPANS, LOGS):
        found = slices(FULL, signal)
        assert found[0].start_unix_nano == END - days
        assert abs(max(part.end_unix_nano for part in found) - END) < 60e9
    spans = slices(FULL, SPANS)
    for before, after in pairwise(spans):
        assert abs(after.start_unix_nano - before.end_unix_nano) < 1e9


def test_points_end_there_too_and_go_on_where_the_last_slice_ended() -> None:
    points = slices(FULL, POINTS)
    assert abs(points[-1].end_unix_nano - END) < 1e9
    assert all(after.start_unix_nano == before.end_unix_nano for before, after in pairwise(points))
    # 2,870 series, a point a minute.
    assert END - points[0].start_unix_nano == pytest.approx(10_000_000 / 2_870 * 60e9)


def test_most_logs_are_of_visits_that_have_spans_and_the_others_of_visits_of_their_own() -> None:
    traced = {part.number: part for part in slices(FULL, SPANS)}
    logs = slices(FULL, LOGS)
    beside = [part for part in logs if part.number in traced]
    for part in beside:
        spans = traced[part.number]
        assert (part.start_unix_nano, part.visits_per_second) == (spans.start_unix_nano, spans.visits_per_second)
        assert part.end_unix_nano <= spans.end_unix_nano
    assert sum(part.records for part in beside) == pytest.approx(3_000_000, rel=0.02)
    assert len({part.number for part in logs}) == len(logs)


def test_a_chunk_is_about_a_million_spans() -> None:
    sizes = [sum(part.records for part in parts if part.signal == SPANS) for parts in chunks(FULL, END)]
    assert sizes[:10] == [1_000_000] * 10
    assert not any(sizes[10:])
