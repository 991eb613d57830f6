"""Much at once is refused for now or stored, never lost, and never takes more memory than there is."""

from tests.faults import load

NARROW = {"MAX_INFLIGHT_BYTES": "16MiB", "MAX_BODY_BYTES": "4MiB"}
"""Ten times this is held by as many senders as a busy machine can run."""


def test_sustained_load(database_url: str) -> None:
    assert load.sustained(4, 1, database_url).problems == []


def test_dimensions_are_raced(database_url: str) -> None:
    assert load.raced_dimensions(4, database_url).problems == []


def test_records_are_batched_again(database_url: str) -> None:
    assert load.batched_again(12, database_url).problems == []


def test_overload(database_url: str) -> None:
    outcome = load.overload(3, NARROW, 40, database_url)
    assert outcome.problems == []
    assert "503" in outcome.figures


def test_large_bodies(database_url: str) -> None:
    assert load.large_bodies(10, database_url).problems == []


def test_slow_connections(database_url: str) -> None:
    assert load.slow_connections(200, 2, database_url).problems == []
