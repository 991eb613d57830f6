"""A Collector with the community's postgresexporter, which inserts a span a statement and a body a transaction.

The Go module proxy at hand refuses the module, so nothing here builds it: who has such a
Collector puts it in its place.
Source: https://github.com/destrex271/postgresexporter
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.peers.install import BUILD
from bench.peers.peer import Command, Missing, Place

_BINARY = BUILD / "postgresexporter" / "otelcol"
_CONFIGURATION = Path(__file__).with_name("postgresexporter.yaml")


class PostgresExporter:
    """The Collector that was put at build/peers/postgresexporter/otelcol."""

    name = "postgresexporter"
    title = "Collector with postgresexporter"
    spans = 200_000
    kill_bodies = 5
    headers: Mapping[str, str] = {}
    ready_path = "/"
    table = "oteltraces"
    given = "its README's configuration: no batch processor, so an acknowledged body is a committed one"

    def install(self) -> None:
        """Only look whether it is there."""
        if not _BINARY.is_file():
            raise Missing(f"no Collector with the postgresexporter at {_BINARY}: see docs/benchmarks.md, Peers")

    def version(self) -> str:
        """What the Collector says."""
        done = subprocess.run((str(_BINARY), "--version"), capture_output=True, text=True)
        return done.stdout.strip().rpartition(" ")[2] or "unknown"

    def command(self, place: Place) -> Command:
        """With bench/peers/postgresexporter.yaml."""
        environment = {
            "OTLP_PORT": str(place.port),
            "PGHOST": place.socket_dir,
            "DATABASE_PORT": str(place.socket_port),
            "DATABASE_NAME": place.database,
        }
        return Command((str(_BINARY), "--config", str(_CONFIGURATION)), environment)
