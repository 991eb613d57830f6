"""What `postel export` wrote, read by a Collector's otlpjsonfile receiver and sent on, makes an equal database."""

import asyncio
import subprocess
import sys
from pathlib import Path

from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.e2e.collector import collecting, require_collector, stored, wait_until_stored
from tests.e2e.stored_rows import rows_of
from tests.e2e.test_collector import assert_same, bodies, send
from tests.exporter.asking import own_database
from tests.running import serving

# Tables are equal where every key lies at the same place; which one leaves its series depends on what comes first, and
# an export begins with the newest.
STEADY = {"VERDICT_MIN_DISTINCT": "900"}
CONFIGURATION = Path(__file__).with_name("otlpjsonfile.yaml")


def test_an_export_through_a_collector_makes_an_equal_database(server_url: str, template: str, tmp_path: Path) -> None:
    require_collector()
    exported = tmp_path / "exported.jsonl"
    with own_database(server_url, template) as first, own_database(server_url, template) as second:
        with serving(first, STEADY) as server:
            send(server.url, bodies(**{SPANS: 300, LOGS: 300, METRICS: 900}))
            counts = stored(server)
            command = [sys.executable, "-m", "exporter", "export", "--url", server.url, "--output", str(exported)]
            subprocess.run([*command, "--limit", "100"], check=True, capture_output=True)
        with serving(second, STEADY) as server:
            settings = {"EXPORTED": str(exported)}
            with collecting(server.url, tmp_path, str(CONFIGURATION), settings=settings):
                wait_until_stored(server, counts)
            assert stored(server) == counts
        assert_same(asyncio.run(rows_of(second)), asyncio.run(rows_of(first)))
