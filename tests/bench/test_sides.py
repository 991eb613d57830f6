"""Every side has its turn in every round, but for those of the first one only, and every place once."""

from bench.sides import SEED_WITH_KEYS, SIDES, order


def test_order_rotates() -> None:
    rounds = [order(SIDES, number) for number in range(7)]
    assert rounds[0] == list(SIDES)
    for later in rounds[1:]:
        assert sorted(later) == sorted(set(SIDES) - {SEED_WITH_KEYS})
    assert {later[0] for later in rounds[1:]} == set(SIDES) - {SEED_WITH_KEYS}


def test_two_sides_alternate() -> None:
    assert [order(("a", "b"), number)[0] for number in range(4)] == ["a", "b", "a", "b"]
