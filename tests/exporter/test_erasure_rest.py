"""Refused records may have any shape, and nothing ends in an error; rows that are rewritten while a promotion is filled
in keep no typed copy of what is gone."""

import asyncio
import json
from functools import partial
from random import Random
from typing import Any

import pytest

from exporter.backfill import Backfill, Target
from exporter.database import Connection, Database
from exporter.erasure import Criterion
from exporter.erasure_rest import holds, rewrite
from exporter.promotion import TYPES
from tests.exporter.test_deletion import WAITING
from tests.sql.rows import ask

KEY = "user.id"


def held(text: str, record: Any) -> bool:
    """Whether a record has the value."""
    written = record if isinstance(record, str) else json.dumps(record)
    return holds([Criterion.of(KEY, text)], written)


@pytest.mark.parametrize(
    ("text", "value", "has"),
    [
        ("42", {"string_value": "42"}, True),
        ("42", {"StringValue": "42", "intValue": "43"}, True),
        ("42", {"intValue": "43", "doubleValue": 42}, True),
        ("true", {"string_value": "x"}, False),
        ("true", {"boolValue": True}, True),
        ("1", {"boolValue": True}, False),
        ("NaN", {"doubleValue": "NaN"}, True),
        ("NaN", {"doubleValue": 0}, False),
        ("0", {"doubleValue": "-0"}, True),
        ("YWI=", {"bytesValue": "YWI="}, True),
        ("YWI=", {"bytesValue": "YWI"}, False),
        ("9007199254740993", {"intValue": "9007199254740993"}, True),
        ("9007199254740993", {"intValue": "9007199254740992"}, False),
        ("1e999", {"stringValue": "1e999"}, True),
        ("1e999", {"doubleValue": 1}, False),
        ("9" * 400, {"intValue": "5"}, False),
        ("42", {"intValue": 1e300}, False),
        ("42", {"arrayValue": {"values": [{"intValue": "42"}]}}, False),
        ("42", {"intValue": {"a": []}}, False),
        ("42", None, False),
        ("42", ["42"], False),
    ],
)
def test_values_of_any_shape(text: str, value: Any, has: bool) -> None:
    assert held(text, {"attributes": [{"key": KEY, "value": value}]}) is has


@pytest.mark.parametrize("depth", [100, 400, 900])
@pytest.mark.parametrize("shape", ["[%s]", '{"a":%s}', '{"key":"user.id","value":{"arrayValue":{"values":[%s]}}}'])
def test_however_deep_it_lies(shape: str, depth: int) -> None:
    before, after = shape.split("%s")
    depth //= max(1, shape.count("{") + shape.count("["))
    found = '{"key":"user.id","value":{"intValue":"42"}}'
    assert held("42", before * depth + found + after * depth)
    assert not held("43", before * depth + found + after * depth)


def test_nothing_that_json_can_say_is_an_error() -> None:
    rng = Random(5)
    leaves: tuple[Any, ...] = (None, True, 42, -1, 1e300, 10**30, "42", "x", "NaN", "9" * 5000, [], {})
    names = (KEY, "key", "value", "intValue", "doubleValue", "bytesValue", "kvlistValue", "values", "stringValue")

    def some(depth: int) -> Any:
        kind = rng.randrange(3 if depth else 1)
        if kind == 0:
            return rng.choice(leaves)
        if kind == 1:
            return [some(depth - 1) for _ in range(rng.randrange(3))]
        return {rng.choice(names): KEY if rng.random() < 0.2 else some(depth - 1) for _ in range(rng.randrange(1, 4))}

    found = [held(rng.choice(("42", "true", "NaN", "1e999")), some(6)) for _ in range(4000)]
    assert 10 < sum(found) < 3000


@pytest.mark.parametrize("is_erased_first", [True, False])
def test_a_promotion_that_is_filled_in_meanwhile_leaves_no_copy(is_erased_first: bool, store: str) -> None:
    ask(
        store,
        "INSERT INTO otel_resources_dim (dropped_attributes_count, resource_hash, schema_url, attributes) "
        "SELECT 0, n::text::bytea, '', jsonb_build_object('user.id', CASE n WHEN 1 THEN '42' ELSE 'x' END) "
        "FROM generate_series(1, 2) AS n RETURNING 1",
    )
    (row,) = ask(
        store, "INSERT INTO attribute_keys (key_hash, key) VALUES (sha256('user.id'), 'user.id') RETURNING key_id"
    )

    async def session() -> None:
        database = Database(store, 2, 8.0)
        work = Backfill(store, Target("resource", KEY, frozenset(TYPES)))
        fill = partial(work._batch, key_id=row["key_id"], after=0, end=9, store=True)

        async def erase(connection: Connection) -> tuple[int, int]:
            return await rewrite(connection, [Criterion.of(KEY, "42")])

        first, second = (erase, fill) if is_erased_first else (fill, erase)
        async with database.transaction() as connection:
            await first(connection)
            waiting = asyncio.create_task(database.retrying(second))
            while not await asyncio.to_thread(ask, store, WAITING):
                assert not waiting.done(), "it waits for nobody"
                await asyncio.sleep(0.01)
        await waiting
        await database.close()
        await work.close()

    asyncio.run(session())
    assert [row["value"] for row in ask(store, "SELECT value FROM otel_resource_attrs_string")] == ["x"]
