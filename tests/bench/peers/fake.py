"""A peer that is a fake server: it never stores anything."""

import sys
from collections.abc import Mapping
from pathlib import Path

from bench.peers.peer import Command, Place

SERVER = Path(__file__).with_name("fake_server.py")


class Fake:
    """A peer whose server is in a mode of fake_server.py."""

    name = "fake"
    title = "Fake"
    spans = 1_000
    kill_bodies = 1
    headers: Mapping[str, str] = {}
    ready_path = "/"
    # There in every database, and nobody adds to it.
    table = "pg_am"
    given = "nothing"

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def install(self) -> None:
        """It is here."""

    def version(self) -> str:
        """Of no interest."""
        return "1"

    def command(self, place: Place) -> Command:
        """In its mode."""
        return Command((sys.executable, str(SERVER), str(place.port), self.mode), {})
