"""Which attributes are promoted (typed and indexed) and which are dropped or hashed, for every signal and owner alike.

Source: the base list `config/attribute-promotion.yaml`, which no deployment can shorten, merged with the
administrator's overrides (`promote`, `drop`). Drop wins over hash, and over promote, also over the base list; what is
hashed is a string, and promoted as one.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from importlib.resources import files
from operator import or_
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct, structs
from yaml.nodes import MappingNode, Node

from exporter.documents import Document, quote
from exporter.errors import ConfigurationError
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.redaction import Hasher, Keys, Redaction
from exporter.redaction_bodies import BodyRules, compile_rule
from exporter.redaction_refused import Refused
from exporter.stamps import stamp

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


HASH, LOG_BODY = "hash", "log_body"
_DROP: Final = (*OWNERS, HASH, LOG_BODY)
_NO_DROPS: Final[Mapping[str, Keys]] = MappingProxyType(dict.fromkeys(OWNERS, Keys()))


class Promotion(Struct, frozen=True, eq=False):
    """What is in force: immutable, so that a reload swaps the whole of it.

    `promoted[owner][key]` is the set of types under which the key is promoted (dropped keys are not in it),
    `drops[owner]` the keys to remove before anything else sees them. Both hold every owner. `hashed` are the keys of
    which only a hash of the value stays, whosever they are, `bodies` the rules for log bodies.
    """

    promoted: Mapping[str, Mapping[str, frozenset[str]]]
    drops: Mapping[str, Keys]
    hashed: Keys = Keys()
    bodies: BodyRules | None = None
    redactions: Mapping[str, Redaction] = MappingProxyType({})
    refused: Refused | None = None
    """What becomes of refused records; None where they are kept as they came."""

    def __eq__(self, other: object) -> bool:
        """Whether the lists are the same, whatever was learned under them."""
        return isinstance(other, Promotion) and self._lists() == other._lists()

    def __ne__(self, other: object) -> bool:
        """A Struct has one of its own, which would compare identities."""
        return not self == other

    def _lists(self) -> tuple[object, ...]:
        bodies = self.bodies and ([rule.pattern for rule in self.bodies.expressions], self.bodies.members)
        return self.promoted, self.drops, self.hashed, bodies

    def keyed(self, key: bytes) -> "Promotion":
        """The same with the database's key, without which what is to be hashed is dropped."""
        return _in_force(self, Hasher(key))

    def redaction(self, owner: str) -> Redaction | None:
        """What becomes of an owner's attributes; None where they are stored as they come."""
        return self.redactions.get(owner)

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
    """Base list (None: the packaged one) merged with the overrides (None, or no such file: there are none; that one
    which somebody names is there is up to `settings.load`).

    Raises ConfigurationError naming file, line and key of everything that is wrong with the first bad file.
    """
    document = _packaged() if base is None else Document.read(base)
    found: _Found = {owner: {} for owner in OWNERS}
    _read_promotions(document, document.root, "", found)
    document.finish()
    if overrides is None or not _is_there(overrides):
        return _merged(found, _NO_DROPS, Keys(), None)
    return _merged(found, *_read_overrides(Document.read(overrides), found))


def _is_there(path: Path) -> bool:
    try:
        return stamp(path) is not None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None


def _packaged() -> Document:
    file = files("config").joinpath("attribute-promotion.yaml")
    return Document("config/attribute-promotion.yaml", file.read_bytes())


def _read_overrides(document: Document, found: _Found) -> tuple[Mapping[str, Keys], Keys, BodyRules | None]:
    drops = dict(_NO_DROPS)
    hashed, bodies = Keys(), None
    for entry in document.entries(document.root, legal=("promote", "drop")):
        if entry.key == "promote":
            _read_promotions(document, entry.value, entry.path, found)
            continue
        for section in document.entries(entry.value, entry.path, _DROP):
            if section.key == LOG_BODY:
                bodies = _body_rules(document, section.value, section.path)
            elif section.key == HASH:
                hashed = _list(document, section.value, section.path)
            else:
                drops[section.key] = _list(document, section.value, section.path)
    document.finish()
    return drops, hashed, bodies


def _read_promotions(document: Document, node: Node | None, path: str, found: _Found) -> None:
    for section in document.entries(node, path, OWNERS):
        for of_type in document.entries(section.value, section.path, TYPES):
            for key in _keys(document, of_type.value, of_type.path):
                found[section.key].setdefault(key, set()).add(of_type.key)


def _keys(document: Document, node: Node, path: str) -> Iterable[str]:
    for key, item, item_path in document.strings(node, path):
        if "*" in key:
            message = f"only what is dropped may be named by a pattern, name each key: {quote(key)}"
            document.problem(item, item_path, message)
        else:
            yield key


def _list(document: Document, node: Node, path: str) -> Keys:
    """Keys and patterns."""
    return _pattern_keys(document, document.strings(node, path))


def _pattern_keys(document: Document, strings: Iterable[tuple[str, Node, str]]) -> Keys:
    """Keys and patterns. Anything but a trailing star, taken literally, would match nothing: a secret that somebody
    meant to drop would be stored."""
    names, beginnings = set[str](), set[str]()
    for key, item, item_path in strings:
        if "*" not in key:
            names.add(key)
        elif key.index("*") == len(key) - 1 > 0:
            beginnings.add(key[:-1])
        else:
            document.problem(item, item_path, f"a pattern is a beginning and one star, such as user.*; is {quote(key)}")
    return Keys(frozenset(names), tuple(sorted(beginnings)))


def _body_rules(document: Document, node: Node, path: str) -> BodyRules | None:
    expressions: list[Any] = []
    members: list[tuple[str, Node, str]] = []
    for item, item_path in document.items(node, path, "regular expressions and {key: NAME}"):
        if isinstance(item, MappingNode):
            if not item.value:
                document.problem(item, item_path, "must name a member, such as {key: password}")
            for entry in document.entries(item, item_path, ("key",)):
                members += document.string(entry.value, entry.path)
            continue
        for expression, _, _ in document.string(item, item_path):
            try:
                expressions.append(compile_rule(expression))
            except ValueError as error:
                document.problem(item, item_path, f"is no regular expression of RE2: {quote(str(error))}")
    keys = _pattern_keys(document, members)
    return BodyRules(tuple(expressions), keys) if expressions or keys else None


def _merged(found: _Found, drops: Mapping[str, Keys], hashed: Keys, bodies: BodyRules | None) -> Promotion:
    promoted = {
        owner: MappingProxyType(
            {
                key: frozenset({STRING} if key in hashed else types)
                for key, types in keys.items()
                if key not in drops[owner]
            }
        )
        for owner, keys in found.items()
    }
    return _in_force(Promotion(MappingProxyType(promoted), MappingProxyType(dict(drops)), hashed, bodies), None)


def _in_force(lists: Promotion, hasher: Hasher | None) -> Promotion:
    each = {owner: Redaction(dropped, lists.hashed, hasher) for owner, dropped in lists.drops.items()}
    redactions = {owner: redaction for owner, redaction in each.items() if redaction.dropped or redaction.hashed}
    everywhere = Redaction(reduce(or_, lists.drops.values()), lists.hashed, hasher)
    refused = Refused(everywhere, lists.bodies) if redactions or lists.bodies else None
    return structs.replace(lists, redactions=MappingProxyType(redactions), refused=refused)
