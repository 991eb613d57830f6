"""The benchmark's own SQL: scripts that make the tables of a baseline, and named statements as in `sql/queries`."""

from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """The text of `bench/<name>.sql`."""
    return files("bench").joinpath(f"{name}.sql").read_text()


@cache
def statement(name: str, of: str = "statements") -> str:
    """The statement `name` of `bench/<of>.sql`; KeyError where there is none."""
    named = (part.split("\n", 1) for part in script(of).split("-- name: ")[1:])
    return {title.strip(): text.strip().rstrip(";") for title, text in named}[name]
