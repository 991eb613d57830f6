"""What the baselines have in common: how a request is walked through, and what is written in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, TypeAlias

import asyncpg
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.corpus import LOGS, POINTS, RECORDS_PER_BODY, SPANS
from sql.codecs import set_codecs

Row: TypeAlias = tuple[Any, ...]
Tables: TypeAlias = dict[str, list[Row]]
"""Table -> rows for it."""
Connection: TypeAlias = "asyncpg.Connection[Any]"

RECORDS_PER_TRANSACTION = 5_000
_ROWS_PER_SLICE = 500
"""Between two yields to the event loop: 100 to 5,000 were tried, this does best."""


class Copy(NamedTuple):
    """What one transaction writes, and how many records that is."""

    records: int
    tables: Tables


class Baseline(Protocol):
    """One side's tables of one signal, in a database of its own."""

    @property
    def columns(self) -> Mapping[str, Sequence[str]]:
        """Table -> what its rows hold; tables are written in this order."""

    async def create(self) -> None:
        """Make the tables."""


class Decoder(Baseline, Protocol):
    """A side that is given bodies."""

    def decode(self, body: bytes, into: Tables) -> AsyncIterator[int]:
        """Add the rows of a serialized request, and yield how many records they are, scope by scope."""


class Walk(NamedTuple):
    """How to get from a signal's body to its records: `resources(body)`, `scopes(resource)`, `records(scope)`.

    The records of metrics are metrics: each holds points.
    """

    resources: Callable[[bytes], Iterable[Any]]
    scopes: Callable[[Any], Iterable[Any]]
    records: Callable[[Any], Sequence[Any]]


WALKS: Mapping[str, Walk] = {
    SPANS: Walk(
        lambda body: ExportTraceServiceRequest.FromString(body).resource_spans,
        attrgetter("scope_spans"),
        attrgetter("spans"),
    ),
    LOGS: Walk(
        lambda body: ExportLogsServiceRequest.FromString(body).resource_logs,
        attrgetter("scope_logs"),
        attrgetter("log_records"),
    ),
    POINTS: Walk(
        lambda body: ExportMetricsServiceRequest.FromString(body).resource_metrics,
        attrgetter("scope_metrics"),
        attrgetter("metrics"),
    ),
}


async def in_transactions(decoder: Decoder, bodies: Sequence[bytes]) -> AsyncIterator[Copy]:
    """Everything that bodies of 1,000 records hold, decoded; what is being written goes on meanwhile."""
    bodies_per_transaction = RECORDS_PER_TRANSACTION // RECORDS_PER_BODY
    for start in range(0, len(bodies), bodies_per_transaction):
        tables: Tables = {table: [] for table in decoder.columns}
        records, due = 0, _ROWS_PER_SLICE
        for body in bodies[start : start + bodies_per_transaction]:
            async for count in decoder.decode(body, tables):
                records += count
                if records >= due:
                    due = records + _ROWS_PER_SLICE
                    await asyncio.sleep(0)
        yield Copy(records, tables)


async def connect(url: str) -> Connection:
    """A connection that takes JSONB as its text and a uuid as its bytes, without objects of either."""
    connection = await asyncpg.connect(url)
    await set_codecs(connection)
    return connection
