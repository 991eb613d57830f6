"""The declared columns are those of the catalogue, and COPY carries each of their types."""

import pytest

from exporter import columns
from exporter.columns import Table
from exporter.traces import effective_end
from tests.exporter.sending import NOW, SECOND
from tests.sql.rows import ask

TABLES = [value for value in vars(columns).values() if isinstance(value, Table)]
ROLLUPS = {"otel_traces", "otel_operation_minutes", "otel_edge_minutes", "otel_log_minutes"}
COPIED = {"uuid", "int8", "int4", "text", "jsonb", "bool", "float8", "bytea", "_int4", "_int8", "_float8"}
"""The types whose binary form the writer sends."""


def test_declarations_equal_the_catalogue(database_url: str) -> None:
    rows = ask(
        database_url,
        """
        SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns,
            array_agg(DISTINCT t.typname::text) AS types,
            (SELECT array_agg(k.attname::text ORDER BY o.n)
             FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS o (attnum, n)
             JOIN pg_attribute AS k ON k.attnum = o.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary AND k.attrelid = c.oid) AS key,
            (SELECT time_column FROM otel_partitioned_tables AS p WHERE p.parent = c.relname) AS time
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE c.relkind = 'p' AND a.attnum > 0 AND NOT a.attisdropped
        GROUP BY c.oid, c.relname
        """,
    )
    found = {row["name"]: row for row in rows}
    assert set(found) == {table.name for table in TABLES} | ROLLUPS, "partitioned tables"
    for table in TABLES:
        row = found[table.name]
        assert sorted(row["columns"]) == sorted(table.columns), table.name
        assert row["key"][: table.key_width] == list(table.columns[: table.key_width]), table.name
        assert row["key"][table.key_width :] in ([], ["ordinal"]), table.name
        assert table.columns[table.time] == row["time"], table.name
        assert set(row["types"]) <= COPIED, table.name
        if table.sent is not None:
            assert table.columns[table.sent] == f"sent_{table.columns[table.time]}"


@pytest.mark.parametrize("table", [table for table in TABLES if table.sent], ids=lambda table: table.name)
def test_children_begin_with_the_key_of_their_record(table: Table) -> None:
    children = {"otel_spans_fact": (columns.SPAN_EVENTS, columns.SPAN_LINKS), "otel_logs_fact": ()}
    for child in children.get(table.name, (columns.EXEMPLARS,)):
        assert child.columns[: child.key_width] == table.columns[: table.key_width]


def test_effective_end_is_the_same_in_sql_and_python(database_url: str) -> None:
    top = (1 << 63) - 1
    times = [0, 1, NOW, NOW + SECOND, top, -top - 1, -1]
    cases = [(key, sent, end) for key in (1, NOW, top) for sent in (None, *times) for end in times]
    rows = ask(
        database_url,
        """SELECT otel_effective_end(k, s, e) AS found
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS c (k, s, e, n) ORDER BY n""",
        *map(list, zip(*cases, strict=True)),
    )
    assert [row["found"] for row in rows] == [effective_end(*case) for case in cases]
