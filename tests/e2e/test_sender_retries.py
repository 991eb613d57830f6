"""Each SDK sends again what was answered with 503 and Retry-After: the answer on which Postel's durability rests."""

import pytest

from tests.e2e.senders.measure import SDKS
from tests.e2e.senders.programs import program, run
from tests.e2e.senders.scripted import Answer, scripted


@pytest.mark.parametrize("language", SDKS)
def test_a_503_with_retry_after_is_sent_again(language: str) -> None:
    program(language)
    with scripted(Answer(503, {"Retry-After": "1"}), Answer()) as server:
        run(language, server.url, "one", "traces")
    first, again = server.arrivals
    assert first.body
    assert (first.path, first.body) == (again.path, again.body)
    assert again.at - first.at >= 1
