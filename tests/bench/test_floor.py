"""P0 COPYs the very rows of Postel, children with their facts, into tables that have nothing but columns."""

import asyncio
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.baseline_load import load_rows
from bench.corpus import SIGNALS
from bench.floor import Stored, split
from tests.bench.conftest import RECORDS
from tests.bench.reading import round_of, rows


def test_children_go_with_their_facts() -> None:
    facts: list[tuple[Any, ...]] = [(trace, span, 0) for trace in range(6_000) for span in range(2)]
    events: list[tuple[Any, ...]] = [(11, 1, 0, "b"), (5_999, 0, 0, "c"), (11, 1, 0, "a")]
    traces: list[tuple[Any, ...]] = [(trace, "hour") for trace in reversed(range(6_000))]
    copies = split(
        "spans", {"otel_spans_fact": facts, "otel_span_events": events, "otel_span_links": [], "otel_traces": traces}
    )
    assert [copy.records for copy in copies] == [4_000] * 3
    assert [copy.tables["otel_span_events"] for copy in copies] == [[events[0], events[2]], [], [events[1]]]
    assert [row for copy in copies for row in copy.tables["otel_spans_fact"]] == facts
    for copy in copies:
        owned = {row[0] for row in copy.tables["otel_spans_fact"]}
        assert len(copy.tables["otel_traces"]) == 2_000
        assert all(row[0] in owned for row in copy.tables["otel_traces"])


def test_every_transaction_has_its_share_of_each_kind_of_point() -> None:
    kinds = {"number": 8_000, "histogram": 1_500, "exp_histogram": 401, "summary": 100}
    tables: dict[str, list[tuple[Any, ...]]] = {
        f"otel_metrics_data_points_{kind}": [((kind, at), 0) for at in range(count)] for kind, count in kinds.items()
    }
    tables["otel_exemplars"] = [(("histogram", 1_499), 0, "exemplar")]
    copies = split("points", tables)
    assert sum(copy.records for copy in copies) == 10_001
    assert all(3_300 < copy.records < 3_400 for copy in copies)
    assert [len(copy.tables["otel_exemplars"]) for copy in copies] == [0, 0, 1]


@pytest.mark.parametrize("signal", SIGNALS)
def test_rows_are_those_of_postel(signal: str, server_url: str, corpus: Path, empty_url: str) -> None:
    file = corpus / f"{signal}.rows"
    if not file.exists():
        round_of(server_url, corpus, "Postel", signal)
    stored = Stored(*pickle.loads(file.read_bytes()))
    assert asyncio.run(load_rows(signal, file, empty_url)).records == RECORDS
    for table, kept in stored.rows.items():
        found = rows(empty_url, f"SELECT * FROM {table}")
        assert Counter(repr(tuple(row)) for row in found) == Counter(map(repr, kept))
    assert stored.rows["otel_traces" if signal == "spans" else next(iter(stored.rows))]
    nothing = rows(empty_url, "SELECT indrelid FROM pg_index WHERE indrelid::regclass::text LIKE 'otel%'")
    assert nothing == rows(empty_url, "SELECT oid FROM pg_constraint WHERE conrelid::regclass::text LIKE 'otel%'") == []
