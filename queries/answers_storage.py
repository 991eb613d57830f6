"""What the API answers about the place that things take, one typed struct a shape, as in answers.py."""

from typing import ClassVar

from msgspec import Struct


class StoredSignal(Struct):
    """A signal: all of its tables, its records as PostgreSQL's statistics have them, and what comes in a day."""

    signal: str
    bytes: int
    records: int
    bytes_per_record: float | None
    records_per_day: int
    bytes_per_day: int
    estimated: bool


class StoredTable(Struct):
    """A table with all of its partitions; `kind`: records, rollups, dimensions, ledger, quarantine or registry."""

    kind: str
    signal: str | None
    table: str
    rows: int
    bytes: int
    heap_bytes: int
    toast_bytes: int
    index_bytes: int
    estimated: bool


class StoredPartition(Struct):
    """What lies in one range of time of a signal, of all of its partitioned tables."""

    signal: str
    start_time_unix_nano: int
    end_time_unix_nano: int
    records: int
    bytes: int
    estimated: bool


class StoredService(Struct):
    """A service's records: points are estimated from a sample, and so are spans and logs where `counted` is false."""

    service_name: str
    service_namespace: str | None
    spans: int
    logs: int
    points: int
    bytes: int
    counted: bool
    estimated: bool


class StoredKey(Struct):
    """What an attribute takes in records, series or dimensions of a signal, and of that signal's bytes."""

    key: str
    signal: str
    bytes: int
    share: float
    estimated: bool


class Storage(Struct):
    """GET /api/storage: what is measured, and where a line says `estimated`, what a sample tells of `bytes`."""

    records: ClassVar[str] = "signals"
    bytes: int
    bytes_per_day: int
    budget_bytes: int | None
    days_until_budget: float | None
    signals: list[StoredSignal]
    tables: list[StoredTable]
    partitions: list[StoredPartition]
    services: list[StoredService]
    keys: list[StoredKey]
