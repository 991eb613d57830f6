"""The encoding and compression of a request leave no trace: the same rows, under the same hashes."""

import asyncio
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import asyncpg
import zstandard

from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.conftest import database_of
from tests.e2e.in_process import JSON, PROTOBUF, postel
from tests.e2e.otlp_records import make_unique
from tests.e2e.otlp_strategy import REQUESTS, SEED, sample
from tests.e2e.stored_rows import Rows, rows_of
from tests.faults import test_bad_logs, test_bad_metrics, test_bad_spans
from tests.faults.odd_records import request_of

REQUESTS_MERGED = 25
"""Random requests that make up one body."""
MAX_BYTES = 100_000
_CASES = {SPANS: test_bad_spans.CASES, LOGS: test_bad_logs.CASES, METRICS: test_bad_metrics.CASES}
ODD = {
    signal: [request for case in cases if (request := request_of(case)) is not None and request.ByteSize() < MAX_BYTES]
    for signal, cases in _CASES.items()
}
"""Odd records that are stored all the same: with ids that are none, keys twice, and much else that is not legal."""


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
        for odd in ODD[signal]:
            sent[signal].MergeFrom(odd)
        make_unique(sent[signal], set())
    found: dict[str, dict[str, Rows]] = {}
    for way, (media_type, encoding, compress) in _WAYS.items():
        with _database(server_url, template) as url:
            with postel(url) as server:
                for signal, request in sent.items():
                    body = request.SerializeToString() if media_type == PROTOBUF else message_to_json(request)
                    server.post(signal, compress(body), media_type, encoding)
            found[way] = asyncio.run(rows_of(url))
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
