"""Promoted keys whose values lie on rows get an index in every partition, while others write."""

import asyncio
from typing import Any

import asyncpg
import pytest

from exporter import promotion, row_indexes
from exporter.promotion import Promotion
from exporter.sidecar import Sidecar
from tests.exporter.sending import DAY, NOW, run, send, span, spans
from tests.sql.rows import ask

INDEXES = """SELECT c.relname AS table_name, pg_get_indexdef(i.indexrelid) AS made, i.indisvalid AS valid
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
WHERE pg_get_indexdef(i.indexrelid) LIKE '%jsonb_hash%' ORDER BY 1, 2"""
COMPLETE = "SELECT key, is_complete FROM otel_row_indexes ORDER BY key"


def many(key: str, day: int = 0) -> tuple[str, bytes]:
    """Spans of a key whose values do not repeat."""
    return spans(
        *(span(day + 100, i + 1, start=NOW + day * DAY + i, has={key: f"{day} {i}", "kept": 1}) for i in range(400))
    )


def make(url: str, lists: Promotion | None = None) -> int:
    return asyncio.run(row_indexes.make(url, lists or promotion.load()))


def test_promoted_keys_on_rows_get_indexes_everywhere(store: str) -> None:
    async def first(running: Sidecar) -> None:
        await send(running, *many("user.id"))
        await send(running, *many("unpromoted"))

    run(store, first)
    assert ask(store, INDEXES) == []
    partitions = len(ask(store, "SELECT FROM otel_partitions WHERE parent = 'otel_spans_fact'"))
    assert make(store) == partitions
    found = ask(store, INDEXES)
    assert len(found) == partitions and all(row["valid"] and "'user.id'::text" in row["made"] for row in found)
    assert ask(store, COMPLETE) == [{"key": "user.id", "is_complete": True}]
    assert make(store) == 0

    async def later(running: Sidecar) -> None:
        await send(running, *many("user.id", day=-20))

    run(store, later)
    after = len(ask(store, "SELECT FROM otel_partitions WHERE parent = 'otel_spans_fact'"))
    assert len(ask(store, INDEXES)) == after > partitions, "a new partition has it from the start"
    assert make(store) == 0


def test_what_was_cut_off_is_made_anew(store: str) -> None:
    async def first(running: Sidecar) -> None:
        await send(running, *many("user.id"))

    run(store, first)
    make(store)
    ask(store, "UPDATE otel_row_indexes SET is_complete = false RETURNING 1")
    broken = """UPDATE pg_index SET indisvalid = false WHERE indexrelid = (
        SELECT indexrelid FROM pg_index WHERE pg_get_indexdef(indexrelid) LIKE '%jsonb_hash%' LIMIT 1) RETURNING 1"""
    assert len(ask(store, broken)) == 1
    assert make(store) == 2, "one to drop and one to make"
    assert all(row["valid"] for row in ask(store, INDEXES))
    assert ask(store, COMPLETE) == [{"key": "user.id", "is_complete": True}]


def test_only_one_process_makes_them(store: str) -> None:
    async def first(running: Sidecar) -> None:
        await send(running, *many("user.id"))

    async def beside_another() -> int:
        other: Any = await asyncpg.connect(store)
        try:
            await other.execute("SELECT pg_advisory_lock(hashtext('postel-indexing'))")
            return await row_indexes.make(store, promotion.load())
        finally:
            await other.close()

    run(store, first)
    assert asyncio.run(beside_another()) == 0
    assert ask(store, INDEXES) == []


@pytest.mark.parametrize("key", ["it's", 'quo"ted', "back\\slash", "k" * 3000, "ö/%s", "nul\0"])
def test_any_key_can_be_indexed(store: str, key: str) -> None:
    async def first(running: Sidecar) -> None:
        await send(running, *many(key))

    run(store, first)
    base = promotion.load()
    promoted = {owner: {key: frozenset(("string",))} for owner in base.promoted}
    assert make(store, Promotion(promoted, base.drops)) > 0
    assert make(store, Promotion(promoted, base.drops)) == 0
