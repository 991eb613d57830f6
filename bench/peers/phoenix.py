"""Arize Phoenix with PostgreSQL: acknowledges a body once it is decoded, and stores its spans from a queue in memory.

Source: https://arize.com/docs/phoenix/self-hosting/configuration
"""

from collections.abc import Mapping

from bench.peers.install import install_python, pinned_version
from bench.peers.peer import Command, Place


class Phoenix:
    """`phoenix serve` of PyPI's arize-phoenix."""

    name = "phoenix"
    title = "Arize Phoenix"
    spans = 8_000
    kill_bodies = 3
    headers: Mapping[str, str] = {}
    ready_path = "/readyz"
    table = "spans"
    given = "defaults (one process, a queue of 20,000 spans, 100 spans a transaction); no telemetry of its own"

    def install(self) -> None:
        """From bench/peers/phoenix.txt."""
        install_python(self.name)

    def version(self) -> str:
        """That of arize-phoenix."""
        return pinned_version(self.name, "arize-phoenix")

    def command(self, place: Place) -> Command:
        """On PostgreSQL's socket; the gRPC port cannot be left out, so it gets a free one."""
        url = f"postgresql://postgres@/{place.database}?host={place.socket_dir}&port={place.socket_port}"
        environment = {
            "PHOENIX_SQL_DATABASE_URL": url,
            "PHOENIX_WORKING_DIR": str(place.folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(place.port),
            "PHOENIX_GRPC_PORT": str(place.other_port),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }
        return Command((str(install_python(self.name) / "phoenix"), "serve"), environment)
