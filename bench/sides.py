"""The sides of a run by name, in the order of its first round."""

POSTEL, POSTEL_JSON = "Postel", "Postel, JSON"
REPEATED, JSONB, SEED, FLOOR = "J1", "J2", "S", "P0"
SEED_WITH_KEYS = "S+FK"
SIDES = (POSTEL, POSTEL_JSON, REPEATED, JSONB, SEED, FLOOR, SEED_WITH_KEYS)
FIRST_ROUND_ONLY = frozenset({SEED_WITH_KEYS})
"""For the record: foreign keys make it so slow that more rounds of it say nothing new."""


def order(sides: tuple[str, ...], number: int) -> list[str]:
    """The sides of round `number` (from 0) in their order, which rotates: a machine that slows down favours nobody."""
    these = [side for side in sides if not number or side not in FIRST_ROUND_ONLY]
    turn = number % len(these)
    return these[turn:] + these[:turn]
