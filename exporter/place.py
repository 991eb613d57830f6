"""What the records of one request share: where they go, under which time, and what was found odd about them.

Source: docs/architecture.md, "Times"; opentelemetry-proto `trace.proto`, `logs.proto`, `metrics.proto`.
"""

import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from exporter.dimensions import Entry, Kind, Known
from exporter.errors import UndecodableBody
from exporter.otlp.export import Json, request
from exporter.otlp.records import Codec, Refusal, ScopeRecords
from exporter.promotion import RESOURCE, SCOPE, Promotion

_INT64_LIMIT = 1 << 63
_UINT64 = 1 << 64
_EMPTY_IDS = frozenset((b"", bytes(8), bytes(16)))


def signed(value: int) -> int:
    """A uint64 as the same 64 bits in a bigint."""
    return value if value < _INT64_LIMIT else value - _UINT64


def signed32(value: int) -> int | None:
    """A uint32 as the same 32 bits in an int; None for 0, which most are."""
    return (value if value < 1 << 31 else value - (1 << 32)) or None


signed_id = struct.Struct(">q").unpack
"""A span id as a tuple of one bigint."""


def optional_id(intake: "Intake", raw: bytes, length: int) -> bytes | None:
    """A trace or span id that may be absent; one that is unusable is counted and left out."""
    if len(raw) == length and raw not in _EMPTY_IDS:
        return raw
    if raw:
        intake.codec.findings.sanitise("unreadable_id")
    return None


class Receipts:
    """Times of receipt in unix nanoseconds, each given once."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """Now, or a nanosecond after the last one."""
        self._last = max(self._last + 1, time.time_ns())
        return self._last


class Window(Struct, frozen=True):
    """Records whose own time lies in [low, high) are filed under it, others under their receipt (unix nanoseconds)."""

    low: int
    high: int
    receipts: Receipts

    def file(self, sent: int) -> tuple[int, int | None]:
        """(the time to file a record under, its uint64 time as sent or None where that is the same)."""
        return (sent, None) if self.low <= sent < self.high else (self.receipts.next(), signed(sent))


RECORD = 1 << 32
"""From one record's ordinal to the next one's; the data points of a metric are counted in between."""


class Part(Struct):
    """Records of one resource and scope; `ordinals` are their places in the body, by which they are found in it again.

    Every fact's row ends in its record's ordinal, beyond its table's columns.
    """

    records: Sequence[Any]
    ordinals: Sequence[int]
    group: ScopeRecords[Any]
    resource: Known
    scope: Known
    seen: int = 1
    """How often each of them is seen by this: not at all where they were before."""

    def again(self, records: Sequence[Any], ordinals: Sequence[int]) -> "Part":
        """Some of these records, once more."""
        return Part(records, ordinals, self.group, self.resource, self.scope, 0)


Missing = tuple[Kind, dict[bytes, Entry], list[Part]]
"""Rows of one dimension that have to be stored, by hash, and the parts to build again when they are."""


class Intake(Struct):
    """What all records of one request share; `refusals` grows by those that cannot be stored."""

    signal: str
    codec: Codec
    promotion: Promotion
    window: Window
    refusals: list[Refusal]
    late: bool = False
    """Whether any record is filed under the time of its receipt."""
    _group: ScopeRecords[Any] | None = None
    _context: bytes = b""

    def context(self, group: ScopeRecords[Any]) -> bytes:
        """The request around a group's records, as OTLP/JSON, without what may not be kept. Raises UndecodableBody."""
        if group is not self._group:
            resource, scope = self.codec.resource(group.resource), self.codec.scope(group.scope)
            for owner, of in ((RESOURCE, resource), (SCOPE, scope)):
                if (redaction := self.promotion.redaction(owner)) is not None:
                    of.attributes = redaction.decoded(of.attributes)
            around = [(resource, group.resource_schema_url, [(scope, group.scope_schema_url, ())])]
            self._group, self._context = group, msgspec.json.encode(request(self.signal, around))
        return self._context

    def file(self, sent: int) -> tuple[int, int | None]:
        """The same as `Window.file`; a record that is filed under its receipt is counted."""
        filed, kept = self.window.file(sent)
        if kept is not None:
            self.late = True
            self.codec.findings.sanitise("out_of_range_time")
        return filed, kept

    def refuse(self, part: Part, reason: str, message: str, original: Callable[[], Json], count: int = 1) -> None:
        """Refuse a record (or the `count` points of a metric); nothing else is lost with it.

        `original` gives the record as OTLP/JSON, for quarantine; it may raise UndecodableBody.
        """
        try:
            record = msgspec.json.encode(original())
        except UndecodableBody:
            record = b""
        self.refusals.append(Refusal(reason, message, record, count, self.context(part.group)))


class Rollup(Struct):
    """A statement that keeps a rollup up to date, with its columns and the parameters after them; what it returns is
    the first parameter of `follow_up`, before the same ones."""

    statement: str
    columns: list[list[Any]]
    bounds: tuple[object, ...]
    follow_up: str
