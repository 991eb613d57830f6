"""The SQL of Postel: all folders but `queries/` make the schema, that one holds every statement by name.

A query file holds statements, each opened by a line `-- name: noun-verb`, followed by a line that says its purpose.
"""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: ([a-z0-9-]+)\n", re.MULTILINE)


@cache
def queries(file: str) -> dict[str, str]:
    """Name -> statement, of `queries/<file>.sql`."""
    parts = _NAME.split(files(__name__).joinpath("queries", f"{file}.sql").read_text())
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def query(file: str, name: str) -> str:
    """The statement `name` of `queries/<file>.sql`; KeyError where there is none."""
    return queries(file)[name]


def scripts(folder: str) -> list[tuple[str, str]]:
    """(file name, text) of every script of one of the folders that make the schema, in the order of their names."""
    found = [entry for entry in files(__name__).joinpath(folder).iterdir() if entry.name.endswith(".sql")]
    return [(entry.name, entry.read_text()) for entry in sorted(found, key=lambda entry: entry.name)]
