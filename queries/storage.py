"""What takes place and how fast it grows: by signal, by table and by partition, from the one view that measures it.

Source: sql/views/v_otel_storage.sql; docs/decisions/0024-storage.md.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from exporter.otlp.records import LOGS, METRICS, SPANS
from queries.answers_storage import StoredPartition, StoredSignal, StoredTable
from queries.database import Connection
from queries.pages import Row
from sql import query

SIGNALS: Final = (SPANS, LOGS, METRICS)
RECORDS: Final = "records"
FACTS: Final = frozenset(
    {
        "otel_spans_fact",
        "otel_logs_fact",
        *(f"otel_metrics_data_points_{kind}" for kind in ("number", "histogram", "exp_histogram", "summary")),
    }
)
"""Tables that have a row for each record."""
GROWTH_DAYS: Final = 7
"""Growth is that of so many days before today, and of today so far."""
_LEAST_S = 3600.0
"""What came in the first minutes is that of an hour: nobody sends on as a first backlog is sent."""
_DAY_S = 86_400.0
_DAY_NANO = 86_400_000_000_000


class Stored(Struct):
    """What takes place: the rows of v_otel_storage, and records a day by signal."""

    lines: Sequence[Row]
    records_per_day: Mapping[str, float]

    def bytes(self, signal: str | None = None) -> int:
        """What a signal takes, or all of it."""
        return sum(line["bytes"] for line in self.lines if signal in (None, line["signal"]))

    def records(self, signal: str) -> int:
        """About how many records of a signal there are."""
        return _records(line for line in self.lines if line["signal"] == signal)

    def per_day(self, signal: str, size: float) -> float:
        """What `size`, bytes of all records of a signal, comes to a day."""
        records = self.records(signal)
        return size / records * self.records_per_day.get(signal, 0.0) if records else 0.0

    def bytes_per_day(self, signal: str) -> float:
        """How many bytes a signal's new records take a day, with their rollups; what repeats is there already."""
        kept = sum(
            line["bytes"]
            for line in self.lines
            if line["signal"] == signal and line["start_time_unix_nano"] is not None and line["row_count"]
        )
        return self.per_day(signal, kept)

    def heap(self, table: str) -> tuple[int, int, int]:
        """Of a table with its partitions: the bytes of rows, those that are not in TOAST, and about how many rows."""
        lines = [line for line in self.lines if line["table_name"] == table]
        heap = sum(line["heap_bytes"] for line in lines)
        return heap + sum(line["toast_bytes"] for line in lines), heap, sum(line["row_count"] for line in lines)


def _records(lines: Iterable[Row]) -> int:
    return sum(line["row_count"] for line in lines if line["table_name"] in FACTS)


async def measure(connection: Connection) -> Stored:
    """What takes place just now."""
    lines = await connection.fetch(query("reading_storage", "list-storage"))
    return Stored(lines, await _records_per_day(connection, datetime.now(UTC)))


async def _records_per_day(connection: Connection, now: datetime) -> dict[str, float]:
    """By signal: what was stored since the first of the last days that there was anything, through the time since then.

    Today counts as far as it has come, and the day of the first record of all from that on.
    """
    since = now.date() - timedelta(days=GROWTH_DAYS)
    rows = await connection.fetch(query("reading_storage", "sum-stored"), since)
    first_seen = await connection.fetchval(query("reading_storage", "find-first-seen"))
    found: dict[str, float] = {}
    for row in rows:
        began = datetime.combine(row["first_day"], datetime.min.time(), UTC)
        if first_seen and first_seen.date() == row["first_day"]:
            began = first_seen
        took_s = (now - began).total_seconds()
        found[row["signal"]] = row["records"] / max(took_s, _LEAST_S) * _DAY_S
    return found


def signals(stored: Stored, wanted: Sequence[str]) -> list[StoredSignal]:
    """The signals that are asked for."""
    found: list[StoredSignal] = []
    for signal in (signal for signal in SIGNALS if signal in wanted):
        size, records = stored.bytes(signal), stored.records(signal)
        each = round(size / records, 1) if records else None
        per_day = round(stored.records_per_day.get(signal, 0.0)), round(stored.bytes_per_day(signal))
        found.append(StoredSignal(signal, size, records, each, *per_day, estimated=False))
    return found


def tables(stored: Stored, wanted: Sequence[str] | None) -> list[StoredTable]:
    """Tables, the largest first, of some signals; None = all, also those that are of no signal."""
    groups: dict[tuple[str, str | None, str], list[Row]] = {}
    for line in stored.lines:
        if wanted is None or line["signal"] in wanted:
            groups.setdefault((line["kind"], line["signal"], line["table_name"]), []).append(line)

    def total(lines: list[Row], name: str) -> int:
        return sum(line[name] for line in lines)

    found = [
        StoredTable(
            *key,
            rows=total(lines, "row_count"),
            bytes=total(lines, "bytes"),
            heap_bytes=total(lines, "heap_bytes"),
            toast_bytes=total(lines, "toast_bytes"),
            index_bytes=total(lines, "index_bytes"),
            estimated=False,
        )
        for key, lines in groups.items()
    ]
    return sorted(found, key=lambda table: (-table.bytes, table.table))


def partitions(stored: Stored, wanted: Sequence[str]) -> list[StoredPartition]:
    """Partitions that hold any records, the newest first: of each range of time those of all tables of a signal."""
    groups: dict[tuple[str, int, int], list[Row]] = {}
    for line in stored.lines:
        if line["start_time_unix_nano"] is not None and line["signal"] in wanted:
            key = line["signal"], line["start_time_unix_nano"], line["end_time_unix_nano"]
            groups.setdefault(key, []).append(line)
    return [
        StoredPartition(*key, _records(lines), sum(line["bytes"] for line in lines), estimated=False)
        for key, lines in groups.items()
        if any(line["heap_bytes"] for line in lines)
    ]


def days_until(
    stored: Stored, budget_bytes: int | None, kept_s: Callable[[str], float | None], now_nano: int | None = None
) -> float | None:
    """When all of it is as large as a budget, in days; 0.0 where it is, None where it never will be.

    Each signal grows as it did, until what is written now is `kept_s` old; what is older goes with its partition.
    """
    if budget_bytes is None:
        return None
    size = float(stored.bytes())
    if size >= budget_bytes:
        return 0.0
    # What changes when: the bytes that go, and by how much less all of it grows from then on.
    changes: list[tuple[float, float, float]] = []
    growth = 0.0
    now_nano = time.time_ns() if now_nano is None else now_nano
    for signal in SIGNALS:
        per_day, kept = stored.bytes_per_day(signal), kept_s(signal)
        growth += per_day
        if kept is None:
            continue
        changes.append((kept / _DAY_S, 0.0, per_day))
        for line in stored.lines:
            if line["signal"] == signal and line["end_time_unix_nano"] is not None:
                gone = (line["end_time_unix_nano"] - now_nano) / _DAY_NANO + kept / _DAY_S
                changes.append((max(0.0, gone), line["bytes"], 0.0))
    day = 0.0
    for until, gone, slower in sorted(changes):
        if growth > 0 and size + growth * (until - day) >= budget_bytes:
            break
        size += growth * (until - day) - gone
        growth, day = growth - slower, until
    # What is left of rates that were taken away again is no growth.
    return round(day + (budget_bytes - size) / growth, 1) if growth > 1.0 else None
