"""What becomes of attributes that may not be stored as they were sent: dropped, or a keyed hash in place of the value.

It happens before anything else sees them: before identities are hashed, before caches, logs, quarantine and tables.
The bytes of what is dropped or hashed are nobody's cache key.

Source: docs/redaction.md; docs/decisions/0021-redaction.md; RFC 7693 (BLAKE2).
"""

import hashlib
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from exporter.otlp.anyvalue import to_text
from exporter.otlp.records import AnyValue, Codec, KeyValue, Opaque

_NOTHING: frozenset[str] = frozenset()
_VALUE_BYTES, _SEAL_BYTES = 10, 6
_HASH_CHARACTERS = 2 * (_VALUE_BYTES + _SEAL_BYTES)
_MAX_UNTOUCHED, _MAX_UNTOUCHED_BYTES = 20_000, 1024


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


class Hasher:
    """Values to 32 lower-case hex characters, by a key that all replicas of a database share.

    Twelve of them vouch for the others: a hash is known as one by whoever has the key, and stays what it is. So what
    quarantine or an export gives back is not hashed twice.
    """

    def __init__(self, key: bytes) -> None:
        self._value = hashlib.blake2b(key=key, digest_size=_VALUE_BYTES, person=b"postel value")
        self._seal = hashlib.blake2b(key=key, digest_size=_SEAL_BYTES, person=b"postel seal")

    def hash(self, value: AnyValue) -> str:
        """The hash of a value's text: 42 and "42" have the same."""
        text = to_text(value)
        if len(text) == _HASH_CHARACTERS and text == self._sealed(text[: 2 * _VALUE_BYTES]):
            return text
        digest = self._value.copy()
        digest.update(text.encode())
        return self._sealed(digest.hexdigest())

    def _sealed(self, head: str) -> str:
        seal = self._seal.copy()
        seal.update(head.encode())
        return head + seal.hexdigest()


class Redaction(Struct, frozen=True):
    """What becomes of one owner's attributes. While the key is not known, what is to be hashed is dropped."""

    dropped: Keys
    hashed: Keys
    hasher: Hasher | None = None
    _untouched: dict[type[Codec], set[Opaque]] = field(default_factory=dict)
    """Short attributes that may be stored, by their bytes: most come again."""

    def opaque(self, codec: Codec, raws: Sequence[Opaque]) -> Sequence[Opaque]:
        """Opaque attributes as they may be stored, in the codec's own encoding. Raises UndecodableBody."""
        untouched = self._untouched.get(type(codec))
        if untouched is None:
            untouched = self._untouched[type(codec)] = set()
        if untouched.issuperset(raws):
            return raws
        found: list[Opaque] = []
        for raw in raws:
            if raw not in untouched:
                key = codec.attribute_key(raw)
                if self.drops(key):
                    continue
                if self.hasher is not None and key in self.hashed:
                    raw = codec.text_attribute(key, self.hasher.hash(codec.attribute(raw).value))
                elif len(raw) <= _MAX_UNTOUCHED_BYTES:
                    if len(untouched) >= _MAX_UNTOUCHED:
                        untouched.clear()
                    untouched.add(raw)
            found.append(raw)
        return found

    def decoded(self, attributes: Iterable[KeyValue]) -> list[KeyValue]:
        """Decoded attributes as they may be stored."""
        kept = [attribute for attribute in attributes if not self.drops(attribute.key)]
        hasher = self.hasher
        if hasher is None:
            return kept
        return [KeyValue(a.key, hasher.hash(a.value)) if a.key in self.hashed else a for a in kept]

    def drops(self, key: str) -> bool:
        """Whether nothing of an attribute stays."""
        return key in self.dropped or (self.hasher is None and key in self.hashed)
