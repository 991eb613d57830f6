"""The verdict on attributes: what repeats stays in the series, what never comes back leaves it for good."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from exporter.attributes import Limits
from exporter.cardinality import MAX_INTERNED_BYTES, Cardinality, Head, Placed, Series
from exporter.otlp.anyvalue import identity
from exporter.otlp.protobuf import ProtobufCodec
from exporter.otlp.records import SPANS, AnyValue
from exporter.settings import Verdict
from tests.exporter.sending import any_value, field

CODEC = ProtobufCodec()
CONSTANTS = Verdict(
    new_value_share=0.8,
    min_distinct=16,
    max_distinct=64,
    series_tokens=50,
    records_per_series=4,
    recent_series=64,
)


def new_cardinality(max_attributes: int = 10_000, max_series: int = 10_000, **constants: Any) -> Cardinality:
    return Cardinality(SPANS, replace(CONSTANTS, **constants), Limits(100, 10_000), max_attributes, max_series)


def take(cardinality: Cardinality, *records: Mapping[str, Any]) -> list[Series]:
    """Do as the decode path does with a slice; returns the series that were not known, as if all were inserted."""
    known = dict(cardinality.series)
    for has in records:
        idents = [cardinality.intern(CODEC, raw(key, value))[0] for key, value in has.items()]
        place = tuple(ident for ident in idents if ident)
        series = cardinality.series.get(place) or cardinality.new_series(place, place, ["work"], ())
        series.records += 1
    cardinality.earn(len(records))
    fresh = [series for place, series in cardinality.series.items() if place not in known]
    if not cardinality.review():
        cardinality.spend(fresh)
    return fresh


def describe(head: Head) -> tuple[list[AnyValue], tuple[object, ...]]:
    return [*head], head


def placed(cardinality: Cardinality, *raws: bytes) -> Placed:
    """Where a record with these attributes goes."""
    return cardinality.placer(CODEC, describe)(("work",), raws)


def raw(key: str, value: Any) -> bytes:
    return KeyValue(key=key, value=any_value(value)).SerializeToString()


def test_an_attribute_is_decoded_once_and_known_by_its_bytes() -> None:
    cardinality = new_cardinality()
    assert cardinality.intern(CODEC, raw("k", "v"))[:2] == (1, "k")
    assert list(cardinality.interned(CODEC)) == [raw("k", "v")]
    assert cardinality.intern(CODEC, raw("k", "v"))[0] == 1
    assert cardinality.intern(CODEC, raw("k", 1))[0] == 2
    assert cardinality.intern(CODEC, raw("k", 1.0))[0] == 3
    assert cardinality.intern(CODEC, raw("k", True))[0] == 4


def test_a_key_that_never_repeats_leaves_and_others_stay() -> None:
    cardinality = new_cardinality()
    records = [{"user.id": f"u{i}", "method": "GET", "shard": i % 10} for i in range(40)]
    take(cardinality, *records)
    assert cardinality.high == {"user.id"}
    assert cardinality.untold == cardinality.left.weights() == {"user.id": 40}
    assert cardinality.intern(CODEC, raw("user.id", "u1")) == (0, "user.id", b'"user.id":"u1"')
    assert cardinality.intern(CODEC, raw("method", "GET"))[0]


def test_a_key_whose_values_come_back_stays() -> None:
    cardinality = new_cardinality(series_tokens=10_000)
    for turn in range(1, 20):
        take(cardinality, *({"shop": f"s{i}"} for i in range(3 * turn)))
    assert cardinality.high == set()


def test_a_key_with_more_values_than_are_watched_is_left_to_the_guard() -> None:
    cardinality = new_cardinality(series_tokens=100_000)
    for _ in range(4):
        take(cardinality, *({"item": f"i{i}"} for i in range(15)))
    for turn in range(30):
        take(cardinality, *({"item": f"i{i}"} for i in range(15)), {"item": f"n{turn}"})
    assert cardinality.high == set()


def test_the_guard_takes_the_keys_that_keep_series_apart() -> None:
    """Neither of two keys is new each time, their product is."""
    cardinality = new_cardinality(new_value_share=1.0)
    pairs = [{"x": i % 12, "y": i // 12, "kept": "k"} for i in range(144)]
    for start in range(0, 144, 12):
        take(cardinality, *pairs[start : start + 12])
    assert cardinality.high
    assert cardinality.high <= {"x", "y"}
    fresh = take(cardinality, *pairs)
    assert len(fresh) <= 24, "what is left does not multiply"


def test_the_guard_takes_all_keys_that_never_come_again_at_once() -> None:
    cardinality = new_cardinality()
    take(cardinality, *({f"key {i}": 1, "same": "s", "side": i % 3} for i in range(80)))
    unique = {key for key in cardinality.untold if key.startswith("key ")}
    assert len(unique) == 64, "of the recent series each had one"
    assert not {"same", "side"} & cardinality.high
    take(cardinality, *({f"other {i}": 1, "same": "s"} for i in range(80)))
    assert len(cardinality.untold) > 100


def test_after_many_keys_that_never_came_again_one_that_was_never_seen_starts_on_the_row() -> None:
    """For a while: a series for each of them would cost more than all else."""
    cardinality = new_cardinality()
    take(cardinality, *({f"key {i}": 1, "same": "s", "side": i % 3} for i in range(80)))
    assert len(cardinality.series) > 50
    before = len(cardinality.series)
    take(cardinality, *({f"other {i}": 1, "same": "s", "side": i % 3} for i in range(100)))
    assert cardinality.untold.keys() >= {f"other {i}" for i in range(100)} <= cardinality.high
    assert len(cardinality.series) <= before + 3
    assert not {"same", "side"} & cardinality.high
    take(cardinality, *[{"same": "s"}] * CONSTANTS.series_tokens * CONSTANTS.records_per_series)
    take(cardinality, {"new": 1})
    assert "new" not in cardinality.high


def test_what_was_forgotten_is_not_taken_for_never_seen() -> None:
    cardinality = new_cardinality()
    take(cardinality, *({f"key {i}": 1, "same": "s"} for i in range(80)))
    assert "key 70" in cardinality.high
    cardinality.forget()
    take(cardinality, {"same": "s"}, {"other": 1})
    cardinality.forget()
    take(cardinality, {"same": "s"}, {"other": 1})
    assert "same" not in cardinality.high and "other" in cardinality.high


def test_the_guard_takes_no_key_while_series_have_their_records() -> None:
    cardinality = new_cardinality(series_tokens=8)
    for i in range(200):
        take(cardinality, *[{"version": i}] * 8)
    assert cardinality.high == set()


def test_a_verdict_is_final_and_is_taken_over_from_others() -> None:
    cardinality = new_cardinality()
    cardinality.intern(CODEC, raw("a", 1))
    cardinality.intern(CODEC, raw("b", 1))
    cardinality.learn(["a", "c"])
    assert cardinality.high == {"a", "c"}
    assert cardinality.untold == {}, "others know already"
    assert list(cardinality.interned(CODEC)) == [raw("b", 1)]
    cardinality.forget()
    assert cardinality.high == {"a", "c"}
    assert cardinality.intern(CODEC, raw("a", 1))[0] == 0


@pytest.mark.parametrize(("attributes", "series"), [(5, 1000), (1000, 5)])
def test_caches_are_bounded(attributes: int, series: int) -> None:
    cardinality = new_cardinality(attributes, series, min_distinct=10_000, series_tokens=10_000)
    for i in range(50):
        take(cardinality, {"k": i})
        cardinality.trim()
        assert len(cardinality.series) <= 6
        assert len(cardinality.interned(CODEC)) <= 6


def test_a_long_value_lies_on_its_row_and_a_longer_one_is_cut() -> None:
    cardinality = new_cardinality()
    ident, key, json = cardinality.intern(CODEC, raw("k", "x" * MAX_INTERNED_BYTES))
    assert (ident, key, len(json)) == (0, "k", MAX_INTERNED_BYTES + 6)
    assert cardinality.interned(CODEC) == {}
    assert cardinality.clipped == 0
    assert len(cardinality.intern(CODEC, raw("k", "x" * 10_001))[2]) == 10_006
    assert cardinality.clipped == 1


def test_of_a_key_that_stands_twice_the_last_wins_wherever_it_lies() -> None:
    long, other = "x" * MAX_INTERNED_BYTES, "y" * MAX_INTERNED_BYTES
    cardinality = new_cardinality()
    for values, on_row in (
        ((long, "short"), None),
        (("short", long), long),
        ((long, "short", other), other),
        ((long, "short", other, "short"), None),
    ):
        _, found = placed(cardinality, *(raw("k", value) for value in values))
        assert found == (None if on_row is None else f'{{"k":"{on_row}"}}'.encode())


def test_a_key_in_front_of_another_is_not_taken_for_it() -> None:
    """An attribute with two keys has the second: the first one's bytes must not stand for it."""
    cardinality = new_cardinality()
    cardinality.learn(["high"])
    assert cardinality.intern(CODEC, field(1, b"low") + raw("high", "v"))[1] == "high"
    assert placed(cardinality, raw("low", "v"))[1] is None


def test_what_is_placed_again_goes_where_it_went_before() -> None:
    cardinality = new_cardinality()
    cardinality.learn(["user", "order"])
    for values in (("GET", "u1", 1), ("GET", "u1", 1), ("GET", "u2", 2), ("PUT", "u2", 2)):
        method, user, order = values
        attributes = [raw("user", user), raw("method", method), raw("order", order)]
        series, found = placed(cardinality, *attributes)
        assert series.row.attributes == {"method": method}
        assert series.on_row == (0, 2)
        assert found == f'{{"user":"{user}","order":{order}}}'.encode()
    assert len(cardinality.series) == 2


def test_a_key_that_stands_twice_on_the_row_is_counted_each_time() -> None:
    codec, cardinality = ProtobufCodec(), new_cardinality()
    cardinality.learn(["high"])
    for times in (1, 2, 3):
        _, found = placed(cardinality, raw("high", 1), raw("high", times))
        assert found == f'{{"high":{times}}}'.encode()
        assert cardinality.count_odd(codec, 0) == 0
        assert codec.findings.sanitised == {"duplicate_key": times}


def test_a_series_of_a_key_that_stands_twice_is_counted_each_time() -> None:
    codec, cardinality = ProtobufCodec(), new_cardinality()
    for times in (1, 2, 3):
        series, _ = placed(cardinality, raw("low", 1), raw("low", 2))
        assert series.row.attributes == {"low": 2}
        assert cardinality.count_odd(codec, 0) == 0
        assert codec.findings.sanitised == {"duplicate_key": times}
    placed(cardinality, raw("low", 1), raw("low", 2))
    cardinality.forget_odd()
    cardinality.count_odd(codec, 0)
    assert codec.findings.sanitised == {"duplicate_key": 3}, "the record is placed again"


def test_a_key_that_leaves_its_series_lies_on_the_row_of_the_next_record() -> None:
    cardinality = new_cardinality()
    before, _ = placed(cardinality, raw("k", "v"))
    cardinality.learn(["k"])
    after, found = placed(cardinality, raw("k", "v"))
    assert (before.row.attributes, after.row.attributes, found) == ({"k": "v"}, {}, b'{"k":"v"}')


def test_a_series_knows_its_attributes_by_what_they_are() -> None:
    cardinality = new_cardinality()
    one, two = [cardinality.intern(CODEC, raw(key, 1))[0] for key in ("a", "b")]
    first = cardinality.new_series((1,), [one, two], ["work"], (7,))
    assert first.row.columns == (7, b'{"a":1,"b":1}')
    assert first.hash == identity("work", {"a": 1, "b": 1})
    assert cardinality.new_series((2,), [two, one], ["work"], (7,)).hash == first.hash
    assert cardinality.new_series((3,), [one], ["work"], (7,)).hash != first.hash
    assert cardinality.new_series((4,), [one, two], ["other"], (7,)).hash != first.hash
    again = cardinality.intern(CODEC, raw("a", 2))[0]
    doubled = cardinality.new_series((5,), [one, two, again], ["work"], (7,))
    assert (doubled.duplicates, doubled.row.attributes) == (1, {"a": 2, "b": 1})
