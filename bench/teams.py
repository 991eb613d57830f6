"""What questions to the views take for a reader, for a team, and if the public views were filtered themselves.

`python -m bench.teams URL` asks a database that telemetry was loaded into and that has the roles of `postel migrate
--create-roles`, as a superuser; everything that it changes is undone.
Source: docs/decisions/0023-roles-and-team-readers.md.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import asyncpg

from bench.statements import script, statement

_ROUNDS = 3
_MINUTE_NANO = 60_000_000_000
WAYS = MappingProxyType(
    {"reader": ("public", None), "team": ("otel_team", "bench_team"), "filtered": ("bench_filtered, public", None)}
)
"""Way of asking -> its search_path and role; None = the superuser, who may read everything as the reader may."""
QUESTIONS = tuple(part.split("\n", 1)[0] for part in script("teams_questions").split("-- name: ")[1:])


async def measure(url: str) -> Mapping[str, Mapping[str, float]]:
    """Question -> way -> the least milliseconds of three."""
    connection: Any = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(script("teams_setting"))
        middle, trace = await connection.fetchrow(
            "SELECT (min(start_time_unix_nano) + max(start_time_unix_nano)) / 2, min(trace_id::text) FROM otel_traces"
        )
        asked = middle, middle + _MINUTE_NANO, trace
        return {
            question: {way: await _time(connection, question, way, asked) for way in WAYS} for question in QUESTIONS
        }
    finally:
        await transaction.rollback()
        await connection.close()


async def _time(connection: Any, question: str, way: str, asked: tuple[int, int, str]) -> float:
    path, role = WAYS[way]
    await connection.execute(
        "SELECT set_config('search_path', $1, true), set_config('role', $2, true)", path, role or "none"
    )
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await connection.fetch(statement(question, "teams_questions"), *asked)
        took.append(1000 * (time.perf_counter() - began))
    await connection.execute("RESET ROLE")
    return min(took)


def main() -> None:
    """Print a table."""
    (url,) = sys.argv[1:]
    print("| question |", " | ".join(WAYS), "|")
    print("|---|" + "---|" * len(WAYS))
    for question, ways in asyncio.run(measure(url)).items():
        print(f"| {question} |", " | ".join(f"{ms:,.1f} ms" for ms in ways.values()), "|")


if __name__ == "__main__":
    main()
