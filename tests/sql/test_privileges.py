"""What the writer and the reader may do is what the statements of a server do, and nothing beside that."""

from collections.abc import Iterator
from typing import Any

import pglast
from pglast.visitors import Visitor

import sql
from exporter import columns
from exporter.dimensions import KINDS
from tests.house.source import ROOT
from tests.sql.rows import ask

OWNERS_FILES = {"migrations", "roles", "indexes", "integrity", "backfill", "erasure"}
"""Statements that the owner executes, or whoever checks."""
FILES = sorted({path.stem for path in (ROOT / "sql" / "queries").glob("*.sql")} - OWNERS_FILES)
READING = [file for file in FILES if file.startswith("reading")]
TYPED = [
    f"{kind.attributes}{value}"
    for kind in KINDS
    if kind.attributes
    for value in ("string", "int", "double", "bool", "bytes")
]
FACTS = [table.name for table in vars(columns).values() if isinstance(table, columns.Table)]
PLACES = {"insert-typed-attributes": TYPED, "prune-typed-attributes": TYPED, "delete-rows": FACTS}
"""Statement -> what stands for `__table__` in it; else it is every dimension."""


class Writes(Visitor):
    """(table, privilege) of what a statement inserts into, updates or deletes from."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def visit_InsertStmt(self, _ancestors: object, node: Any) -> None:
        """Into where, and whether what is there may change."""
        self.found.append((node.relation.relname, "INSERT"))
        clause = node.onConflictClause
        if clause is not None and clause.action == pglast.enums.OnConflictAction.ONCONFLICT_UPDATE:
            self.found.append((node.relation.relname, "UPDATE"))

    def visit_UpdateStmt(self, _ancestors: object, node: Any) -> None:
        """What changes."""
        self.found.append((node.relation.relname, "UPDATE"))

    def visit_DeleteStmt(self, _ancestors: object, node: Any) -> None:
        """What goes."""
        self.found.append((node.relation.relname, "DELETE"))


def written() -> Iterator[tuple[str, str]]:
    """(table, privilege) of all statements of a server, and of COPY."""
    yield from ((table, "INSERT") for table in FACTS)
    for file in FILES:
        for name, text in sql.queries(file).items():
            visitor = Writes()
            visitor(pglast.parse_sql(text))
            for table, privilege in visitor.found:
                tables = [table] if table != "__table__" else PLACES.get(name, [kind.table for kind in KINDS])
                yield from ((each, privilege) for each in tables)


def decided(url: str, who: str) -> set[tuple[str, str]]:
    """(table, privilege) of what is decided."""
    rows = ask(url, f"SELECT object, {who} AS rights FROM otel_privileges WHERE NOT is_function AND {who} <> ''")
    return {(row["object"], privilege) for row in rows for privilege in row["rights"].split(", ")}


def test_the_writer_may_write_what_is_written_and_nothing_else(database_url: str) -> None:
    rights = {right for right in decided(database_url, "writer") if right[1] != "SELECT"}
    needed = set(written())
    assert needed - rights == set(), "statements need these: decide in sql/grants/1_otel_privileges.sql"
    assert rights - needed == set(), "no statement needs these"


def test_nobody_may_more_than_four_things(database_url: str) -> None:
    assert {privilege for _, privilege in decided(database_url, "writer")} == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert {privilege for _, privilege in decided(database_url, "reader")} == {"SELECT"}


def test_reading_writes_nothing() -> None:
    for file in READING:
        for name, text in sql.queries(file).items():
            visitor = Writes()
            visitor(pglast.parse_sql(text))
            assert not visitor.found, f"{file}: {name}"
