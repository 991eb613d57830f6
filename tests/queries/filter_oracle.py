"""What a filter on an attribute matches, in plain Python over what was sent: the API has to answer the same."""

import math
import random
import re
from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

MISSING = object()
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")

KEYS = ("k0", "k1", "http.status_code", "http.route", "odd key/ö", "a__in", "")
LONG = "long " * 1000
VALUES: tuple[Any, ...] = (
    *range(-2, 8),
    200,
    500,
    (1 << 53) + 1,
    -(1 << 63),
    *(0.0, -0.0, 1.0, 0.1, 200.0, 1e22, 1e300, 5e-324, -2.5),
    *(math.nan, math.inf, -math.inf),
    *("", "1", "200", "200.0", "0.1", "true", "abc", "Abc", "a,b", "a%c", "a_c", "a\\", "ünï", "x\0y", "007", "-0"),
    "NaN",
    "1e3",
    LONG,
    f"{LONG}1",
    True,
    False,
    b"",
    b"abc",
    [],
    [1, "a"],
    {"x": 1},
    {"doubleValue": "Infinity"},
    None,
)


def number(value: Any) -> Decimal | None:
    """The number that a value stands for; NaN is none."""
    if isinstance(value, bool) or value is MISSING:
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return None if math.isnan(value) else Decimal(repr(value))
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return Decimal(value)
    return None


def text(value: Any) -> str | None:
    """The text that a value of a simple type is written as."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value) and not (value == 0 and math.copysign(1, value) < 0):
        written = format(Decimal(repr(value)), "f")
        return f"{int(value)}.0" if value.is_integer() and abs(value) <= 1 << 63 else written
    return None


def equals(value: Any, given: str) -> bool:
    """Whether a value reads like what was given."""
    if isinstance(value, str):
        return value == given
    if isinstance(value, bytes):
        return bool(value) and b64encode(value).decode() == given
    if isinstance(value, float) and not math.isfinite(value):
        return given == ("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    if isinstance(value, bool):
        return given == text(value)
    if isinstance(value, int | float) and NUMBER.fullmatch(given):
        return number(value) == Decimal(given)
    return False


def compares(value: Any, given: str, operator: str) -> bool:
    """Whether a value is above or below what was given: as numbers where that is one, else as text."""
    pair: Any
    if NUMBER.fullmatch(given):
        pair = number(value), Decimal(given)
    else:
        pair = (value.encode() if isinstance(value, str) else None), given.encode()
    left, right = pair
    if left is None:
        return False
    above = int(left > right) - int(left < right)
    return {"gt": above > 0, "gte": above >= 0, "lt": above < 0, "lte": above <= 0}[operator]


def like(value: Any, pattern: str) -> bool:
    """SQL's LIKE, of patterns with at most one backslash before a wildcard."""
    found = text(value)
    if found is None:
        return False
    parts = re.findall(r"\\.|%|_|[^\\%_]+", pattern, re.DOTALL)
    regex = "".join({"%": ".*", "_": "."}.get(part, re.escape(part.removeprefix("\\"))) for part in parts)
    return re.fullmatch(regex, found, re.DOTALL) is not None


def matches(attributes: Mapping[str, Any], key: str, operator: str, given: str) -> bool:
    """Whether a record with these attributes is what a filter asks for."""
    value = attributes.get(key, MISSING)
    if operator == "exists":
        return (value is not MISSING) == (given == "true")
    if value is MISSING:
        return False
    if operator in ("", "eq"):
        return equals(value, given)
    if operator == "ne":
        return not equals(value, given)
    if operator == "in":
        return any(equals(value, part.replace(r"\,", ",")) for part in re.split(r"(?<!\\),", given))
    if operator == "like":
        return like(value, given)
    return compares(value, given, operator)


def written(value: Any) -> str:
    """How somebody would type a value."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return text(value) or "0"


def random_attributes(rng: random.Random, turn: int) -> dict[str, Any]:
    """Attributes of a record; keys begin with few values and get ever more."""
    found: dict[str, Any] = {}
    for key in KEYS:
        if rng.random() < 0.6:
            fresh: Any = rng.choice([f"u{rng.randrange(1000)}", rng.randrange(1000), rng.randrange(1000) / 8])
            found[key] = fresh if rng.random() < 0.02 * turn else rng.choice(VALUES)
    return found


def random_filter(rng: random.Random, attributes: Mapping[str, Any]) -> tuple[str, str, str]:
    """A key, an operator and a value, most of them such that something matches."""
    key = rng.choice([*attributes, *KEYS])
    value = attributes.get(key, rng.choice(VALUES))
    # A key that ends like an operator needs one.
    operator = rng.choice(
        ["eq" if key == "a__in" else "", "eq", "ne", "gt", "gte", "lt", "lte", "in", "like", "exists"]
    )
    if operator == "exists":
        return key, operator, rng.choice(["true", "false"])
    given = written(value)
    if operator == "in":
        parts = [given, written(rng.choice(VALUES)), "other"]
        return key, operator, ",".join(part.replace(",", r"\,") for part in parts if not part.endswith("\\"))
    if operator == "like":
        safe = given.replace("\\", "").replace("\0", "")
        pattern = [safe, f"{safe[:2]}%", f"%{safe[-2:]}", safe.replace("b", "_"), safe.replace("%", r"\%")]
        return key, operator, rng.choice(pattern)
    return key, operator, given
