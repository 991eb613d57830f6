"""While PostgreSQL is in trouble, answers come in time; nothing is lost, and it goes on by itself afterwards."""

import pytest

from tests.faults import trouble
from tests.faults.trouble import IMPATIENT


def test_postgres_is_frozen() -> None:
    assert trouble.postgres_frozen(5, IMPATIENT).problems == []


def test_connections_are_black_holed(database_url: str) -> None:
    assert trouble.black_holed(4, IMPATIENT, database_url).problems == []


def test_connections_are_half_open(database_url: str) -> None:
    assert trouble.half_open(2, IMPATIENT, database_url).problems == []


def test_the_primary_turns_read_only() -> None:
    assert trouble.turned_read_only(4, IMPATIENT).problems == []


def test_a_standby_is_promoted() -> None:
    outcome = trouble.failed_over()
    assert (outcome.problems, outcome.missed) == ([], [])


def test_the_disk_is_full() -> None:
    try:
        outcome = trouble.disk_full(3, IMPATIENT)
    except PermissionError as error:
        pytest.skip(str(error))
    assert (outcome.problems, outcome.missed) == ([], [])


def test_no_connections_are_left() -> None:
    assert trouble.no_connections_left(4, IMPATIENT).problems == []


def test_a_table_is_locked() -> None:
    assert trouble.table_locked(5, IMPATIENT).problems == []
