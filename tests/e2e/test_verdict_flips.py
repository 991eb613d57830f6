"""Keys that leave the series while records arrive: what is read back does not show it."""

from collections import Counter
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from exporter.otlp.anyvalue import escape_nul
from exporter.otlp.records import LOGS, SPANS
from tests.e2e.in_process import JSON, PROTOBUF, postel
from tests.e2e.otlp_records import Plain, Record, assert_same, make_unique, records, walk
from tests.e2e.otlp_strategy import REQUESTS, SEED, sample

SAMPLED = 100
PAGE = 70
KEYS = ("k0", "service\0name", "\x1a1")
"""The keys of every record's first, second and third attribute."""
TABLES = {SPANS: ("otel_spans_fact", "otel_span_series_dim"), LOGS: ("otel_logs_fact", "otel_log_series_dim")}
OWN_RULE = {"verdict.min_distinct": "8", "verdict.new_value_share": "0.05"}
GUARD = {"verdict.series_tokens": "12", "verdict.records_per_series": "1000", "verdict.recent_series": "12"}


@pytest.mark.parametrize("settings", [OWN_RULE, GUARD], ids=["own rule", "guard"])
@pytest.mark.parametrize("signal", TABLES)
def test_a_stream_comes_back_whatever_leaves_the_series(
    signal: str, settings: dict[str, str], database_url: str
) -> None:
    sent: Counter[Record] = Counter()
    with postel(database_url, settings) as server:
        for number, request in enumerate(_stream(signal)):
            server.send(signal, request, JSON if number % 2 else PROTOBUF)
            sent += records(request)
        assert_same(sent, records(server.read(signal, PAGE)))
        for key in KEYS:
            for table in TABLES[signal]:
                found = server.fetch(f"SELECT FROM {table} WHERE attributes ? $1", escape_nul(key))
                assert (key, table, bool(found)) == (key, table, True)


def _stream(signal: str) -> Iterator[Message]:
    """Requests of a few keys and many values each, none twice: an equal body would not be stored again."""
    taken: set[Plain] = set()
    bodies: set[bytes] = set()
    for sampled in sample(signal, SAMPLED, SEED):
        request = REQUESTS[signal]()
        request.CopyFrom(sampled)
        for _, _, _, _, record in walk(request):
            for attribute, key in zip(record.attributes, KEYS, strict=False):
                attribute.key = key
        make_unique(request, taken)
        if (body := request.SerializeToString()) not in bodies:
            bodies.add(body)
            yield request
