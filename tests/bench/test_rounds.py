"""Every side stores every record of a small corpus, and a lost one fails the run."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.baseline import connect
from bench.corpus import SIGNALS
from bench.sides import FLOOR, POSTEL, POSTEL_JSON, SIDES
from bench.stage import Miscounted
from exporter.errors import PostelError
from tests.bench.conftest import RECORDS
from tests.bench.reading import records, round_of


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("side", SIDES)
def test_a_round_stores_every_record(server_url: str, corpus: Path, side: str, signal: str) -> None:
    if side == FLOOR and not (corpus / f"{signal}.rows").exists():
        round_of(server_url, corpus, POSTEL, signal)
    done = round_of(server_url, corpus, side, signal, vacuum=True)
    assert done.records == done.stored == RECORDS
    assert done.bytes_loaded > 0 < done.bytes_vacuumed
    # A tick of the CPU clock is more than P0 needs for so little.
    assert side == FLOOR or done.python_cpu_s > 0
    assert done.postgres_cpu_s >= 0
    assert len(done.latencies_s) == (2 if side in (POSTEL, POSTEL_JSON) else 0)


@pytest.mark.parametrize("side", [POSTEL, POSTEL_JSON])
def test_postel_has_the_very_spans_that_were_sent(
    side: str, server_url: str, corpus: Path, bodies: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: set[tuple[bytes, int, int]] = set()

    async def read(url: str, tables: Sequence[str]) -> int:
        connection = await connect(url)
        columns = "trace_id, span_id, end_time_unix_nano"
        found.update(tuple(row) for row in await connection.fetch(f"SELECT {columns} FROM {tables[0]}"))
        await connection.close()
        return len(found)

    monkeypatch.setattr("bench.stage.count_rows", read)
    round_of(server_url, corpus, side, "spans", keep_rows=False)
    assert found == {
        (span.trace_id, int.from_bytes(span.span_id, "big", signed=True), span.end_time_unix_nano)
        for _, _, span in records("spans", bodies["spans"])
    }


def test_a_lost_record_fails_the_run(server_url: str, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def one_less(*_: object) -> int:
        return RECORDS - 1

    monkeypatch.setattr("bench.stage.count_rows", one_less)
    with pytest.raises(Miscounted, match="2,000 logs of J2 were acknowledged, 1,999 are stored"):
        round_of(server_url, corpus, "J2", "logs")


def test_a_side_that_fails_fails_the_run(server_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PostelError, match="baseline_load J1 logs ended with exit code 1"):
        round_of(server_url, tmp_path, "J1", "logs")
    assert "FileNotFoundError" in capfd.readouterr().err


def test_the_floor_needs_a_round_of_postel(server_url: str, tmp_path: Path) -> None:
    with pytest.raises(PostelError, match="a round of Postel"):
        round_of(server_url, tmp_path, "P0", "logs")
