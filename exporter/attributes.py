"""What becomes of attributes before anything stores them: redacted, deduplicated, limited; one rule for every owner."""

from collections.abc import Sequence

from msgspec import Struct

from exporter.otlp.anyvalue import to_json
from exporter.otlp.records import AnyValue, Codec, KeyValue, Opaque
from exporter.redaction import Redaction

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
    codec: Codec, attributes: Sequence[KeyValue], redaction: Redaction | None, limits: Limits
) -> tuple[dict[str, AnyValue], int]:
    """Decoded attributes as they are stored, and how many were cut or left out for their number or size.

    Of a key that stands twice the last wins, counted.
    """
    if redaction is not None:
        attributes = redaction.decoded(attributes)
    mapping = {a.key: a.value for a in attributes}
    if doubled := len(attributes) - len(mapping):
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


def to_object(attributes: dict[str, AnyValue]) -> bytes:
    """The stored JSON object of attributes (never an AnyValue itself, whatever its keys look like)."""
    return b"{%b}" % b",".join(to_json(key) + b":" + to_json(value) for key, value in attributes.items())


class Fragments:
    """Opaque attributes to the stored JSON object of a child row; those that repeat are known by their bytes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[type[Codec], dict[Opaque, tuple[str, bytes]]] = {}

    def to_object(
        self, codec: Codec, attributes: Sequence[Opaque], redaction: Redaction | None
    ) -> tuple[bytes | None, int]:
        """The object (None where it is empty), and how many attributes were cut or left out by the limits."""
        if redaction is not None:
            attributes = redaction.opaque(codec, attributes)
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
