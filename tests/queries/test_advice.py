"""What is suggested can be pasted: it loads, is gone once it is in force, and names what costs or is asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import promotion
from queries import advice
from queries.answers_attributes import Attribute
from queries.filtered import Use, key_of
from queries.sampling import Cost
from queries.storage import Stored
from tests.exporter.asking import own_database
from tests.queries.weighing import ASKED, HEAVY, HEAVY_RECORDS, Loaded, loaded

NOTHING_PROMOTED: dict[str, dict[str, frozenset[str]]] = {owner: {} for owner in promotion.OWNERS}
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda key: "*" not in key)
ODD = [
    "a: b",
    "#x",
    "yes",
    "1",
    "null",
    "two\nlines",
    "größer",
    "nul\0",
    '"q"',
    "- x",
    "\u2028",
    "~",
    "{a}",
    "x #y",
    " ",
]


@pytest.fixture(scope="module")
def full(server_url: str, template: str) -> Iterator[Loaded]:
    """A loaded database."""
    with own_database(server_url, template) as url, loaded(url) as found:
        yield found


def listed(found: Loaded, **asked: Any) -> Any:
    answer = found.asker.get("/api/attributes", **{"limit": "1000", **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def pasted(text: str, folder: Path) -> promotion.Promotion:
    """What is in force once the text is the overrides file."""
    file = folder / "overrides.yaml"
    file.write_text(text)
    return promotion.load(overrides=file)


def uncommented(text: str) -> str:
    """The text without the # before entries."""
    return "".join(map(_bare, text.splitlines()))


def _bare(line: str) -> str:
    return f"{line.removeprefix('# ')}\n"


def test_a_key_that_is_asked_for_and_one_that_is_not(full: Loaded, tmp_path: Path) -> None:
    before = listed(full)["suggestions"]
    assert ASKED not in before and f"#     - {HEAVY}" in before
    for _ in range(advice.OFTEN):
        assert full.asker.get("/api/spans", **{f"attr.{ASKED}": "t-7", "limit": "1"}).status_code == 200
    text = listed(full)["suggestions"]
    assert text.startswith("## Filtered on often or slowly")
    lists = pasted(text, tmp_path)
    assert lists.promoted_types("spans", ASKED) == {"string"}
    assert not len(lists.dropped("spans"))
    dropped = pasted(uncommented(text), tmp_path).dropped("spans")
    assert HEAVY in dropped and "user.id" not in dropped

    running = full.asker.postel.sidecar
    in_force = running.promotion
    running.overrides.promotion = lists
    try:
        after = listed(full)
        assert ASKED not in after["suggestions"] and HEAVY in after["suggestions"]
        assert next(item for item in after["attributes"] if item["key"] == ASKED)["promoted"]
        running.overrides.promotion = pasted(f"drop:\n  spans: [{HEAVY}, {ASKED}]\n", tmp_path)
        assert listed(full)["suggestions"] is None, "it is dropped"
    finally:
        running.overrides.promotion = in_force
    assert full.asker.get("/api/spans", **{f"attr.{HEAVY}__exists": "true"}).status_code == 200
    assert HEAVY not in listed(full)["suggestions"]


def test_what_a_key_costs(full: Loaded) -> None:
    answer = listed(full, signal="spans")
    sizes = {item["key"]: item["bytes"] for item in answer["attributes"]}
    assert sizes[HEAVY] == pytest.approx(HEAVY_RECORDS * (1024 + len(HEAVY)), rel=0.15)
    assert max(sizes, key=lambda key: sizes[key] or 0) == HEAVY
    of_storage = full.asker.get("/api/storage", limit="1000").json()["keys"]
    assert {item["key"]: item["bytes"] for item in of_storage if item["signal"] == "spans"}.items() <= sizes.items()


def test_only_of_what_is_asked_for(full: Loaded) -> None:
    assert listed(full, signal="scope")["suggestions"] is None
    answer = full.asker.get("/api/attributes", signal="everything")
    assert (answer.status_code, answer.json()["error"]["parameter"]) == (400, "signal")


def test_text(full: Loaded) -> None:
    text = full.asker.get("/api/attributes", signal="spans", format="text", limit="1000").text
    rows = [line.split() for line in text.splitlines()]
    assert rows[0] == ["KEY", "SIGNAL", "TYPES", "LIES", "ON", "PROMOTED", "VALUES", "BYTES", "FILTERS", "EACH"]
    [row] = [row for row in rows if row[:1] == [HEAVY]]
    assert row[1:5] == ["spans", "string", "row", "no"]
    assert max(map(len, text.splitlines())) <= 100
    narrow = full.asker.get("/api/attributes", format="text", width="40", limit="1000").text
    assert "## (longer than this terminal is wide)" in narrow


def attribute(key: str, **fields: Any) -> Attribute:
    return Attribute(key, "spans", fields.pop("types", ["string"]), False, True, **fields)


def stored(size: int) -> Stored:
    lines: Any = [
        {
            "signal": "spans",
            "table_name": "otel_spans_fact",
            "bytes": size,
            "row_count": 1000,
            "start_time_unix_nano": 0,
        }
    ]
    return Stored(lines, {"spans": 100.0})


@pytest.mark.parametrize(
    ("filters", "seconds", "suggested"),
    [
        (advice.OFTEN, 0.0, True),
        (advice.OFTEN - 1, 0.0, False),
        (advice.SLOWLY, advice.SLOWLY * advice.SLOWLY_S, True),
        (advice.SLOWLY, advice.SLOWLY * advice.SLOWLY_S - 0.1, False),
        (advice.SLOWLY - 1, 1000.0, False),
        (0, 0.0, False),
    ],
)
def test_often_or_slowly(filters: int, seconds: float, suggested: bool) -> None:
    found = [attribute("k", filtered=filters, filter_seconds=seconds)]
    assert (advice.suggest(found, {}, {}, stored(0), NOTHING_PROMOTED) is not None) is suggested


def test_every_type_that_can_be_promoted(tmp_path: Path) -> None:
    types = ["array", "bool", "double", "int", "string"]
    text = advice.suggest([attribute("k", filtered=100, types=types)], {}, {}, stored(0), NOTHING_PROMOTED)
    assert text is not None
    assert pasted(text, tmp_path).promoted_types("spans", "k") == {"bool", "double", "int", "string"}
    maps = attribute("k", filtered=100, types=["kvlist"])
    assert advice.suggest([maps], {}, {}, stored(0), NOTHING_PROMOTED) is None


@pytest.mark.parametrize(
    ("owner", "share", "size", "suggested"),
    [
        ("spans", 0.06, advice.LARGE_BYTES, True),
        ("span_events", 0.06, advice.LARGE_BYTES, True),
        ("spans", 0.04, advice.LARGE_BYTES, False),
        ("spans", 0.5, advice.LARGE_BYTES - 1, False),
        ("metrics", 0.5, advice.LARGE_BYTES, False),
        ("resource", 0.5, advice.LARGE_BYTES, False),
    ],
)
def test_what_costs_much(owner: str, share: float, size: int, suggested: bool) -> None:
    costs = {(owner, "k"): Cost(size, size)}
    found = stored(round(size / share))
    text = advice.suggest([], costs, {}, found, NOTHING_PROMOTED)
    assert (text is not None) is suggested
    used = {key_of(owner, "k"): Use(1, 0.1)}
    assert advice.suggest([], costs, used, found, NOTHING_PROMOTED) is None
    promoted = NOTHING_PROMOTED | {owner: {"k": frozenset({"string"})}}
    assert advice.suggest([], costs, {}, found, promoted) is None


def test_what_dropping_saves() -> None:
    size = 100 << 20
    text = advice.suggest([], {("spans", "k"): Cost(size, size / 2)}, {}, stored(2 * size), NOTHING_PROMOTED)
    assert text is not None
    # Half of it lies on rows, of which a tenth as many come a day as there are.
    assert text.splitlines()[-1] == "#     - k  # 100MiB, 50% of spans; saves 5.00MiB a day"


@pytest.mark.parametrize("key", ODD)
def test_odd_keys(key: str, tmp_path: Path) -> None:
    check(key, tmp_path)


@given(key=KEYS)
def test_any_key(key: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    check(key, tmp_path_factory.getbasetemp())


def check(key: str, folder: Path) -> None:
    """A key is read back as it was."""
    size = 100 << 20
    costs = {("logs", key): Cost(size, size)}
    found = stored(size)
    text = advice.suggest([attribute(key, filtered=100)], costs, {}, found, NOTHING_PROMOTED)
    assert text is not None
    lists = pasted(uncommented(text), folder)
    assert lists.promoted_types("spans", key) == {"string"}
    assert lists.dropped("logs").names == {key}


@pytest.mark.parametrize("key", ["", "user.*", "*"])
def test_what_would_say_something_else_is_left_out(key: str) -> None:
    size = 100 << 20
    costs = {("spans", key): Cost(size, size)}
    assert advice.suggest([attribute(key, filtered=100)], costs, {}, stored(size), NOTHING_PROMOTED) is None


def test_the_first_ones_are_suggested() -> None:
    found = [attribute(f"k{n:02}", filtered=100, filter_seconds=float(n)) for n in range(advice.MOST + 5)]
    text = advice.suggest(found, {}, {}, stored(0), NOTHING_PROMOTED)
    assert text is not None
    keys = [line.split()[1] for line in text.splitlines() if " - " in line]
    assert keys == [f"k{n:02}" for n in range(advice.MOST + 4, 4, -1)]
