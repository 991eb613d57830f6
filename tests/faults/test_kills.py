"""What was acknowledged is stored, once, whoever is killed, and whether or not anybody was told of a commit."""

from tests.faults import kills


def test_the_sidecar_is_killed() -> None:
    assert kills.sidecar_killed(3).problems == []


def test_postgres_is_killed() -> None:
    assert kills.postgres_killed(2).problems == []


def test_the_reply_to_a_commit_is_cut_off(database_url: str) -> None:
    outcome = kills.commit_cut_off(6, database_url)
    assert outcome.problems == []
    assert outcome.times >= 6


def test_the_reply_is_cut_off_and_an_hour_passes(database_url: str) -> None:
    outcome = kills.commit_cut_off_and_an_hour_passes(2, database_url)
    assert outcome.problems == []
    assert outcome.times >= 4


def test_a_sender_comes_back_before_its_first_attempt_ended(database_url: str) -> None:
    assert kills.sender_gave_up_waiting(1.5, database_url).problems == []


def test_it_is_stopped_under_load_with_slow_bodies_open() -> None:
    outcome = kills.stopped_under_load(1, 10)
    assert (outcome.problems, outcome.missed) == ([], [])
