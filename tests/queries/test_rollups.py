"""Operations, edges and counts are exact: at once, after the minutes were computed, and for what comes late."""

import time
from collections.abc import Sequence
from random import Random

import pytest

from exporter.minutes import Minutes, Pace
from exporter.sidecar import Sidecar
from queries import graph, operations, services
from queries.database import ReadDatabase
from queries.params import GraphSearch, OperationSearch, ServiceSearch, Window
from queries.spans import name_of
from queries.values import KINDS
from tests.exporter.conftest import violations
from tests.exporter.sending import run, send
from tests.queries.rollup_oracle import HOUR, MINUTE, SERVICES, Sent, Spans, assert_calls, random_spans, request
from tests.sql.rows import ask

EAGER = Pace(lag_s=0, settle_s=-1e6, patience_s=0)
"""Whatever is committed is computed, also minutes that have not ended."""
FILED = """SELECT trace_id::text, span_id, start_time_unix_nano FROM otel_spans_fact
WHERE sent_start_time_unix_nano IS NOT NULL"""


async def compute(running: Sidecar) -> int:
    """Compute every minute that is due."""
    return await Minutes(running._control, running._partitions, EAGER).roll_up()


class Compared:
    """A database and the oracle, sent the same and asked the same."""

    def __init__(self, running: Sidecar) -> None:
        self._running, self._reading = running, ReadDatabase(running.database_url, running.settings)
        self.spans = Spans()

    async def send(self, spans: Sequence[Sent], together: int = 20) -> None:
        """Store spans, some in a body."""
        for begin in range(0, len(spans), together):
            outcome = await send(self._running, *request(spans[begin : begin + together]))
            assert outcome.rejected == 0
        self.spans.sent += spans
        async with self._reading.reading() as connection:
            rows = await connection.fetch(FILED)
        self.spans.filed = {(int(row[0].replace("-", ""), 16), row[1]): row[2] for row in rows}

    async def check(self, windows: Sequence[Window]) -> None:
        """All answers are the oracle's, in all these windows."""
        for adjusted in (False, True):
            for window in windows:
                await self._check_operations(window, adjusted)
                await self._check_graph(window, GraphSearch(adjusted=adjusted))
                await self._check_counts(window, adjusted)
            lab = GraphSearch(service=["web"], namespace=["lab"], adjusted=adjusted)
            await self._check_graph(windows[0], lab)

    async def _check_operations(self, window: Window, adjusted: bool) -> None:
        for service in sorted({name for name, _ in SERVICES}):
            asked = OperationSearch(adjusted=adjusted)
            found, complete = await operations.find(self._reading, service, asked, window)
            expected = self.spans.operations(service, window)
            assert complete
            assert {(o.name, o.kind) for o in found} == {(name, name_of(KINDS, kind)) for name, kind in expected}
            assert [o.calls for o in found] == sorted((o.calls for o in found), reverse=True)
            for operation in found:
                kind = KINDS.index(operation.kind) if isinstance(operation.kind, str) else operation.kind
                assert_calls(operation, expected[operation.name, kind], window, adjusted)

    async def _check_graph(self, window: Window, asked: GraphSearch) -> None:
        nodes, edges, complete = await graph.find(self._reading, asked, window)
        expected = self.spans.edges(window)
        if asked.service:
            wanted = (asked.service[0], asked.namespace[0])
            expected = {edge: spans for edge, spans in expected.items() if wanted in edge}
        assert complete
        found = {
            (
                (e.client_service_name, e.client_service_namespace),
                (e.server_service_name, e.server_service_namespace),
                e.kind,
            ): e
            for e in edges
        }
        assert found.keys() == expected.keys()
        for key, edge in found.items():
            assert_calls(edge, expected[key], window, asked.adjusted)
        counts = self.spans.counts(window, asked.adjusted)
        assert {(node.service_name, node.service_namespace) for node in nodes} >= {
            end for e in expected for end in e[:2]
        }
        for node in nodes:
            assert node.span_count == float(counts.get((node.service_name, node.service_namespace), 0))
        if not asked.service:
            assert counts.keys() <= {(node.service_name, node.service_namespace) for node in nodes}

    async def _check_counts(self, window: Window, adjusted: bool) -> None:
        found = await services.catalogue(self._reading, ServiceSearch(adjusted=adjusted), window)
        counts = self.spans.counts(window, adjusted)
        assert {(s.service_name, s.service_namespace): s.span_count for s in found} == {
            service: float(counts.get(service, 0)) for service in {span.service for span in self.spans.sent}
        }

    async def close(self) -> None:
        """Let go of the database."""
        await self._reading.close()


@pytest.mark.parametrize("seed", range(4))
def test_answers_are_exact_at_once_later_and_for_what_comes_late(database_url: str, seed: int) -> None:
    rng = Random(seed)
    end = time.time_ns() - rng.randrange(2 * HOUR)
    begin = end - rng.choice((5 * MINUTE, 2 * HOUR))
    made = random_spans(rng, 300, begin, end, sampled=seed % 2 == 1)
    rng.shuffle(made)
    cuts = sorted(rng.randrange(begin, end) for _ in range(4))
    windows = [
        Window(0, (1 << 63) - 1),
        Window(begin - HOUR, end + HOUR),
        Window(cuts[0], cuts[3]),
        Window(cuts[1], cuts[2]),
        Window(cuts[1] // MINUTE * MINUTE, cuts[1] // MINUTE * MINUTE + MINUTE),
        Window(cuts[2], cuts[2] + 1000),
    ]

    async def session(running: Sidecar) -> None:
        compared = Compared(running)
        await compared.send(made[:150])
        await compared.check(windows)
        assert await compute(running) > 0
        await compared.check(windows)
        for late in (made[150:220], made[220:]):
            await compared.send(late, together=3)
            await compared.check(windows)
            assert await violations(database_url) == []
            assert await compute(running) > 0
            assert await violations(database_url) == []
            await compared.check(windows)
        await compared.close()

    run(database_url, session)
    assert ask(database_url, "SELECT FROM otel_due_minutes") == []
