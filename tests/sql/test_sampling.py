"""Adjusted counts: what a tracestate says, the view's column, and the migration that brings them to minutes."""

import asyncio
import re
import time
from decimal import Decimal
from fractions import Fraction
from random import Random
from uuid import uuid4

import asyncpg

from exporter.database import Database
from exporter.integrity import check
from exporter.minutes import AT_ONCE, Minutes
from exporter.partitions import SIGNALS, Partitions
from sql import scripts
from tests.conftest import database_of
from tests.house.source import ROOT
from tests.queries.sampling_oracle import adjusted_count, random_trace_state
from tests.sql.rows import DAY, DIMENSIONS, TRACE, T, ask, span

MINUTE = 60_000_000_000
NOW = time.time_ns()
EXAMPLES = {
    "ot=th:0": 1,
    "ot=th:8": 2,
    "ot=th:c": 4,
    "ot=th:e;rv:1": 8,
    "ot=rv:6e6d1a75832a2f;th:fd70a4": Fraction(100000095, 10**6),
    "vendor=x , ot=th:8": 2,
    "ot=th:ffffffffffffff": 2**56,
    "ot=th:8;th:c": 2,
    "ot=th:8,ot=th:c": 2,
    "ot=rv:1,ot=th:c": None,
    "ot=th:": None,
    "ot=th:g": None,
    "ot=th:123456789012345": None,
    "dot=th:8": None,
    "x=ot=th:8": None,
    "ot=xth:8": None,
    "": None,
}


def counted(url: str, trace_states: list[str]) -> list[Fraction | None]:
    """What the function says of each."""
    rows = ask(url, "SELECT otel_adjusted_count(t) AS found FROM unnest($1::text[]) AS t", trace_states)
    return [None if row["found"] is None else Fraction(row["found"]) for row in rows]


def test_examples(database_url: str) -> None:
    assert dict(zip(EXAMPLES, counted(database_url, list(EXAMPLES)), strict=True)) == EXAMPLES
    assert {text: adjusted_count(text) for text in EXAMPLES} == EXAMPLES
    assert ask(database_url, "SELECT otel_adjusted_count(NULL) AS found") == [{"found": None}]


def test_any_tracestate_counts_as_the_oracle_has_it(database_url: str) -> None:
    rng = Random(11)
    trace_states = [random_trace_state(rng) for _ in range(5000)]
    expected = [adjusted_count(text) for text in trace_states]
    assert 1000 < sum(found is not None for found in expected) < 4500
    assert dict(zip(trace_states, counted(database_url, trace_states), strict=True)) == dict(
        zip(trace_states, expected, strict=True)
    )


def test_the_column_of_the_view(database_url: str) -> None:
    given = DIMENSIONS + "".join(
        span(number, T + number, T + 9, trace_state=text) for number, text in enumerate(("ot=th:c", "ot=th:?", None), 1)
    )
    rows = ask(database_url, "SELECT adjusted_count FROM v_otel_spans_enriched ORDER BY span_id", given=given)
    assert [row["adjusted_count"] for row in rows] == [4, 1, 1]


OF_BEFORE = f"""
INSERT INTO otel_operation_minutes (minute_unix_nano, resource_id, series_id, calls, errors, buckets, counts)
SELECT minute_unix_nano, resource_id, series_id, calls, errors, buckets, counts
FROM otel_count_operations(0, {T + DAY}, NULL);
"""
"""What the version before computes, and stores."""
TRACES = f"""
INSERT INTO otel_traces (
    trace_id, hour_unix_nano, start_time_unix_nano, end_time_unix_nano, root_start_time_unix_nano, root_span_id,
    root_series_id, root_resource_id, span_count, error_count, has_root, resource_ids)
VALUES ('{TRACE}', {T}, {T}, {T + 5 * MINUTE + 9}, {T}, 1, 2, 1, 3, 1, true, '{{1, 2}}');
"""


def test_what_is_stored_is_adjusted_after_the_migration(server_url: str) -> None:
    async def session(name: str) -> None:
        url = database_of(server_url, name)
        connection = await asyncpg.connect(url)
        before = [text for script, text in scripts("migrations") if script < "0014"]
        after = [text for script, text in scripts("migrations") if script >= "0014"]
        for text in (*before, DIMENSIONS):
            await connection.execute(text)
        await connection.execute(
            span(1, T, T + 9, series=2)
            + span(2, T + 2 * MINUTE, T + 5, resource=2, parent_span_id=1, trace_state="ot=th:c", status_code_id=2)
            + span(3, T + 5 * MINUTE, T + 5 * MINUTE + 9, trace_state="a=b")
            + TRACES
            + OF_BEFORE
        )
        for text in after:
            await connection.execute(text)
        due = await connection.fetch("SELECT signal, minute_unix_nano FROM otel_due_minutes")
        assert [tuple(row) for row in due] == [("spans", T + 2 * MINUTE)], "only what tells its threshold"
        database = Database(url, 1, 60.0)
        assert await Minutes(database, Partitions(database, dict.fromkeys(SIGNALS, 86_400), 2), AT_ONCE).roll_up() == 1
        await database.close()
        assert await check(connection) == []
        columns = "calls, adjusted_calls, adjusted_errors, adjusted_counts"
        rows = await connection.fetch(f"SELECT {columns} FROM otel_operation_minutes ORDER BY minute_unix_nano")
        four = Decimal(4)
        assert [tuple(row) for row in rows] == [(1, None, None, None), (1, four, four, [four]), (1, None, None, None)]
        (edge,) = await connection.fetch(f"SELECT {columns} FROM otel_edge_minutes")
        assert tuple(edge) == (1, four, four, [four])
        await connection.execute("TRUNCATE otel_operation_minutes")
        await connection.execute(OF_BEFORE)
        assert await connection.fetchval("SELECT count(*) FROM otel_operation_minutes") == 3, "both versions write"
        await connection.close()

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(server_url)
        await connection.execute(statement)
        await connection.close()

    name = f"test_{uuid4().hex[:16]}"
    asyncio.run(execute(f"CREATE DATABASE {name}"))
    asyncio.run(session(name))
    asyncio.run(execute(f"DROP DATABASE {name} WITH (FORCE)"))


def test_what_the_documentation_shows(database_url: str) -> None:
    page = (ROOT / "docs/sampling.md").read_text()
    shown = re.findall(r"^\| `(ot=th:\w+)` \| .* \| (\d+) \|$", page, re.MULTILINE)
    assert len(shown) > 1
    assert counted(database_url, [text for text, _ in shown]) == [Fraction(count) for _, count in shown]
    (statement,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    given = f"{DIMENSIONS} SELECT otel_create_partitions('spans', ARRAY[{NOW}], {DAY});"
    given += span(1, NOW, NOW + 1, trace_state="ot=th:8", status_code_id=2) + span(2, NOW, NOW + 1)
    (row,) = ask(database_url, statement, given=given)
    assert row == {"service_name": "api", "spans": 3, "errors": 2}
