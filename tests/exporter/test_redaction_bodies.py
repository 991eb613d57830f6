"""Rules for log bodies: what is hidden, what is removed, and that nobody's text takes long."""

import subprocess
import sys
from time import thread_time
from typing import Any

import pytest

from exporter.otlp.protobuf import ProtobufCodec
from exporter.otlp.records import Bounds
from exporter.redaction import Keys
from exporter.redaction_bodies import BodyRules, compile_rule
from tests.exporter.sending import any_value


def rules(*expressions: str, members: Keys = Keys()) -> BodyRules:  # noqa: B008
    """Rules of these expressions."""
    return BodyRules(tuple(map(compile_rule, expressions)), members)


@pytest.mark.parametrize(
    ("expressions", "text", "hidden"),
    [
        ([r"\d{4}"], "a 1234 b 5678", "a *** b ***"),
        ([r"\d{4}"], "12345678", "******"),
        ([r"\d{4}"], "nothing", "nothing"),
        ([r"größe=\S+"], "é größe=hünter b", "é *** b"),
        (["abc", "bcd"], "xabcdx", "x***x"),
        (["bcd", "abc"], "xabcdx", "x***x"),
        (["a", "aaa"], "aaa", "***"),
        (["x*"], "axxb", "a***b"),
        ([r"(?i)token=(\w+)"], "TOKEN=abc", "***"),
        (["b.d"], "b\nd", "b\nd"),
        (["(?s)b.d"], "b\nd", "***"),
        (["^a"], "ba\na", "ba\na"),
    ],
)
def test_every_match_is_hidden(expressions: list[str], text: str, hidden: str) -> None:
    assert rules(*expressions).hide(text) == hidden


def test_structured_bodies_keep_their_keys() -> None:
    found = rules("s3", members=Keys(frozenset({"password"}), ("card.",)))
    body: Any = {"s3": ["a s3", 3, None, b"s3", {"password": 1, "b": "s3"}], "card.number": 1, "card": "s3"}
    assert found.redacted(body) == {"s3": ["a ***", 3, None, b"s3", {"b": "***"}], "card": "***"}


def test_members_that_lie_too_deep_to_be_told_are_hidden_with_their_body() -> None:
    raw = any_value([[[{"password": "x"}]]]).SerializeToString()
    for members, expected in ((Keys(frozenset({"password"})), "***"), (Keys(), [['[{"password":"x"}]']])):
        codec = ProtobufCodec(Bounds(max_value_depth=2))
        assert rules(members=members).read(codec, raw) == expected
        assert codec.findings.sanitised == {"too_deep": 1}
    shallow = ProtobufCodec()
    shallow.findings.sanitise("too_deep")
    assert rules(members=Keys(frozenset({"password"}))).read(shallow, raw) == [[[{}]]], "another body was too deep"


@pytest.mark.parametrize("expression", [r"password=(\S+;)?", "p[^;]*;|p"])
def test_a_text_made_to_take_long_does_not(expression: str) -> None:
    """Each match looks to the end of the text: what is left when patience ends is hidden unread."""
    text = "password=" * 60_000
    began = thread_time()
    hidden = rules(expression).hide(text)
    assert thread_time() - began < 1.5, "a microsecond a byte, and one look more"
    assert hidden.startswith("***")
    assert hidden.endswith("***")
    assert len(hidden) < len(text) / 2, "most is hidden unread"


def test_nor_does_one_that_matches_nothing_everywhere() -> None:
    """An empty match looks to the end of the text as well; where it costs nothing, nothing is hidden for it."""
    text = "a" * 200_000
    began = thread_time()
    assert rules("(a+b)?").hide(text).endswith("a***")
    assert thread_time() - began < 1.5
    assert rules("x*", r"\b\d*").hide(text) == text


def test_an_expression_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"^missing \): \(abc$"):
        compile_rule("(abc")


def test_the_library_is_loaded_for_rules_alone() -> None:
    script = "import sys; from exporter import promotion; promotion.load(); sys.exit('re2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
