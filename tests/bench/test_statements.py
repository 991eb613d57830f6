"""The benchmark's SQL passes PostgreSQL's own parser, says what it is for, and is used."""

from pathlib import Path

import pglast
import pytest

from bench.statements import script, statement
from tests.house.source import source_files

FILES = source_files(".sql", "bench")
NAMES = [part.split("\n", 1)[0] for part in script("statements").split("-- name: ")[1:]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_script_parses_and_opens_with_a_comment(path: Path) -> None:
    text = path.read_text()
    assert pglast.parse_sql(text)
    assert text.startswith("-- ")


@pytest.mark.parametrize("name", NAMES)
def test_statement(name: str) -> None:
    assert statement(name).startswith("-- ")
    assert len(pglast.parse_sql(statement(name))) == 1
    assert any(f'"{name}"' in path.read_text() for path in source_files(".py", "bench"))


def test_unknown_statement() -> None:
    with pytest.raises(KeyError):
        statement("drop-everything")
