"""Log records: records to rows.

Source: opentelemetry-proto `logs.proto`; sql/migrations/0005_logs.sql; RFC 9562 for the ids of uncorrelated logs.
"""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from random import getrandbits
from typing import Any

from exporter import columns
from exporter.attributes import without
from exporter.cardinality import Cardinality, Series
from exporter.dimensions import LOG_SERIES, Dimensions, Entry, Known
from exporter.errors import UndecodableBody
from exporter.otlp import export
from exporter.otlp.anyvalue import escape_nul, to_json
from exporter.otlp.records import LOGS, Codec, LogRecord, ScopeRecords
from exporter.place import Intake, Missing, Part, optional_id, signed, signed32, signed_id

Row = tuple[Any, ...]
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
        split, known, resolve = cardinality.splitter(codec), cardinality.series.get, self._dimensions.resolve
        low, high = intake.window.low, intake.window.high
        dropped = intake.promotion.dropped(LOGS)
        max_attributes = cardinality.limits.max_attributes
        receipt_ms = time.time_ns() // 1_000_000
        missing: dict[bytes, Entry] = {}
        again: list[Part] = []
        put = out[0].append
        for part in chunk:
            later: list[LogRecord] = []
            places: list[int] = []
            resource_id, scope_id = part.resource[0], part.scope[0]
            for ordinal, log in zip(part.ordinals, part.records, strict=True):
                raws = log.attributes[:] if not dropped else without(codec, log.attributes, dropped)
                cut = 0
                if len(raws) > max_attributes:
                    raws, cut = raws[:max_attributes], len(raws) - max_attributes
                try:
                    ids, on_row = split(raws)
                    key = (scope_id, log.severity_number, log.severity_text, log.event_name, *ids)
                    series = known(key) or self._new_series(part.scope, log, key, ids)
                    series.records += 1
                    series_id = series.id or resolve(LOG_SERIES, series, missing)
                    if not series_id:
                        cardinality.clipped = 0
                        later.append(log)
                        places.append(ordinal)
                        continue
                    body = codec.any_value(log.body) if log.body else None
                except UndecodableBody as error:
                    cardinality.clipped = 0
                    original = partial(export.refused_log_record, codec, log)
                    intake.refuse(part, "malformed", f"a log record's attribute or body: {error}", original)
                    continue
                if series.duplicates or (on_row and ids.count(0) != len(on_row)):
                    codec.findings.sanitise("duplicate_key", ids.count(0) - len(on_row) + series.duplicates)
                if cut or cardinality.clipped:
                    cut += cardinality.take_clipped(codec, cut)
                filed, sent = log.time_unix_nano, None
                if not low <= filed < high:
                    filed, sent = self._file(intake, log)
                trace_id = optional_id(intake, log.trace_id, 16) if log.trace_id else None
                span_id = None
                if log.span_id and (raw_id := optional_id(intake, log.span_id, 8)):
                    (span_id,) = signed_id(raw_id)
                text = type(body) is str
                observed = log.observed_time_unix_nano
                put(
                    (
                        trace_id or _uuid7(receipt_ms),
                        filed,
                        getrandbits(53),
                        resource_id,
                        series_id,
                        (observed if observed <= _INT64_MAX else signed(observed)) or None,
                        span_id,
                        sent,
                        log.dropped_attributes_count + cut or None,
                        signed32(log.flags) if log.flags else None,
                        trace_id is not None,
                        escape_nul(body) if text else None,  # type: ignore[arg-type]
                        None if text or body is None else to_json(body),
                        b"{%b}" % b",".join(on_row.values()) if on_row else None,
                        ordinal,
                    )
                )
            if later:
                again.append(part.again(later, places))
        return LOG_SERIES, missing, again

    def _file(self, intake: Intake, log: LogRecord) -> tuple[int, int | None]:
        """A log without a time is filed under the time it was observed."""
        if log.time_unix_nano:
            return intake.file(log.time_unix_nano)
        if log.observed_time_unix_nano:
            return intake.file(log.observed_time_unix_nano)[0], 0
        intake.codec.findings.sanitise("no_time")
        return intake.window.file(0)[0], 0

    def _new_series(self, scope: Known, log: LogRecord, key: tuple[Any, ...], ids: list[int]) -> Series:
        scope_id, scope_hash = scope
        number, text, event = log.severity_number, log.severity_text, log.event_name
        columns = (scope_id, number, escape_nul(text), escape_nul(event))
        return self.cardinality.new_series(key, ids, [scope_hash, number, text, event], columns)


def _uuid7(unix_ms: int) -> bytes:
    """A time-ordered uuid: uncorrelated logs lie side by side in the primary key."""
    bits = (unix_ms << 80) | (7 << 76) | (getrandbits(12) << 64) | (2 << 62) | getrandbits(62)
    return bits.to_bytes(16, "big")
