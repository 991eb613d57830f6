"""What a peer is: a server that takes OTLP/HTTP and stores spans in a PostgreSQL database of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from exporter.errors import PostelError


class Missing(PostelError):
    """A peer is not here, and cannot be installed."""


class Place(Struct, frozen=True):
    """Where a peer's server runs; `socket_dir` and `socket_port` are PostgreSQL's, `folder` is the peer's own."""

    database_url: str
    database: str
    socket_dir: str
    socket_port: int
    port: int
    other_port: int
    folder: Path


class Command(Struct, frozen=True):
    """What starts a server; nothing else of this process's environment but PATH reaches it."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


class Peer(Protocol):
    """One kind of server: how it is installed, started and spoken to, and where its spans are."""

    name: str
    title: str
    spans: int
    """How many it is given: what takes it some 20 to 40 s."""
    kill_bodies: int
    """How many bodies are acknowledged before it is killed."""
    headers: Mapping[str, str]
    """What its documentation asks for beside OTLP's own."""
    ready_path: str
    table: str
    """Holds one row a span."""
    given: str
    """Its settings, for the report."""

    def install(self) -> None:
        """Put it below `build/peers` where it is not there yet. Raises Missing where that fails."""
        ...

    def version(self) -> str:
        """What was installed."""
        ...

    def command(self, place: Place) -> Command:
        """How to start it."""
        ...
