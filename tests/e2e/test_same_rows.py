"""The encoding and compression of a request leave no trace: the same rows, under the same hashes."""

import asyncio
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import zstandard

from exporter.otlp.message_json import message_to_json
from tests.conftest import database_of
from tests.e2e.in_process import JSON, PROTOBUF, postel
from tests.e2e.otlp_records import make_unique
from tests.e2e.otlp_strategy import REQUESTS, SEED, START_UNIX_NANO, sample

Rows: TypeAlias = Counter[tuple[str, ...]]
REQUESTS_MERGED = 25
"""Random requests that make up one body."""

_TABLES = """
SELECT c.relname, coalesce(p.signal, ''), coalesce(p.time_column, '')
FROM pg_class AS c LEFT JOIN otel_partitioned_tables AS p ON p.parent = c.relname
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relname ~ '^(otel_|attribute_keys)' AND c.relname !~ '^otel_(ingest|partition|secrets)'
"""
_DIMENSIONS = {
    "otel_resources_dim": "resource",
    "otel_scopes_dim": "scope",
    "otel_metrics_dim": "metric",
    "otel_span_series_dim": "series",
    "otel_log_series_dim": "series",
    "otel_metric_series_dim": "series",
    "attribute_keys": "key",
}
"""Table -> what its id and hash columns are named after."""
_SERIES = {"spans": "otel_span_series_dim", "logs": "otel_log_series_dim", "metrics": "otel_metric_series_dim"}
_RANDOM = {"log_id", "rejected_id"}
# Which spans of a trace share an hour depends on when they are received where that is the time they are filed under.
_WHERE = {
    "otel_traces": "WHERE NOT EXISTS (SELECT FROM otel_spans_fact AS s WHERE s.trace_id = t.trace_id "
    "AND s.sent_start_time_unix_nano IS NOT NULL)"
}


def _raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


_WAYS: dict[str, tuple[str, str, Callable[[bytes], bytes]]] = {
    "protobuf": (PROTOBUF, "identity", bytes),
    "JSON": (JSON, "identity", bytes),
    "gzip": (PROTOBUF, "gzip", gzip.compress),
    "deflate": (JSON, "deflate", zlib.compress),
    "raw deflate": (PROTOBUF, "deflate", _raw_deflate),
    "zstd": (JSON, "zstd", zstandard.compress),
}


def test_every_way_to_send_a_request_makes_the_same_rows(server_url: str, template: str) -> None:
    sent = {}
    for signal, request_class in REQUESTS.items():
        sent[signal] = request_class()
        for request in sample(signal, REQUESTS_MERGED, SEED):
            sent[signal].MergeFrom(request)
        make_unique(sent[signal], set())
    found: dict[str, dict[str, Rows]] = {}
    for way, (media_type, encoding, compress) in _WAYS.items():
        with _database(server_url, template) as url:
            with postel(url) as server:
                for signal, request in sent.items():
                    body = request.SerializeToString() if media_type == PROTOBUF else message_to_json(request)
                    server.post(signal, compress(body), media_type, encoding)
            found[way] = asyncio.run(_rows(url))
    reference = found.pop("protobuf")
    assert {table for table, rows in reference.items() if not rows and "_attrs_" not in table} == {
        "otel_rejected_records"
    }
    for way, tables in found.items():
        for table, rows in tables.items():
            assert (way, table, rows - reference[table], reference[table] - rows) == (way, table, Counter(), Counter())


@contextmanager
def _database(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex[:16]}"
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    yield database_of(server_url, name)
    asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def _rows(url: str) -> dict[str, Rows]:
    """Every table's rows, with hashes in place of ids and without what is random or a time of receipt."""
    connection = await asyncpg.connect(url)
    names: dict[str, dict[int, Any]] = {}
    for name, id_name in _DIMENSIONS.items():
        statement = f"SELECT {id_name}_id, {id_name}_hash FROM {name}"
        names[name] = {row[0]: row[1] for row in await connection.fetch(statement)}
    found = {}
    for table, signal, time_column in await connection.fetch(_TABLES):
        own = next((name for name in names if table.startswith(name.removesuffix("dim"))), _SERIES.get(signal, table))
        meant = {id_name: names[name] for name, id_name in _DIMENSIONS.items() if id_name != "series" or name == own}
        rows = await connection.fetch(f"SELECT * FROM {table} AS t {_WHERE.get(table, '')}")
        found[table] = Counter(tuple(_comparable(row, meant, time_column)) for row in rows)
    await connection.close()
    return found


def _comparable(row: Any, meant: dict[str, dict[int, Any]], time_column: str) -> Iterator[str]:
    for column, value in row.items():
        id_name = next((name for name in meant if column.endswith((f"{name}_id", f"{name}_ids"))), None)
        if isinstance(value, datetime) or column in _RANDOM or (column == "trace_key" and not row["has_trace"]):
            continue
        if isinstance(value, list) and id_name:
            value = sorted(meant[id_name][number] for number in value)
        elif id_name:
            value = meant[id_name][value]
        elif column == time_column and value > START_UNIX_NANO:
            value = "received"
        yield f"{column}={value!r}"
