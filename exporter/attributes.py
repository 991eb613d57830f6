"""What becomes of attributes before anything stores them: dropped, deduplicated, limited; one rule for every owner."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from exporter.otlp.anyvalue import to_json
from exporter.otlp.records import AnyValue, Codec, KeyValue, Opaque
from exporter.promotion import Keys

MANY = 1 << 62
_MAX_FRAGMENTS, _MAX_FRAGMENT_BYTES = 20_000, 1024


class Limits(Struct, frozen=True):
    """How many attributes a record keeps, and how long a value may be; more is counted as dropped."""

    max_attributes: int = MANY
    max_value_bytes: int = MANY

    def clip(self, value: AnyValue) -> AnyValue:
        """The value, or as much of it as is kept: the beginning of a string or of bytes, of anything else of its
        JSON text. `clip(value) is value` tells that nothing was cut."""
        limit = self.max_value_bytes
        if isinstance(value, str):
            # At most four bytes a character: most values need not be encoded to be measured.
            if len(value) * 4 <= limit or len(data := value.encode()) <= limit:
                return value
            return data[:limit].decode(errors="ignore")
        if isinstance(value, bytes):
            return value[:limit] if len(value) > limit else value
        if isinstance(value, list | dict) and len(data := to_json(value)) > limit:
            return data[:limit].decode(errors="ignore")
        return value


def settle(
    codec: Codec, attributes: Sequence[KeyValue], dropped: Keys, limits: Limits
) -> tuple[dict[str, AnyValue], int]:
    """Decoded attributes as they are stored, and how many were cut or left out for their number or size.

    Those named in `dropped` are gone; of a key that stands twice the last wins, counted.
    """
    mapping = {a.key: a.value for a in attributes if a.key not in dropped}
    if len(mapping) < len(attributes):
        doubled = len(attributes) - len(mapping) - sum(a.key in dropped for a in attributes)
        if doubled:
            codec.findings.sanitise("duplicate_key", doubled)
    cut = max(0, len(mapping) - limits.max_attributes)
    if cut:
        mapping = dict(list(mapping.items())[: limits.max_attributes])
    for key, value in mapping.items():
        clipped = limits.clip(value)
        if clipped is not value:
            mapping[key] = clipped
            cut += 1
    if cut:
        codec.findings.sanitise("truncated_attribute", cut)
    return mapping, cut


def without(codec: Codec, attributes: Sequence[Opaque], dropped: Keys) -> Sequence[Opaque]:
    """Opaque attributes without those named in `dropped`."""
    return [raw for raw in attributes if codec.attribute_key(raw) not in dropped]


def redact(record: bytes, dropped: Keys) -> bytes:
    """A refused record, JSON of any shape, without what is dropped: attributes, or members that are named so."""
    if not record or not dropped:
        return record
    try:
        return msgspec.json.encode(_redacted(msgspec.json.decode(record), dropped))
    except (msgspec.DecodeError, RecursionError):
        return b""


def _redacted(value: Any, dropped: Keys) -> Any:
    if isinstance(value, list):
        return [_redacted(item, dropped) for item in value if not _is_dropped(item, dropped)]
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if name not in dropped and not _is_dropped(item, dropped)}
        return {name: _redacted(item, dropped) for name, item in kept.items()}
    return value


def _is_dropped(item: Any, dropped: Keys) -> bool:
    # Of a record that is not of its type the key may be anything.
    return isinstance(item, dict) and isinstance(key := item.get("key"), str) and key in dropped


def to_object(attributes: dict[str, AnyValue]) -> bytes:
    """The stored JSON object of attributes (never an AnyValue itself, whatever its keys look like)."""
    return b"{%b}" % b",".join(to_json(key) + b":" + to_json(value) for key, value in attributes.items())


class Fragments:
    """Opaque attributes to the stored JSON object of a child row; those that repeat are known by their bytes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[type[Codec], dict[Opaque, tuple[str, bytes]]] = {}

    def to_object(self, codec: Codec, attributes: Sequence[Opaque], dropped: Keys) -> tuple[bytes | None, int]:
        """The object (None where it is empty), and how many attributes were cut or left out by the limits."""
        if dropped:
            attributes = without(codec, attributes, dropped)
        known = self._known.setdefault(type(codec), {})
        if len(known) > _MAX_FRAGMENTS:
            known.clear()
        row: dict[str, bytes] = {}
        cut = max(0, len(attributes) - self._limits.max_attributes)
        for raw in attributes[: self._limits.max_attributes]:
            fragment = known.get(raw)
            if fragment is None:
                attribute = codec.attribute(raw)
                value = self._limits.clip(attribute.value)
                fragment = attribute.key, to_json(attribute.key) + b":" + to_json(value)
                if value is not attribute.value:
                    cut += 1
                elif len(raw) <= _MAX_FRAGMENT_BYTES:
                    known[raw] = fragment
            row[fragment[0]] = fragment[1]
        if doubled := min(len(attributes), self._limits.max_attributes) - len(row):
            codec.findings.sanitise("duplicate_key", doubled)
        if cut:
            codec.findings.sanitise("truncated_attribute", cut)
        return (b"{%b}" % b",".join(row.values()) if row else None), cut
