"""Log records: a search, and whole records from rows."""

from collections.abc import Sequence

from msgspec import Struct

from exporter import columns
from exporter.otlp import export
from exporter.otlp import records as r
from exporter.otlp.records import AnyValue
from queries import answers, dimensions, selecting, stored
from queries.database import Connection
from queries.dimensions import Resource, Scope
from queries.pages import Row, Selection, Source
from queries.params import LogSearch
from queries.selecting import Series
from sql import query

SOURCE = Source(r.LOGS, columns.LOGS, query("reading_logs", "match-logs"), ("time_unix_nano", "trace_key", "log_id"))


class Log(Struct):
    """A log record with everything that was sent of it, and what it is filed under."""

    record: r.LogRecord
    attributes: stored.Attributes
    body: AnyValue
    resource: Resource
    scope: Scope
    log_id: int
    filed_unix_nano: int
    sent_unix_nano: int | None

    def to_json(self) -> answers.Log:
        """The record as the API shows it."""
        record = self.record
        return answers.Log(
            self.log_id,
            self.filed_unix_nano,
            record.observed_time_unix_nano or None,
            self.sent_unix_nano,
            record.severity_number,
            record.severity_text or None,
            record.event_name or None,
            stored.plain(self.body),
            self.resource.service_name,
            self.resource.service_namespace,
            stored.plain(self.attributes),
            stored.hex_or_null(record.trace_id),
            stored.hex_or_null(record.span_id),
            record.flags,
            self.resource.id,
            self.scope.id,
            self.scope.record.name or None,
            self.scope.record.version or None,
            record.dropped_attributes_count,
        )

    def to_otlp(self) -> export.Json:
        """The record as it was sent."""
        return export.log_record(self.record, stored.key_values(self.attributes), self.body)


async def select(connection: Connection, asked: LogSearch) -> Selection:
    """Which log records a search asks for."""
    series = Series(
        r.LOGS, query("reading_dimensions", "match-log-series"), (asked.severity, stored.escaped(asked.event_name))
    )
    values = (
        asked.trace_id,
        None if asked.span_id is None else int.from_bytes(asked.span_id, "big", signed=True),
        stored.containing(asked.q) if asked.q else None,
    )
    return await selecting.select(connection, asked, series, values, narrow=asked.trace_id is not None)


async def load(connection: Connection, rows: Sequence[Row]) -> list[Log]:
    """Whole log records of rows, in their order."""
    resources = await dimensions.resources(connection, (row["resource_id"] for row in rows))
    series = await dimensions.log_series(connection, (row["series_id"] for row in rows))
    return [_log(row, resources[row["resource_id"]], series[row["series_id"]]) for row in rows]


def _log(row: Row, resource: Resource, series: dimensions.LogSeries) -> Log:
    filed, sent = row["time_unix_nano"], row["sent_time_unix_nano"]
    record = r.LogRecord(
        filed if sent is None else stored.unsigned(sent),
        stored.unsigned(row["observed_time_unix_nano"]),
        series.severity_number,
        series.severity_text,
        series.event_name,
        b"",
        (),
        row["trace_key"] if row["has_trace"] else b"",
        stored.span_id(row["span_id"]),
        stored.unsigned32(row["flags"]),
        row["dropped_attributes_count"] or 0,
    )
    return Log(
        record,
        series.attributes | stored.attributes(row["attributes"]),
        stored.value(row["body_other"]) if row["body"] is None else stored.text(row["body"]),
        resource,
        series.scope,
        row["log_id"],
        filed,
        None if sent is None else stored.unsigned(sent),
    )
