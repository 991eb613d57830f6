"""What is sent comes back: random legal requests of every signal, through both encodings, field by field."""

from collections import Counter

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.e2e.in_process import JSON, PROTOBUF, postel
from tests.e2e.otlp_records import assert_same, keep_first, make_unique, records
from tests.e2e.otlp_strategy import FIRST_UNIX_NANO, REQUESTS, SEED, Place, places, places_set, requests

EXAMPLES = {SPANS: 180, LOGS: 200, METRICS: 200}
ENOUGH = 50
"""In so many examples every field has to be something else than its default."""


@pytest.mark.parametrize("signal", REQUESTS)
def test_what_is_sent_comes_back(signal: str, database_url: str) -> None:
    seen: Counter[Place] = Counter()

    with postel(database_url) as server:

        @seed(SEED)
        @settings(
            max_examples=EXAMPLES[signal],
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(requests(signal), st.booleans())
        def goes_round(request: Message, json_first: bool) -> None:
            make_unique(request, set())
            sent = records(request)
            server.forget()
            first, second = (JSON, PROTOBUF) if json_first else (PROTOBUF, JSON)

            server.send(signal, request, first)
            assert_same(sent, records(server.read(signal, start_time=FIRST_UNIX_NANO)))

            # Spans and points are known again in whatever encoding they come.
            server.send(signal, request, second)
            twice, _ = keep_first(signal, sent + sent)
            assert_same(twice, records(server.read(signal, start_time=FIRST_UNIX_NANO)))
            seen.update(places_set(request))

        goes_round()
    rare = {place: seen[place] for place in places(REQUESTS[signal]) if seen[place] < ENOUGH}
    assert not rare
