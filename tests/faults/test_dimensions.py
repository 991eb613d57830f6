"""What never repeats fills no memory, and what is pruned is nothing that anybody points to."""

from tests.faults import dimensions

SMALL = {"MAX_CACHED_RESOURCES": "300", "MAX_CACHED_SERIES": "300", "MAX_CACHED_ATTRIBUTES": "300"}


def test_every_attribute_is_unique(database_url: str) -> None:
    assert dimensions.every_attribute_unique(2, 100, SMALL, database_url).problems == []


def test_series_sleep_and_come_back(database_url: str) -> None:
    assert dimensions.series_that_sleep(9, database_url).problems == []
