"""Log records: records to rows.

Source: opentelemetry-proto `logs.proto`; sql/migrations/0005_logs.sql; RFC 9562 for the ids of uncorrelated logs.
"""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from operator import attrgetter
from random import getrandbits
from typing import Any

from exporter import columns
from exporter.cardinality import Cardinality, Head
from exporter.dimensions import LOG_SERIES, Dimensions, Entry
from exporter.errors import UndecodableBody
from exporter.otlp import export
from exporter.otlp.anyvalue import escape_nul, to_json
from exporter.otlp.records import LOGS, AnyValue, Codec, LogRecord, ScopeRecords
from exporter.place import Intake, Missing, Part, optional_id, signed, signed32, signed_id

Row = tuple[Any, ...]
_fields = attrgetter(*LogRecord.__struct_fields__)
_INT64_MAX = (1 << 63) - 1


class Logs:
    """The logs signal."""

    name = LOGS
    facts = 1
    tables = (columns.LOGS,)
    finder = None

    def __init__(self, cardinality: Cardinality, dimensions: Dimensions) -> None:
        self.cardinality = cardinality
        self._dimensions = dimensions

    def records(self, codec: Codec, body: bytes) -> Iterable[ScopeRecords[LogRecord]]:
        """The records of a request's body."""
        return codec.logs(body)

    def original(self, codec: Codec, record: LogRecord, _ordinal: int | None) -> export.Json:
        """A record as OTLP/JSON. Raises UndecodableBody."""
        return export.refused_log_record(codec, record)

    def count(self, _record: LogRecord) -> int:
        """How many records of the signal one stands for."""
        return 1

    def roll_up(self, rows: Sequence[Row]) -> None:
        """There is no rollup of logs."""

    def build(self, intake: Intake, chunk: Sequence[Part], out: Sequence[list[Row]]) -> Missing:
        """Add the rows of `chunk` to `out`, a list per table; records that need dimension rows stored first are left
        out, and returned to be built again."""
        codec, cardinality = intake.codec, self.cardinality
        place, resolve = cardinality.placer(codec, _describe), self._dimensions.resolve
        low, high, any_value = intake.window.low, intake.window.high, codec.any_value
        redaction, bodies = intake.promotion.redaction(LOGS), intake.promotion.bodies
        if bodies is not None:
            any_value = partial(bodies.read, codec)
        max_attributes = cardinality.limits.max_attributes
        receipt_ms = time.time_ns() // 1_000_000
        missing: dict[bytes, Entry] = {}
        again: list[Part] = []
        put = out[0].append
        for part in chunk:
            later: list[LogRecord] = []
            places: list[int] = []
            resource_id, scope, seen = part.resource[0], part.scope, part.seen
            for ordinal, log, (
                filed,
                observed,
                number,
                severity,
                event,
                body,
                raws,
                trace_id,
                span_id,
                flags,
                cut,
            ) in zip(part.ordinals, part.records, map(_fields, part.records), strict=True):
                try:
                    if redaction is not None:
                        raws = redaction.opaque(codec, raws)
                    kept = raws[:max_attributes]
                    series, attributes = place((scope, number, severity, event), kept)
                    series.records += seen
                    series_id = series.id or resolve(LOG_SERIES, series, missing)
                    if not series_id:
                        cardinality.forget_odd()
                        later.append(log)
                        places.append(ordinal)
                        continue
                    value = any_value(body) if body else None
                except UndecodableBody as error:
                    cardinality.forget_odd()
                    original = partial(export.refused_log_record, codec, log)
                    intake.refuse(part, "malformed", f"a log record's attribute or body: {error}", original)
                    continue
                if cardinality.clipped or cardinality.doubled or len(kept) == max_attributes:
                    cut += cardinality.count_odd(codec, len(raws) - len(kept))
                sent = None
                if not low <= filed < high:
                    filed, sent = _file(intake, filed, observed)
                trace_key = optional_id(intake, trace_id, 16) if trace_id else None
                number_of_span = None
                if span_id and (raw_id := optional_id(intake, span_id, 8)):
                    (number_of_span,) = signed_id(raw_id)
                is_text = type(value) is str
                put(
                    (
                        trace_key or _uuid7(receipt_ms),
                        filed,
                        getrandbits(53),
                        resource_id,
                        series_id,
                        (observed if observed <= _INT64_MAX else signed(observed)) or None,
                        number_of_span,
                        sent,
                        cut or None,
                        signed32(flags) if flags else None,
                        trace_key is not None,
                        escape_nul(value) if is_text else None,  # type: ignore[arg-type]
                        None if is_text or value is None else to_json(value),
                        attributes,
                        ordinal,
                    )
                )
            if later:
                again.append(part.again(later, places))
        return LOG_SERIES, missing, again


def _file(intake: Intake, time_nano: int, observed_nano: int) -> tuple[int, int | None]:
    """A log without a time is filed under the time it was observed."""
    if time_nano:
        return intake.file(time_nano)
    if observed_nano:
        return intake.file(observed_nano)[0], 0
    intake.codec.findings.sanitise("no_time")
    return intake.window.file(0)[0], 0


def _describe(head: Head) -> tuple[list[AnyValue], tuple[object, ...]]:
    (scope_id, scope_hash), number, text, event = head
    return [scope_hash, number, text, event], (scope_id, number, escape_nul(text), escape_nul(event))


def _uuid7(unix_ms: int) -> bytes:
    """A time-ordered uuid: uncorrelated logs lie side by side in the primary key."""
    bits = (unix_ms << 80) | (7 << 76) | (getrandbits(12) << 64) | (2 << 62) | getrandbits(62)
    return bits.to_bytes(16, "big")
