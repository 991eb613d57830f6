"""The oldest PostgreSQL that is promised, Debian's 15 where it is installed, takes and answers the shop's telemetry."""

import asyncio
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from exporter import roles
from exporter.cli import main
from exporter.embedded_cluster import make_private_folder
from exporter.embedded_place import account_for, spawn_options
from exporter.integrity import check
from exporter.migrations import migrate
from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.settings import load
from exporter.shop import Shop
from queries import arrivals, logs
from queries.arrivals import Position, Search
from queries.database import ReadDatabase
from queries.params import LogSearch
from sql import scripts
from tests.exporter import sending
from tests.exporter.asking import Postel, execute, postel
from tests.exporter.conftest import violations
from tests.exporter.sending import sent
from tests.sql.rows import ask

BIN = Path("/usr/lib/postgresql/15/bin")
RECORDS = 600
SETTINGS = ("listen_addresses=", "fsync=off", "shared_buffers=16MB", "max_locks_per_transaction=256")
pytestmark = pytest.mark.skipif(not (BIN / "postgres").exists(), reason=f"there is no PostgreSQL 15 in {BIN}")


@pytest.fixture
def url() -> Iterator[str]:
    """A server of its own, run by an account that PostgreSQL accepts; its `postgres` database."""
    with tempfile.TemporaryDirectory(prefix="postel-test-") as name:
        folder = Path(name) / "cluster"
        Path(name).chmod(0o755)
        account = account_for(folder)
        make_private_folder(folder, account)
        options = spawn_options(account)
        locale = ("--encoding=UTF8", "--locale=C.UTF-8")
        made = [str(BIN / "initdb"), "-D", str(folder), "-U", "postgres", "--auth=trust", "--no-sync", *locale]
        subprocess.run(made, check=True, capture_output=True, **options)
        flags = [flag for setting in SETTINGS for flag in ("-c", setting)]
        command = [str(BIN / "postgres"), "-D", str(folder), "-k", str(folder), *flags]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, **options) as server:
            try:
                _wait_for(folder / "postmaster.pid", server)
                yield f"postgresql://postgres@/postgres?host={folder}"
            finally:
                server.send_signal(signal.SIGINT)


def _wait_for(file: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while not file.exists() or "ready" not in file.read_text():
        assert server.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def test_everything_works_on_postgresql_15(url: str) -> None:
    async def session() -> None:
        await migrate(url)
        async with postel(url) as app:
            await _send(app)
            await _ask(app)
        await _tail(url)
        await _select(url)

    asyncio.run(session())


async def _send(app: Postel) -> None:
    shop = Shop(15, start_unix_nano=time.time_ns() - 900 * 1_000_000_000)
    for name, stream in ((SPANS, shop.traces), (LOGS, shop.logs), (METRICS, shop.metrics)):
        body = next(stream(RECORDS)).SerializeToString()
        for _ in range(2):
            answer = await app.post(PATHS[name], body)
            assert (answer.status_code, answer.content) == (200, b"")
        assert await app.counted(f'accepted_records_total{{signal="{name}"}}') == RECORDS
        assert await app.counted(f'deduplicated_records_total{{signal="{name}"}}') == RECORDS
    assert (await app.get("/readyz")).text == "ready\n"


async def _ask(app: Postel) -> None:
    traces = await _answer(app, "traces")
    trace_id = traces[0]["trace_id"]
    assert len((await app.get(f"/api/traces/{trace_id}")).json()["spans"]) == traces[0]["span_count"]
    assert (await app.get(f"/api/traces/{trace_id}", format="otlp")).json()["resourceSpans"]
    assert len(await _answer(app, "spans", limit="1000")) == RECORDS
    assert len(await _answer(app, "logs", limit="1000")) == RECORDS
    assert sum(service["span_count"] for service in await _answer(app, "services", limit="1000")) == RECORDS
    for metric in (await _answer(app, "metrics", limit="1000"))[:10]:
        answer = await app.get("/api/metrics/series", name=metric["name"], since="1h")
        assert answer.status_code == 200 and len(answer.json()["series"]) > 0, metric["name"]
    stored = (await app.get("/api/storage", limit="1000")).json()
    assert sum(service["spans"] for service in stored["services"]) == RECORDS and stored["keys"]


def test_roles_and_teams_on_postgresql_15(url: str) -> None:
    """The administrator may create roles, and is no superuser."""
    admin, writer, team = (url.replace("postgres@", f"{name}@") for name in ("admin", "postel_writer", "team"))
    asyncio.run(execute(url, "CREATE ROLE admin LOGIN CREATEROLE", "ALTER DATABASE postgres OWNER TO admin"))
    asyncio.run(migrate(admin))
    for _ in range(2):
        asyncio.run(roles.create(admin, None, 8.0))
    payments = {"service.name": "pay", "service.namespace": "payments"}
    sent(writer, sending.spans(sending.span(1, 1), resource=payments), sending.logs(sending.log("x")))
    asyncio.run(execute(admin, "CREATE ROLE team LOGIN", "SELECT otel_grant_namespaces('team', '{payments}')"))
    assert ask(team, "SELECT service_name FROM otel_team.v_otel_traces") == [{"service_name": "pay"}]
    assert ask(team, "SELECT service_name FROM otel_team.v_otel_logs_enriched") == []
    assert ask(url, "SELECT * FROM otel_due_privileges UNION ALL SELECT statement FROM otel_foreign_objects") == []


def test_what_deletes_works_on_postgresql_15(url: str, tmp_path: Path) -> None:
    asyncio.run(migrate(url))
    hour, has = sending.HOUR, {"user.id": "u-5ecre7"}
    for at in (sending.NOW, sending.NOW - 2 * sending.DAY, sending.NOW - 20 * sending.DAY):
        sent(
            url,
            sending.spans(sending.span(1, 1, at, has), sending.span(1, 2, at), resource={"service.name": "a"} | has),
            sending.spans(sending.span(2, 1, at, has), sending.span(2, 2, at)),
            sending.logs(sending.log("x", at, has, severity_number=5), sending.log("y", at, severity_number=9)),
            sending.metrics(sending.gauge("g", sending.point(1, at, has), sending.point(2, at - hour))),
        )
    config = tmp_path / "postel.yaml"
    config.write_text("retention: {spans: 7d, rules: [{match: {severity_below: info}, keep: 1d}]}")
    assert main(["maintain", "--config", str(config), "--database-url", url]) == 0
    counts = """SELECT (SELECT count(*) FROM otel_spans_fact)::int AS spans,
        (SELECT count(*) FROM otel_logs_fact)::int AS logs,
        (SELECT count(*) FROM otel_metrics_data_points_number)::int AS points"""
    assert ask(url, counts) == [{"spans": 8, "logs": 4, "points": 6}]
    assert main(["erase", "--database-url", url, "--attr", "user.id=u-5ecre7"]) == 0
    assert ask(url, counts) == [{"spans": 2, "logs": 3, "points": 3}]
    assert asyncio.run(violations(url)) == []


async def _answer(app: Postel, name: str, **parameters: str) -> list[dict[str, Any]]:
    answer = await app.get(f"/api/{name}", since="1h", **parameters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()[name]
    assert found
    return found


async def _tail(url: str) -> None:
    """From before everything on."""
    database = ReadDatabase(url, load(environ={}))
    search = Search(logs.SOURCE, LogSearch(), logs.select, logs.load)
    async with database.reading() as connection:
        look = await arrivals.look(connection, Position(int(time.time()), 3, 3, ()), 3600)
        rows, is_last = await arrivals.page(connection, search, look.arrivals[LOGS], arrivals.FIRST, 2 * RECORDS)
    assert (len(rows), is_last) == (RECORDS, True)
    await database.close()


async def _select(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SHOW server_version_num") < "160000"
        assert await check(connection) == []
        counts = {}
        for name, _ in scripts("views"):
            view = name.removesuffix(".sql")
            counts[view] = len(await connection.fetch(f"SELECT * FROM {view}"))
        assert counts.pop("v_otel_traces") > 10
        assert counts.pop("v_otel_metrics_number") > 0
        assert counts.pop("v_otel_exemplars") >= 0
        assert counts.pop("v_otel_ingest_ledger") == 3, "a day, and three signals"
        assert counts.pop("v_otel_storage") > len(counts)
        assert set(counts.values()) == {RECORDS}
    finally:
        await connection.close()
