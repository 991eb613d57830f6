"""A database with roles of its own: these belong to the whole cluster, so each test has other names."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from msgspec import Struct

from exporter import roles
from tests.conftest import database_of
from tests.exporter.asking import execute


class Deployment(Struct, frozen=True):
    """A database, its URL as the superuser, and how its roles are called; `others` are dropped with it, too."""

    name: str
    url: str
    prefix: str
    others: list[str]

    @property
    def owner(self) -> str:
        """The URL as the owner."""
        return self.as_role(f"{self.prefix}_owner")

    @property
    def writer(self) -> str:
        """The URL as the writer."""
        return self.as_role(f"{self.prefix}_writer")

    @property
    def reader(self) -> str:
        """The URL as the reader."""
        return self.as_role(f"{self.prefix}_reader")

    def as_role(self, role: str) -> str:
        """The URL as another role."""
        return self.url.replace("://postgres@", f"://{role}@", 1)

    def create(self) -> None:
        """Make the roles, as the superuser."""
        asyncio.run(roles.create(self.url, self.prefix, 8.0))

    def run(self, *statements: str) -> None:
        """Run statements as the superuser."""
        asyncio.run(execute(self.url, *statements))

    def role(self, *attributes: str) -> str:
        """A further role; returns its name."""
        name = f"{self.prefix}_{len(self.others)}"
        self.others.append(name)
        self.run(f"CREATE ROLE {name} LOGIN {' '.join(attributes)}")
        return name


@contextmanager
def deployment(server_url: str, template: str | None) -> Iterator[Deployment]:
    """A database without roles as yet; empty where there is no template."""
    name = f"test_{uuid4().hex[:16]}"
    made = Deployment(name, database_of(server_url, name), f"r{uuid4().hex[:10]}", [])
    source = f" TEMPLATE {template} STRATEGY file_copy" if template else ""
    asyncio.run(execute(server_url, f"CREATE DATABASE {name}{source}"))
    try:
        yield made
    finally:
        names = [f"{made.prefix}_{duty}" for duty in ("owner", "writer", "reader")] + made.others
        gone = [f"DROP DATABASE {name} WITH (FORCE)", *(f"DROP ROLE IF EXISTS {role}" for role in names)]
        asyncio.run(execute(server_url, *gone))
