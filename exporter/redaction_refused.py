"""Refused records as quarantine may keep them: JSON of any shape, as whoever sent it may have meant anything by it.

The lists of all owners hold everywhere in a record. Where something is named so that it had to be hashed, but is no
value of OTLP, it is removed.

Source: docs/redaction.md; docs/architecture.md, "Refused records".
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Struct

from exporter.errors import UndecodableBody
from exporter.otlp import json_wire as wire
from exporter.otlp.anyvalue import to_otlp
from exporter.otlp.json import JsonCodec
from exporter.otlp.records import LOGS, METRICS, SPANS, AnyValue
from exporter.redaction import HASHED, KEPT, Redaction
from exporter.redaction_bodies import BodyRules

_REMOVED = object()


def _fields(*messages: type[Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for message in messages for field in msgspec.structs.fields(message))


_NONE: Final[frozenset[str]] = frozenset()
_RECORDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {SPANS: _fields(wire.Span), LOGS: _fields(wire.LogRecord), METRICS: _fields(wire.Metric)}
)
_PARTS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "events": _fields(wire.Event),
        "links": _fields(wire.Link),
        "status": _fields(wire.Status),
        "dataPoints": _fields(
            wire.NumberDataPoint, wire.HistogramDataPoint, wire.ExponentialHistogramDataPoint, wire.SummaryDataPoint
        ),
        "exemplars": _fields(wire.Exemplar),
        "quantileValues": _fields(wire.ValueAtQuantile),
        "values": _fields(wire.KeyValue, wire.AnyValue),
        **dict.fromkeys(("gauge", "sum", "histogram", "exponentialHistogram", "summary"), _fields(wire.Data)),
        **dict.fromkeys(("positive", "negative"), _fields(wire.Buckets)),
        **dict.fromkeys(("attributes", "filteredAttributes", "metadata"), _fields(wire.KeyValue)),
        **dict.fromkeys(("body", "value"), _fields(wire.AnyValue)),
        **dict.fromkeys(("arrayValue", "kvlistValue"), _fields(wire.ArrayValue)),
    }
)
"""OTLP's own members of what lies in a member: those are no attributes, whatever the lists name."""


class Refused(Struct, frozen=True):
    """What becomes of refused records: `lists` are those of all owners together."""

    lists: Redaction
    bodies: BodyRules | None

    def redact(self, signal: str, record: bytes) -> bytes:
        """A refused record of a signal as it may be kept; b"" of what is no JSON."""
        try:
            found = self._item(msgspec.json.decode(record), _RECORDS[signal]) if record else _REMOVED
            if signal == LOGS and self.bodies is not None:
                found = self._log_record(found, self.bodies)
            return b"" if found is _REMOVED else msgspec.json.encode(found)
        except (msgspec.DecodeError, RecursionError):
            return b""

    def _log_record(self, record: Any, rules: BodyRules) -> Any:
        if not isinstance(record, dict):
            return _hidden(record, rules)
        return {
            # What OTLP does not know may be meant for the body: `Body`, `message`.
            name: _body(item, rules) if name == "body" else item if name in _RECORDS[LOGS] else _hidden(item, rules)
            for name, item in record.items()
            if name in _RECORDS[LOGS] or name not in rules.members
        }

    def _item(self, value: Any, own: frozenset[str]) -> Any:
        """A JSON value without what may not be kept, or _REMOVED; `own` are OTLP's names of members here."""
        if isinstance(value, list):
            if len(value) > 1 and any(isinstance(item, str) and self._is_listed(item) for item in value):
                # [key, value], perhaps.
                return _REMOVED
            return [found for item in value if (found := self._item(item, own)) is not _REMOVED]
        if not isinstance(value, dict):
            return value
        fate, key = max(((self.lists.fate(key), key) for key in _keys(value)), default=(KEPT, ""))
        if fate != KEPT:
            return self._hashed(key, value.get("value")) if fate == HASHED and value.get("key") == key else _REMOVED
        found = {
            name: self._item(item, _PARTS.get(name, _NONE) if name in own else _NONE)
            for name, item in value.items()
            if name in own or self.lists.fate(name) == KEPT
        }
        return {name: item for name, item in found.items() if item is not _REMOVED}

    def _is_listed(self, text: str) -> bool:
        """Whether a text is a key of the lists; it may be a value, so that nothing is to remember it."""
        return text in self.lists.dropped or text in self.lists.hashed

    def _hashed(self, key: str, value: Any) -> Any:
        try:
            decoded: AnyValue = JsonCodec().any_value(msgspec.json.encode(value))
        except UndecodableBody:
            return _REMOVED
        return {"key": key, "value": to_otlp(self.lists.hash(decoded))}


def _body(value: Any, rules: BodyRules) -> Any:
    try:
        return to_otlp(rules.read(JsonCodec(), msgspec.json.encode(value)))
    except UndecodableBody:
        return _hidden(value, rules)


def _hidden(value: Any, rules: BodyRules) -> Any:
    """A body of any shape: texts in it with what the rules match hidden, its keys as they are."""
    if isinstance(value, str):
        return rules.hide(value)
    if isinstance(value, list):
        return [_hidden(item, rules) for item in value if not _is_removed(item, rules)]
    if isinstance(value, dict):
        return {
            name: item if _is_key(name, value) else _hidden(item, rules)
            for name, item in value.items()
            if name not in rules.members and not _is_removed(item, rules)
        }
    return value


def _is_removed(item: Any, rules: BodyRules) -> bool:
    return isinstance(item, dict) and any(key in rules.members for key in _keys(item))


def _keys(value: dict[str, Any]) -> Iterator[str]:
    """The keys of what may be meant for an attribute: others write `Key`, or `name` beside `value`."""
    names = {name.lower() for name in value}
    naming = ("key", "name") if "value" in names else ("key",)
    return (item for name, item in value.items() if name.lower() in naming and isinstance(item, str))


def _is_key(name: str, around: dict[str, Any]) -> bool:
    """Whether a member names the value beside it."""
    return name == "key" and around.keys() == {"key", "value"}
