"""Refused records may have any shape: what is asked for is found in it, or it is left, but nothing ends in an error."""

import json
from random import Random
from typing import Any

import pytest

from exporter.erasure import Criterion
from exporter.erasure_rest import holds

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
    leaves = (None, True, 42, -1, 1e300, 10**30, "42", "x", "NaN", "9" * 5000, [], {})
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
