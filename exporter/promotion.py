"""Which attributes are promoted (typed and indexed) and which are dropped, for every signal and owner alike.

Source: the base list `config/attribute-promotion.yaml`, which no deployment can shorten, merged with the
administrator's overrides (`promote`, `drop`). Drop wins over promote, also over the base list.
"""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from yaml.nodes import Node

from exporter.documents import Document
from exporter.otlp.records import LOGS, METRICS, SPANS

RESOURCE, SCOPE, SPAN_EVENTS, SPAN_LINKS = "resource", "scope", "span_events", "span_links"
OWNERS: Final = (RESOURCE, SCOPE, LOGS, SPANS, SPAN_EVENTS, SPAN_LINKS, METRICS)
"""What can carry attributes; `metrics` stands for data points and, in drop lists, for their exemplars too."""
SIGNALS: Final = (SPANS, LOGS, METRICS, RESOURCE, SCOPE)
"""Of these the read API lists attributes."""

STRING, INT, DOUBLE, BOOL, BYTES = "string", "int", "double", "bool", "bytes"
TYPES: Final = (STRING, INT, DOUBLE, BOOL, BYTES)
TYPE_OF: Final[Mapping[type, str]] = MappingProxyType({str: STRING, int: INT, float: DOUBLE, bool: BOOL, bytes: BYTES})
"""Python's type of a decoded value -> its name here; null, arrays and maps cannot be promoted."""

_NOTHING: Final[frozenset[str]] = frozenset()
_Found = dict[str, dict[str, set[str]]]


class Keys(Struct, frozen=True):
    """A list of attribute keys: some by name, some by how they begin (`user.*`)."""

    names: frozenset[str] = _NOTHING
    beginnings: tuple[str, ...] = ()

    def __contains__(self, key: str) -> bool:
        """Whether the list has a key."""
        return key in self.names or key.startswith(self.beginnings)

    def __len__(self) -> int:
        """How many entries it has."""
        return len(self.names) + len(self.beginnings)

    def __or__(self, other: "Keys") -> "Keys":
        """The keys of both."""
        return Keys(self.names | other.names, tuple(sorted({*self.beginnings, *other.beginnings})))


_NO_DROPS: Final[Mapping[str, Keys]] = MappingProxyType(dict.fromkeys(OWNERS, Keys()))


class Promotion(Struct, frozen=True):
    """What is in force: immutable, so that a reload swaps the whole of it.

    `promoted[owner][key]` is the set of types under which the key is promoted (dropped keys are not in it),
    `drops[owner]` the keys to remove before anything else sees them. Both hold every owner.
    """

    promoted: Mapping[str, Mapping[str, frozenset[str]]]
    drops: Mapping[str, Keys]

    def promoted_types(self, owner: str, key: str) -> frozenset[str]:
        """The types under which `key` is promoted; empty where it is not."""
        return self.promoted[owner].get(key, _NOTHING)

    def is_promoted(self, owner: str, key: str, value: object) -> bool:
        """Whether this very value goes to a typed, indexed place."""
        return TYPE_OF.get(type(value)) in self.promoted_types(owner, key)

    def dropped(self, owner: str) -> Keys:
        """The keys that are never stored for this owner."""
        return self.drops[owner]


def load(base: Path | None = None, overrides: Path | None = None) -> Promotion:
    """Base list (None: the packaged one) merged with the overrides (None: there are none).

    Raises ConfigurationError naming file, line and key of everything that is wrong with the first bad file.
    """
    document = _packaged() if base is None else Document.read(base)
    found: _Found = {owner: {} for owner in OWNERS}
    _read_promotions(document, document.root, "", found)
    document.finish()
    drops = _NO_DROPS if overrides is None else _read_overrides(Document.read(overrides), found)
    return _merged(found, drops)


def _packaged() -> Document:
    file = files("config").joinpath("attribute-promotion.yaml")
    return Document("config/attribute-promotion.yaml", file.read_bytes())


def _read_overrides(document: Document, found: _Found) -> Mapping[str, Keys]:
    drops = dict(_NO_DROPS)
    for entry in document.entries(document.root, legal=("promote", "drop")):
        if entry.key == "promote":
            _read_promotions(document, entry.value, entry.path, found)
            continue
        for section in document.entries(entry.value, entry.path, OWNERS):
            drops[section.key] = _list(document, section.value, section.path)
    document.finish()
    return drops


def _read_promotions(document: Document, node: Node | None, path: str, found: _Found) -> None:
    for section in document.entries(node, path, OWNERS):
        for of_type in document.entries(section.value, section.path, TYPES):
            for key in _keys(document, of_type.value, of_type.path):
                found[section.key].setdefault(key, set()).add(of_type.key)


def _keys(document: Document, node: Node, path: str) -> Iterable[str]:
    for key, item, item_path in document.strings(node, path):
        if "*" in key:
            document.problem(item, item_path, f"only what is dropped may be named by a pattern, name each key: {key}")
        else:
            yield key


def _list(document: Document, node: Node, path: str) -> Keys:
    """Keys and patterns. Anything but a trailing star, taken literally, would match nothing: a secret that somebody
    meant to drop would be stored."""
    names, beginnings = set[str](), set[str]()
    for key, item, item_path in document.strings(node, path):
        if "*" not in key:
            names.add(key)
        elif key.index("*") == len(key) - 1 > 0:
            beginnings.add(key[:-1])
        else:
            document.problem(item, item_path, f"a pattern is a beginning and one star, such as user.*; is {key}")
    return Keys(frozenset(names), tuple(sorted(beginnings)))


def _merged(found: _Found, drops: Mapping[str, Keys]) -> Promotion:
    promoted = {
        owner: MappingProxyType({key: frozenset(types) for key, types in keys.items() if key not in drops[owner]})
        for owner, keys in found.items()
    }
    return Promotion(MappingProxyType(promoted), MappingProxyType(dict(drops)))
