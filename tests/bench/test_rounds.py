"""Both sides store every record of a small corpus, and the JSONB tables hold what was sent."""

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.__main__ import main
from bench.corpus import SIGNALS, make_corpus, read_bodies
from bench.jsonb import connect
from bench.jsonb_load import load
from bench.rounds import SIDES, Bench, Miscounted
from tests.conftest import database_of

RECORDS = 2_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bodies a signal."""
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, dict.fromkeys(SIGNALS, RECORDS))
    return folder


@contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    """The URL of a database without any table."""
    name = f"test_{uuid4().hex[:16]}"
    asyncio.run(execute(server_url, f"CREATE DATABASE {name}"))
    yield database_of(server_url, name)
    asyncio.run(execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def execute(url: str, statement: str) -> None:
    """Run a statement."""
    connection = await connect(url)
    await connection.execute(statement)
    await connection.close()


async def loaded_rows(url: str, signal: str, bodies: list[bytes], columns: str) -> list[Any]:
    """The rows of the signal's table after loading the bodies, in the order of their times."""
    done = await load(signal, bodies, url)
    assert (done.records, done.rate > 0) == (RECORDS, True)
    connection = await connect(url)
    rows = await connection.fetch(f"SELECT {columns} FROM {signal}")
    await connection.close()
    return list(rows)


def test_jsonb_spans_hold_what_was_sent(server_url: str, corpus: Path) -> None:
    bodies = [gzip.decompress(body) for body in read_bodies(corpus, "spans")]
    spans = {
        span.span_id: span
        for body in bodies
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for part in group.scope_spans
        for span in part.spans
    }
    with empty_database(server_url) as url:
        rows = asyncio.run(loaded_rows(url, "spans", bodies, "trace_id, span_id, name, attributes, events"))
    assert len(rows) == len(spans) == RECORDS
    for row in rows:
        span = spans[row["span_id"].to_bytes(8, "big", signed=True)]
        assert (row["trace_id"], row["name"]) == (span.trace_id, span.name)
        assert sorted(msgspec.json.decode(row["attributes"])) == sorted(pair.key for pair in span.attributes)
        assert len(msgspec.json.decode(row["events"] or b"[]")) == len(span.events)


def test_jsonb_logs_hold_what_was_sent(server_url: str, corpus: Path) -> None:
    bodies = [gzip.decompress(body) for body in read_bodies(corpus, "logs")]
    sent = sorted(
        record.time_unix_nano
        for body in bodies
        for group in ExportLogsServiceRequest.FromString(body).resource_logs
        for part in group.scope_logs
        for record in part.log_records
    )
    with empty_database(server_url) as url:
        rows = asyncio.run(loaded_rows(url, "logs", bodies, "time_unix_nano, body"))
    assert sorted(row["time_unix_nano"] for row in rows) == sent
    assert all(row["body"] for row in rows)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("side", SIDES)
def test_a_round_stores_every_record(server_url: str, corpus: Path, side: str, signal: str) -> None:
    done = asyncio.run(Bench(server_url, corpus).load(side, signal, vacuum=True))
    assert done.records == done.stored == RECORDS
    assert done.bytes_loaded > 0 < done.bytes_vacuumed
    assert done.python_cpu_s > 0 < done.postgres_cpu_s
    assert len(done.latencies_s) == (2 if side == "Postel" else 0)


def test_a_lost_record_fails_the_run(server_url: str, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def one_less(*_: object) -> int:
        return RECORDS - 1

    monkeypatch.setattr("bench.rounds.count_rows", one_less)
    with pytest.raises(Miscounted, match="2,000 logs were acknowledged, 1,999 are stored"):
        asyncio.run(Bench(server_url, corpus).load("J2", "logs", vacuum=False))


@pytest.mark.parametrize("flags", [["--records", "1500"], ["--rounds", "0"], ["--signals", "spans,metrics"]])
def test_bad_flags_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(flags)
    assert ended.value.code == 2
    assert flags[0] in capsys.readouterr().err
