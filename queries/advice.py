"""What to promote and what to drop, as an overrides file that is ready to be pasted.

What is promoted is filtered on often or slowly; what may be dropped costs much and nobody ever asked for it, which only
people can judge: such entries stand behind a `#`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import yaml
from msgspec import Struct

from queries import text_values
from queries.answers_attributes import Attribute
from queries.filtered import Key, Use, key_of
from queries.sampling import SIGNAL_OF, Cost, Costs, share
from queries.storage import Stored

OFTEN: Final = 100
"""What was filtered on so many times is promoted."""
SLOWLY_S: Final = 0.5
"""And what took so long each time, once that was so at least SLOWLY times."""
SLOWLY: Final = 5
LARGE_SHARE: Final = 0.05
"""What takes so much of its signal may be dropped."""
LARGE_BYTES: Final = 1 << 20
"""And at least so much: a few records more or less say nothing."""
MOST: Final = 20
"""How many keys are suggested of each kind, those that gain most."""
PROMOTABLE: Final = ("string", "int", "double", "bool", "bytes")
"""Types that promotion lists know."""
DROPPABLE: Final = ("spans", "span_events", "span_links", "logs")
"""Whose attributes may go without harm: those of points tell series apart, and dimensions are small."""

_PROMOTE = "## Filtered on often or slowly, and not promoted:"
_DROP = "## Takes much, and was never filtered on. To drop it, take away the # before it and its headings:"


class _Entry(Struct):
    """A line of a list, below its headings, and what it gains."""

    headings: tuple[str, ...]
    key: str
    why: str
    gain: float


def suggest(
    attributes: Iterable[Attribute],
    costs: Costs,
    uses: Mapping[Key, Use],
    stored: Stored,
    promoted: Mapping[str, Mapping[str, frozenset[str]]],
) -> str | None:
    """The text of an overrides file; None where there is nothing to be suggested."""
    promotions = [entry for attribute in attributes for entry in _promotions(attribute)]
    drops = [
        _drop(stored, owner, key, cost)
        for (owner, key), cost in costs.items()
        if owner in DROPPABLE
        and cost.bytes >= LARGE_BYTES
        and share(stored, owner, cost) >= LARGE_SHARE
        and key_of(owner, key) not in uses
        and key not in promoted[owner]
    ]
    lines = _section("promote", _PROMOTE, promotions, "") + _section("drop", _DROP, drops, "# ")
    return "".join(f"{line}\n" for line in lines) or None


def _promotions(found: Attribute) -> list[_Entry]:
    if found.promoted or not (found.filtered >= OFTEN or _is_slow(found)):
        return []
    mean = text_values.duration(round(found.filter_seconds / found.filtered * 1e9))
    why = f"filtered on {found.filtered:,} times, {mean} each"
    types = [kind for kind in found.types if kind in PROMOTABLE]
    return [_Entry((found.signal, kind), found.key, why, found.filter_seconds) for kind in types]


def _is_slow(found: Attribute) -> bool:
    return found.filtered >= SLOWLY and found.filter_seconds >= SLOWLY_S * found.filtered


def _drop(stored: Stored, owner: str, key: str, cost: Cost) -> _Entry:
    per_day = stored.per_day(SIGNAL_OF.get(owner, owner), cost.row_bytes)
    size, saved = (text_values.quantity(round(found), "By") for found in (cost.bytes, per_day))
    why = f"{size}, {share(stored, owner, cost):.0%} of {SIGNAL_OF.get(owner, owner)}; saves {saved} a day"
    return _Entry((owner,), key, why, cost.bytes)


def _section(name: str, about: str, entries: Sequence[_Entry], mark: str) -> list[str]:
    """A section of the file, with a comment for each key."""
    # A star would be a pattern, and an empty key matches what has no name.
    known = sorted((entry for entry in entries if entry.key and "*" not in entry.key), key=lambda entry: -entry.gain)
    if not known:
        return []
    lines = [about, f"{mark}{name}:"]
    before: tuple[str, ...] = ()
    for entry in sorted(known[:MOST], key=lambda entry: (entry.headings, -entry.gain)):
        for depth, heading in enumerate(entry.headings, 1):
            if before[:depth] != entry.headings[:depth]:
                lines.append(f"{mark}{'  ' * depth}{heading}:")
        before = entry.headings
        indent = "  " * (len(entry.headings) + 1)
        lines.append(f"{mark}{indent}- {_quoted(entry.key)}  # {entry.why}")
    return lines


def _quoted(key: str) -> str:
    """A key as YAML reads it back, on one line whatever it holds."""
    for style in (None, '"'):
        text: str = yaml.safe_dump([key], default_flow_style=True, default_style=style, width=float("inf")).strip()
        if "\n" not in text:
            break
    return text[1:-1]
