"""Hashes of values, and what becomes of one owner's attributes."""

from hashlib import blake2b
from typing import Any

import pytest

from exporter.errors import UndecodableBody
from exporter.otlp.json import JsonCodec
from exporter.otlp.protobuf import ProtobufCodec
from exporter.otlp.records import Codec, KeyValue
from exporter.redaction import DROPPED, KEPT, Hasher, Keys, Redaction
from tests.exporter.sending import attributes, field

KEY = b"k" * 32
SOME = Redaction(Keys(frozenset({"password"})), Keys(frozenset({"user.id"}), ("enduser.",)), Hasher(KEY))


def test_a_hash_is_of_the_text_by_the_key() -> None:
    hasher = Hasher(KEY)
    found = hasher.hash("42")
    assert len(found) == 32
    assert found == found.lower() == bytes.fromhex(found).hex()
    assert found.startswith(blake2b(b"42", key=KEY, digest_size=10, person=b"postel value").hexdigest())
    assert Hasher(b"other").hash("42") != found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (42, "42"),
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        (42.0, "42.0"),
        (b"\xff", "/w=="),
        ({"b": 1, "a": ["x", None]}, '{"a":["x",null],"b":1}'),
        ([{"b": 1, "a": 2}], '[{"a":2,"b":1}]'),
    ],
)
def test_a_value_and_its_text_have_one_hash(value: Any, text: str) -> None:
    assert Hasher(KEY).hash(value) == Hasher(KEY).hash(text)


def test_a_hash_stays_what_it_is() -> None:
    hasher = Hasher(KEY)
    found = hasher.hash("42")
    assert hasher.hash(found) == found
    assert Hasher(b"other").hash(found) != found, "it is nobody else's"
    for other in ("0" * 32, found[:-1] + ("0" if found[-1] != "0" else "1"), found.upper()):
        assert hasher.hash(other) not in (other, found)


@pytest.mark.parametrize("codec", [ProtobufCodec(), JsonCodec()])
def test_opaque_attributes(codec: Codec) -> None:
    given = {"kept": 1, "password": "x", "user.id": 42, "enduser.name": [1], "user": "y"}
    raws = [
        codec.text_attribute(key, value) if isinstance(value, str) else _encoded(codec, key, value)
        for key, value in given.items()
    ]
    for _ in range(2):
        found = [codec.attribute(raw) for raw in SOME.opaque(codec, raws)]
        hasher = Hasher(KEY)
        assert found == [
            KeyValue("kept", 1),
            KeyValue("user.id", hasher.hash("42")),
            KeyValue("enduser.name", hasher.hash("[1]")),
            KeyValue("user", "y"),
        ]
        assert found == SOME.decoded([codec.attribute(raw) for raw in raws])
    known = SOME._untouched[type(codec)]
    assert known == {raws[0], raws[4]}, "no bytes of what is dropped or hashed are kept"
    plain = [raws[0], raws[4]]
    assert SOME.opaque(codec, plain) == plain


def _encoded(codec: Codec, key: str, value: Any) -> bytes:
    if not codec.is_json:
        return attributes({key: value})[0].SerializeToString()
    item = {"arrayValue": {"values": [{"intValue": "1"}]}} if isinstance(value, list) else {"intValue": str(value)}
    return f'{{"key":"{key}","value":{item}}}'.replace("'", '"').encode()


def test_of_two_keys_in_one_attribute_the_last_counts() -> None:
    codec = ProtobufCodec()
    hidden = field(1, b"kept") + attributes({"user.id": "42"})[0].SerializeToString()
    (raw,) = SOME.opaque(codec, [hidden])
    assert codec.attribute(raw) == KeyValue("user.id", Hasher(KEY).hash("42"))
    assert b"42" not in raw.replace(Hasher(KEY).hash("42").encode(), b"")


def test_what_is_remembered_is_bounded() -> None:
    codec = JsonCodec()
    redaction = Redaction(Keys(frozenset({"password"})), Keys())
    for i in range(15_000):
        redaction.opaque(codec, [codec.text_attribute("k", str(i))])
    assert len(redaction._untouched[JsonCodec]) <= 10_000
    redaction.opaque(codec, [long := codec.text_attribute("k", "x" * 2000)])
    assert long not in redaction._untouched[JsonCodec]
    for key in ("password" + "x" * 2000, "password"):
        assert redaction.fate(key) == (DROPPED if key == "password" else KEPT)
        assert (key in redaction._fates) == (key == "password"), "whoever sends may make up keys of any length"


def test_without_the_key_what_is_to_be_hashed_is_dropped() -> None:
    codec = JsonCodec()
    keyless = Redaction(Keys(), Keys(frozenset({"user.id"})))
    assert keyless.opaque(codec, [codec.text_attribute("user.id", "42")]) == []
    assert keyless.decoded([KeyValue("user.id", 42), KeyValue("a", 1)]) == [KeyValue("a", 1)]


def test_what_is_dropped_need_not_be_readable_what_is_hashed_must() -> None:
    def broken(key: str) -> bytes:
        return b'{"key":"%b","value":{"intValue":"hunter2"}}' % key.encode()

    assert SOME.opaque(JsonCodec(), [broken("password")]) == []
    with pytest.raises(UndecodableBody) as caught:
        SOME.opaque(JsonCodec(), [broken("user.id")])
    assert str(caught.value) == "intValue: an integer of 64 bits is needed"
