"""Two versions on one database: this one beside one that is older, and on a schema that is a version newer."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest

from exporter import maintenance
from exporter.settings import load
from tests.docs import records, shown
from tests.docs.examples import EXAMPLES
from tests.exporter.conftest import violations
from tests.exporter.sending import DAY, NOW, gauge, log, logs, metrics, point, span, spans
from tests.exporter.test_replicas import post_until_taken
from tests.roles import Deployment, deployment
from tests.running import Server, serving
from tests.sql.rows import ask

OLDER = "a149391"
"""A commit with ten migrations, before roles, sampling and rules of retention."""
ROUNDS, SPANS_EACH = 24, 25

NEWER = """
-- What the next version may do to this one's schema: add.
ALTER TABLE otel_spans_fact ADD COLUMN newer text;
ALTER TABLE otel_logs_fact ADD COLUMN newer int;
ALTER TABLE otel_traces ADD COLUMN newer bigint;
ALTER TABLE otel_resources_dim ADD COLUMN newer jsonb;
ALTER TABLE otel_ingest_ledger ADD COLUMN newer text NOT NULL DEFAULT '';
CREATE INDEX ON otel_spans_fact (newer) WHERE newer IS NOT NULL;
CREATE TABLE otel_newer (trace_id uuid NOT NULL, start_time_unix_nano bigint NOT NULL, newer text,
    PRIMARY KEY (trace_id, start_time_unix_nano)) PARTITION BY RANGE (start_time_unix_nano);
INSERT INTO otel_partitioned_tables VALUES ('otel_newer', 'spans', 'start_time_unix_nano');
INSERT INTO postel_migrations (version, name, checksum) VALUES (9999, '9999_newer.sql', '');
"""
RETENTION = {f"POSTEL_RETENTION_{name}": "29d" for name in ("SPANS", "LOGS", "METRICS")}


@pytest.fixture
def made(server_url: str, template: str) -> Iterator[Deployment]:
    """A database with its roles."""
    with deployment(server_url, template) as found:
        found.create()
        yield found


def test_a_schema_that_is_a_version_newer(made: Deployment) -> None:
    (row,) = ask(made.url, "SELECT rtrim(pg_get_viewdef('v_otel_spans_enriched'::regclass), ';') AS text")
    made.run(
        f"SET ROLE {made.prefix}_owner; {NEWER}",
        f"SET ROLE {made.prefix}_owner; "
        f"CREATE OR REPLACE VIEW v_otel_spans_enriched AS SELECT v.*, 7 AS newer FROM ({row['text']}) AS v",
    )
    # As the owner, which might migrate, and as the writer.
    for role in (made.owner, made.writer):
        with serving(role) as server:
            records.send(server, shown.asked_at())
            for path in (e.asked for examples in EXAMPLES.values() for e in examples if not e.streams):
                where, _, asked = path.replace("since=15m", "since=48h").partition("?")
                answer = server.get(f"/api{where}", **dict(parse_qsl(asked)))
                assert answer.status_code == 200, (path, answer.text)
            # In partitions of the newer table, too.
            assert server.post("traces", spans(span(7, 1, start=NOW - 9 * DAY))[1]).status_code == 200
            asyncio.run(maintenance.run_once(load(environ={"POSTEL_DATABASE_URL": role} | RETENTION)))
    assert ask(made.reader, "SELECT DISTINCT newer FROM v_otel_spans_enriched") == [{"newer": 7}]
    partitions = "SELECT count(*) AS n FROM otel_partitions WHERE parent = $1"
    assert ask(made.url, partitions, "otel_newer") == ask(made.url, partitions, "otel_spans_fact")
    assert asyncio.run(violations(made.url)) == []


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the code of a version before this one."""
    here = Path(__file__).parents[2]
    folder = tmp_path_factory.mktemp("older")
    done = subprocess.run(["git", "-C", here, "archive", OLDER], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"the history with {OLDER} is not here: {done.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", folder], input=done.stdout, check=True)
    return folder


def body(round_number: int, server: int) -> list[tuple[str, bytes]]:
    """What a client sends in a round: every trace goes on at each server, and every round begins a partition."""
    start = NOW - round_number % 8 * DAY
    first = round_number * 1000 + 1
    made = [
        span(first + i, server + 1, start + server, {"user.id": f"{server} {i} {round_number}", "n": i % 3})
        for i in range(SPANS_EACH)
    ]
    return [
        spans(*made, resource={"service.name": f"s{round_number % 5}"}),
        logs(*(log(f"{server} {round_number} {i}", at=start + i) for i in range(SPANS_EACH))),
        metrics(gauge("g", *(point(i, start + i, {"server": server, "r": round_number}) for i in range(SPANS_EACH)))),
    ]


def test_beside_a_server_of_an_older_version(server_url: str, older: Path) -> None:
    """The older one makes the schema and writes on while this one migrates; then both go on, and as the writer."""
    with deployment(server_url, None) as made, ExitStack() as stack, httpx.Client(timeout=60, verify=False) as client:
        first = stack.enter_context(serving(made.url, checkout=older))
        version = ask(made.url, "SELECT max(version) AS n FROM postel_migrations")[0]["n"]
        assert version == 10, "it is the older code that runs"

        def send(server: Server, number: int, rounds: range) -> None:
            for n in rounds:
                for each in body(n, number):
                    assert post_until_taken(client, server, each).status_code == 200
                window = {"start_time": str(NOW - 9 * DAY), "end_time": str(NOW + DAY)}
                for path in ("/api/traces", "/api/spans", "/api/logs", "/api/services", "/api/services/graph"):
                    assert server.get(path, **window).status_code == 200, path

        with ThreadPoolExecutor(4) as pool:
            going_on = pool.submit(send, first, 0, range(ROUNDS // 2))
            second = stack.enter_context(serving(made.url))
            made.create()
            going_on.result()
            assert ask(made.url, "SELECT max(version) AS n FROM postel_migrations")[0]["n"] > version
            third = stack.enter_context(serving(made.writer, checkout=older))
            fourth = stack.enter_context(serving(made.writer))
            parts = [(first, 0, range(ROUNDS // 2, ROUNDS)), (second, 1, range(ROUNDS)), (third, 2, range(ROUNDS))]
            # What came to one comes to another once more.
            parts += [(fourth, 3, range(ROUNDS)), (fourth, 2, range(ROUNDS // 2)), (third, 3, range(ROUNDS // 2))]
            for done in [pool.submit(send, *part) for part in parts]:
                done.result()
        # Minutes are computed by both, every 15 s.
        time.sleep(20)
        window = {"start_time": str(NOW - 9 * DAY), "end_time": str(NOW + DAY)}
        counts = [
            sorted(
                (s["service_name"], s["span_count"]) for s in server.get("/api/services", **window).json()["services"]
            )
            for server in (first, second, third, fourth)
        ]
        assert counts.count(counts[0]) == 4
        # Nothing is lost, nothing is there twice.
        expected = 4 * ROUNDS * SPANS_EACH
        for table in ("otel_spans_fact", "otel_logs_fact", "otel_metrics_data_points_number"):
            assert ask(made.url, f"SELECT count(*) AS n FROM {table}") == [{"n": expected}], table
        assert asyncio.run(violations(made.url)) == []
