"""Postel and its PostgreSQL are restarted and killed while a Collector sends: what was sent is stored, once."""

from pathlib import Path

import pytest

from tests.e2e.collector import require_collector
from tests.faults.collector import across_restarts


@pytest.mark.parametrize("queue", ["disk", "memory"])
def test_what_was_sent_is_stored_once_across_restarts(queue: str, tmp_path: Path) -> None:
    require_collector()
    assert across_restarts(queue, 1, tmp_path).problems == []
