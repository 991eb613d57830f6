"""SQL lives in `sql/`, passes PostgreSQL's own parser, and every query has a name, a purpose and a user."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pglast
import pytest
from pglast import ast as pg
from pglast.parser import ParseError

import sql
from tests.house.source import shown, source_files, tree

QUERY_FILES = source_files(".sql", "sql/queries")
SCRIPTS = source_files(".sql", "sql/migrations", "sql/views", "sql/grants", "sql/team")
NAME = re.compile(r"[a-z]+(-[a-z0-9]+)+")
VERBS = re.compile(
    r"\s*(select|insert|update|delete|merge|with|create|alter|drop|truncate|copy|grant|revoke)\s+\S",
    re.IGNORECASE,
)
FRAGMENT = re.compile(
    r"\s*(select\b.+\bfrom|insert\s+into|update\b.+\bset|delete\s+from|create\s+(table|index|view))(\s|$)",
    re.IGNORECASE | re.DOTALL,
)
"""The opening of a statement that is put together of pieces, each of which may not parse."""
QUOTES_SQL = "exporter/shop"
"""The sample shop's spans carry the statements of the shop, as telemetry."""


def plpgsql_bodies(text: str) -> Iterator[str]:
    """The statements of a script that hold PL/pgSQL."""
    for raw in pglast.parse_sql(text):
        statement = raw.stmt
        if not isinstance(statement, pg.CreateFunctionStmt | pg.DoStmt):
            continue
        options = (statement.options if isinstance(statement, pg.CreateFunctionStmt) else statement.args) or ()
        language = next((option.arg.sval for option in options if option.defname == "language"), "plpgsql")
        if language == "plpgsql":
            start, length = raw.stmt_location or 0, raw.stmt_len or None
            yield text.encode()[start:][:length].decode()


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of the string literals of a file but its docstrings; what is put into an f-string reads `x`."""
    inside: set[int] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr):
            inside.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in node.values)
            parts = (part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
            yield node.lineno, "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def is_sql(text: str) -> bool:
    """Whether a string is a statement, or begins one."""
    if FRAGMENT.match(text):
        return True
    if not VERBS.match(text):
        return False
    try:
        pglast.parse_sql(text)
    except ParseError:
        return False
    return True


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_parses(path: Path) -> None:
    text = path.read_text()
    assert pglast.parse_sql(text), "an empty script"
    for body in plpgsql_bodies(text):
        pglast.parse_plpgsql(body)
    assert text.startswith("-- ") or "\nCOMMENT ON " in text, "open it with a comment that says what it is for"


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [path.name[:5] for path in SCRIPTS if path.parent.name == "migrations"]
    assert numbers == [f"{number:04}_" for number in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("path", QUERY_FILES, ids=lambda path: path.name)
def test_query_file(path: Path) -> None:
    assert len(pglast.parse_sql(path.read_text())) == len(sql.queries(path.stem))
    for name, text in sql.queries(path.stem).items():
        assert NAME.fullmatch(name), f"{name}: noun-verb"
        assert re.match(r"-- \S", text), f"{name}: say its purpose in the line after its name"
        assert len(pglast.parse_sql(text)) == 1, f"{name}: one statement a name"


def test_names_are_used_once_in_a_file() -> None:
    for path in QUERY_FILES:
        names = re.findall(r"^-- name: *(.*)$", path.read_text(), re.MULTILINE)
        assert sorted(names) == sorted(sql.queries(path.stem)), shown(path)


def test_every_query_is_used() -> None:
    used = {text for path in source_files(".py", "exporter", "queries", "bench") for _, text in strings(path)}
    unused = [f"{path.name}: {name}" for path in QUERY_FILES for name in sql.queries(path.stem) if name not in used]
    assert not unused, f"no Python file names these: {unused}"


@pytest.mark.parametrize("package", ["exporter", "queries"])
def test_no_sql_in_python(package: str) -> None:
    found = [
        f"{shown(path)}:{line}: {' '.join(text.split())[:60]}"
        for path in source_files(".py", package)
        if not shown(path).startswith(QUOTES_SQL)
        for line, text in strings(path)
        if is_sql(text)
    ]
    assert not found, "name it in sql/queries instead:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1", True),
        ("SELECT * FROM x WHERE x.id = ANY($1)", True),
        ("\n  insert into spans (", True),
        ("update spans set ", True),
        ("CREATE TABLE x ()", True),
        ("with a as (select 1) select * from a", True),
        ("drop wins over promote", False),
        ("delete", False),
        ("SELECT", False),
        ("updated", False),
        ("create partitions ahead", False),
        ("with a reason", False),
        ("", False),
    ],
)
def test_statements_are_told_from_words(text: str, expected: bool) -> None:
    assert is_sql(text) is expected
