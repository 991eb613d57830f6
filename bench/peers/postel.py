"""Postel itself, started, measured and killed like every other peer."""

import sys
from collections.abc import Mapping

from bench.peers.peer import Command, Place


class Postel:
    """`postel serve` of this checkout."""

    name = "postel"
    title = "Postel"
    spans = 200_000
    kill_bodies = 20
    headers: Mapping[str, str] = {}
    ready_path = "/readyz"
    table = "otel_spans_fact"
    given = "defaults"

    def install(self) -> None:
        """It is here."""

    def version(self) -> str:
        """The checkout's commit stands below the table."""
        return "this checkout"

    def command(self, place: Place) -> Command:
        """As a user starts it."""
        bind = f"127.0.0.1:{place.port}"
        arguments = (sys.executable, "-m", "exporter", "serve", "--bind", bind, "--database-url", place.database_url)
        return Command(arguments, {})
