"""Who writes does not wait for maintenance."""

from tests.faults import dropping


def test_partitions_are_dropped_under_load(database_url: str) -> None:
    outcome = dropping.dropped_under_load(8, database_url)
    print(outcome.figures)
    assert outcome.problems == []
