"""Promotion: base list, overrides, and which of them wins; the same for every owner."""

from pathlib import Path

import pytest

from exporter import promotion
from exporter.errors import ConfigurationError
from exporter.promotion import OWNERS, TYPES, Promotion
from exporter.redaction import Keys


def load(overrides: str, folder: Path, base: str | None = None) -> Promotion:
    """A promotion from texts; without `base` the packaged list."""
    overrides_file = folder / "overrides.yaml"
    overrides_file.write_text(overrides)
    base_file = None
    if base is not None:
        base_file = folder / "base.yaml"
        base_file.write_text(base)
    return promotion.load(base_file, overrides_file)


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("type_name", TYPES)
def test_every_owner_and_type_can_be_promoted_and_dropped(owner: str, type_name: str, tmp_path: Path) -> None:
    base = f"{owner}: {{{type_name}: [base.key, gone.key]}}"
    found = load(f"promote: {{{owner}: {{{type_name}: [my.key]}}}}\ndrop: {{{owner}: [gone.key]}}", tmp_path, base)
    for key in ("base.key", "my.key"):
        assert found.promoted_types(owner, key) == {type_name}
    assert found.promoted_types(owner, "gone.key") == frozenset()
    assert found.dropped(owner).names == {"gone.key"}
    for other in set(OWNERS) - {owner}:
        assert not found.promoted[other]
        assert not found.dropped(other)


def test_a_key_of_two_types_is_promoted_for_both(tmp_path: Path) -> None:
    found = load("promote: {spans: {string: [a]}}", tmp_path, base="spans: {int: [a]}")
    assert found.promoted_types("spans", "a") == {"string", "int"}


def test_drop_wins_over_promote_and_over_the_base(tmp_path: Path) -> None:
    found = load("promote: {spans: {string: [a]}}\ndrop: {spans: [a, http.route]}", tmp_path)
    assert found.dropped("spans").names == {"a", "http.route"}
    assert "a" not in found.promoted["spans"]
    assert "http.route" not in found.promoted["spans"]
    assert found.promoted_types("logs", "http.route") == {"string"}


def test_a_pattern_drops_all_that_begin_so(tmp_path: Path) -> None:
    found = load("promote: {spans: {string: [user.id, user]}}\ndrop: {spans: ['user.*', a, http*]}", tmp_path)
    dropped = found.dropped("spans")
    assert dropped == Keys(frozenset({"a"}), ("http", "user."))
    assert [key for key in ("user.id", "user.", "user", "a", "ab", "http", "User.id") if key in dropped] == [
        "user.id",
        "user.",
        "a",
        "http",
    ]
    assert found.promoted_types("spans", "user") == {"string"}
    assert not [key for key in found.promoted["spans"] if key == "user.id" or key.startswith("http")]
    assert "user.id" not in found.dropped("logs")
    assert dropped | Keys(frozenset({"b"}), ("http",)) == Keys(frozenset({"a", "b"}), ("http", "user."))


def test_what_is_hashed_is_a_string_and_promoted_as_one(tmp_path: Path) -> None:
    overrides = (
        "promote: {spans: {int: [user.id, a], double: [shop.x]}}\ndrop: {spans: [a], hash: [user.id, a, shop.*]}"
    )
    found = load(overrides, tmp_path)
    assert found.hashed == Keys(frozenset({"user.id", "a"}), ("shop.",))
    assert found.promoted_types("spans", "user.id") == found.promoted_types("spans", "shop.x") == {"string"}
    assert "a" not in found.promoted["spans"], "drop wins"
    for owner in OWNERS:
        redaction = found.keyed(b"k").redaction(owner)
        assert redaction is not None
        assert (redaction.hashed, redaction.dropped) == (found.hashed, found.dropped(owner))


def test_an_owner_without_a_list_is_let_alone(tmp_path: Path) -> None:
    found = load("drop: {logs: [a], log_body: [b, {key: c}]}", tmp_path).keyed(b"k")
    assert [owner for owner in OWNERS if found.redaction(owner) is not None] == ["logs"]
    assert found.bodies is not None
    assert [rule.pattern for rule in found.bodies.expressions] == ["b"]
    assert found.bodies.members.names == {"c"}
    assert promotion.load().keyed(b"k").refused is None


@pytest.mark.parametrize(
    "overrides",
    [
        "",
        "# only a comment\n",
        "promote:\ndrop:\n",
        "promote: {}\ndrop: {}\n",
        "promote: {spans: , logs: {}, metrics: {string: [], int: }}\ndrop: {spans: [], logs: , span_links: []}\n",
        "drop: {hash: , log_body: }\n",
        "drop: {hash: [], log_body: []}\n",
    ],
)
def test_empty_lists_and_sections_change_nothing(overrides: str, tmp_path: Path) -> None:
    assert load(overrides, tmp_path) == promotion.load()


def test_an_empty_base_promotes_nothing(tmp_path: Path) -> None:
    found = load("", tmp_path, base="")
    assert set(found.promoted) == set(found.drops) == set(OWNERS)
    assert not any(found.promoted.values())


def test_the_same_key_twice_in_a_list_counts_once(tmp_path: Path) -> None:
    found = load("drop: {logs: [a, a]}\npromote: {logs: {string: [b, b]}}", tmp_path)
    assert found.dropped("logs").names == {"a"}
    assert found.promoted_types("logs", "b") == {"string"}


def test_keys_are_taken_as_they_are_written(tmp_path: Path) -> None:
    found = load("drop: {logs: ['', 'a b', \"no\", '1', ключ]}", tmp_path)
    assert found.dropped("logs").names == {"", "a b", "no", "1", "ключ"}


@pytest.mark.parametrize(
    ("value", "promoted"),
    [("x", True), (1, False), (True, True), (1.0, False), (b"x", True), (None, False), ([], False), ({}, False)],
)
def test_promotion_is_by_the_type_of_the_value(value: object, promoted: bool, tmp_path: Path) -> None:
    found = load("", tmp_path, base="logs: {string: [k], bool: [k], bytes: [k]}")
    assert found.is_promoted("logs", "k", value) is promoted
    assert not found.is_promoted("logs", "other", value)


def test_a_base_has_no_promote_and_no_drop(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"base\.yaml:1: drop: unknown key"):
        load("", tmp_path, base="drop: {logs: [a]}")


def test_overrides_that_are_not_there_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for nothing in ("overrides.yaml", "folder", "folder/overrides.yaml"):
        assert promotion.load(overrides=tmp_path / nothing) == promotion.load()


def test_a_base_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"base\.yaml: cannot be read: No such file"):
        promotion.load(base=tmp_path / "base.yaml")


def test_what_is_in_force_cannot_be_changed() -> None:
    found = promotion.load()
    with pytest.raises(TypeError):
        found.promoted["spans"]["x"] = frozenset()  # type: ignore[index]
    with pytest.raises(TypeError):
        found.drops["spans"] = Keys()  # type: ignore[index]


CURRENT = {
    "resource": {"service.version", "deployment.environment.name", "k8s.node.name"},
    "logs": {"code.function.name", "http.response.status_code"},
    "spans": {
        "http.request.method",
        "http.response.status_code",
        "url.full",
        "url.path",
        "server.address",
        "server.port",
        "db.system.name",
        "db.namespace",
        "db.operation.name",
        "db.query.text",
        "messaging.destination.name",
        "gen_ai.provider.name",
        "gen_ai.operation.name",
        "gen_ai.request.temperature",
    },
    "span_events": {"exception.type", "exception.message"},
    "metrics": {"http.request.method", "http.route", "http.response.status_code", "gen_ai.token.type"},
}


@pytest.mark.parametrize("owner", CURRENT)
def test_packaged_list_knows_the_current_conventions(owner: str) -> None:
    assert set(promotion.load().promoted[owner]) >= CURRENT[owner]


def test_types_of_the_conventions() -> None:
    found = promotion.load()
    assert found.promoted_types("spans", "http.response.status_code") == {"int"}
    assert found.promoted_types("spans", "db.response.status_code") == {"string"}
    assert found.promoted_types("spans", "http.request.size") == {"int", "double"}
    assert found.promoted_types("spans", "gen_ai.request.temperature") == {"double"}
    assert found.promoted_types("spans", "gen_ai.request.stream") == {"bool"}
