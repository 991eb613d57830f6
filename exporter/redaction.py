"""What becomes of attributes that may not be stored as they were sent: dropped, or a keyed hash in place of the value.

It happens before anything else sees them: before identities are hashed, before caches, logs, quarantine and tables.
The bytes of what is dropped or hashed are nobody's cache key.

Source: docs/redaction.md; docs/decisions/0021-redaction.md; RFC 7693 (BLAKE2).
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from msgspec import Struct, field

from exporter.otlp.anyvalue import to_text
from exporter.otlp.records import AnyValue, Codec, KeyValue, Opaque

_NOTHING: frozenset[str] = frozenset()
_VALUE_BYTES, _SEAL_BYTES = 10, 6
_HASH_CHARACTERS = 2 * (_VALUE_BYTES + _SEAL_BYTES)
_MAX_UNTOUCHED, _MAX_UNTOUCHED_BYTES, _MAX_FATES, _MAX_FATE_CHARACTERS = 10_000, 256, 10_000, 256
KEPT, HASHED, DROPPED = 1, 2, 3


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

    def written(self) -> list[str]:
        """The entries as a file has them."""
        return [*sorted(self.names), *(f"{beginning}*" for beginning in self.beginnings)]


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
    _fates: dict[str, int] = field(default_factory=dict)
    """What becomes of the keys that were asked for; not of long ones, which anybody may make up."""
    _secret: bytes = field(default_factory=partial(os.urandom, 32))

    def opaque(self, codec: Codec, raws: Sequence[Opaque]) -> Sequence[Opaque]:
        """Opaque attributes as they may be stored, in the codec's own encoding. Raises UndecodableBody."""
        untouched = self._untouched.get(type(codec))
        if untouched is None:
            untouched = self._untouched[type(codec)] = set()
        # A protobuf message makes its attributes anew each time somebody looks.
        raws = raws[:]
        if untouched.issuperset(raws):
            return raws
        found: list[Opaque] = []
        for raw in raws:
            if raw not in untouched:
                key = codec.attribute_key(raw)
                fate = self._fates.get(key) or self.fate(key)
                if fate == DROPPED:
                    continue
                if fate == HASHED:
                    raw = codec.text_attribute(key, self.hash(codec.attribute(raw).value))
                elif len(raw) <= _MAX_UNTOUCHED_BYTES:
                    if len(untouched) >= _MAX_UNTOUCHED:
                        untouched.clear()
                    untouched.add(raw)
            found.append(raw)
        return found

    def decoded(self, attributes: Iterable[KeyValue]) -> list[KeyValue]:
        """Decoded attributes as they may be stored."""
        kept = [(attribute, fate) for attribute in attributes if (fate := self.fate(attribute.key)) != DROPPED]
        return [KeyValue(a.key, self.hash(a.value)) if fate == HASHED else a for a, fate in kept]

    def fate(self, key: str) -> int:
        """What becomes of the attributes of a key: KEPT, HASHED or DROPPED."""
        fate = self._fates.get(key)
        if fate is None:
            is_hashed = key in self.hashed
            is_dropped = key in self.dropped or (is_hashed and self.hasher is None)
            fate = DROPPED if is_dropped else HASHED if is_hashed else KEPT
            if len(key) <= _MAX_FATE_CHARACTERS:
                if len(self._fates) >= _MAX_FATES:
                    self._fates.clear()
                self._fates[key] = fate
        return fate

    def digest(self, raw: Opaque) -> bytes:
        """What bytes can be known by that may hold what is dropped or hashed; under other lists by something else."""
        return hashlib.blake2b(raw, key=self._secret).digest()

    def hash(self, value: AnyValue) -> str:
        """What is stored in place of a value that is to be hashed."""
        assert self.hasher is not None
        return self.hasher.hash(value)


def cache_key(redaction: Redaction | None) -> Callable[[Opaque], bytes]:
    """What stands for an owner's bytes in a cache: nothing may keep those that are redacted."""
    return bytes if redaction is None else redaction.digest
