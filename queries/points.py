"""Data points of every type: whole ones from rows, as the API shows them and as they were sent."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from msgspec import Struct

from exporter import columns
from exporter.otlp import export
from exporter.otlp import records as r
from queries import answers, dimensions, stored
from queries.database import Connection
from queries.dimensions import Resource, Scope
from queries.pages import Row
from sql import query

TABLES = {
    r.GAUGE: columns.NUMBER,
    r.SUM: columns.NUMBER,
    r.HISTOGRAM: columns.HISTOGRAM,
    r.EXPONENTIAL_HISTOGRAM: columns.EXP_HISTOGRAM,
    r.SUMMARY: columns.SUMMARY,
}
"""Metric type -> the table of its points."""


class Point(Struct):
    """A data point with everything that was sent of it, and what it is filed under."""

    record: r.DataPoint
    exemplars: list[r.Exemplar]
    series: dimensions.MetricSeries
    filed_unix_nano: int
    sent_unix_nano: int | None

    @property
    def resource(self) -> Resource:
        """The resource of its series."""
        return self.series.resource

    @property
    def scope(self) -> Scope:
        """The scope of its series."""
        return self.series.scope

    def to_json(self) -> answers.AnyPoint:
        """The point as the API shows it."""
        p = self.record
        when: Any = {
            "time_unix_nano": self.filed_unix_nano,
            "start_time_unix_nano": p.start_time_unix_nano or None,
            "sent_time_unix_nano": self.sent_unix_nano,
            "flags": p.flags,
        }
        if isinstance(p, r.SummaryDataPoint):
            pairs = zip(p.quantiles, p.values, strict=True)
            quantiles = [answers.Quantile(stored.number(q), stored.number(v)) for q, v in pairs]
            return answers.SummaryPoint(**when, count=p.count, sum=stored.number(p.sum), quantiles=quantiles)
        when["exemplars"] = [_exemplar(item) for item in self.exemplars]
        if isinstance(p, r.NumberDataPoint):
            return answers.NumberPoint(**when, value=stored.number(p.value))
        when |= {name: stored.number(getattr(p, name)) for name in ("sum", "min", "max")} | {"count": p.count}
        if isinstance(p, r.HistogramDataPoint):
            pairs_of = zip_longest(p.explicit_bounds, p.bucket_counts) if p.bucket_counts else ()
            buckets = [answers.Bucket(stored.number(bound), count) for bound, count in pairs_of]
            return answers.HistogramPoint(**when, buckets=buckets)
        sides = _side(p.positive), _side(p.negative)
        zero = p.scale, p.zero_count, stored.number(p.zero_threshold)
        return answers.ExponentialPoint(**when, buckets=answers.ExponentialBuckets(*zero, *sides))

    def to_otlp(self) -> export.Json:
        """The point as it was sent."""
        return export.data_point(self.record, stored.key_values(self.series.attributes), self.exemplars)


def _side(buckets: r.Buckets | None) -> answers.Buckets | None:
    return None if buckets is None else answers.Buckets(buckets.offset, list(buckets.bucket_counts))


def _exemplar(exemplar: r.Exemplar) -> answers.Exemplar:
    return answers.Exemplar(
        exemplar.time_unix_nano,
        stored.number(exemplar.value),
        stored.hex_or_null(exemplar.trace_id),
        stored.hex_or_null(exemplar.span_id),
        stored.plain({a.key: a.value for a in exemplar.filtered_attributes}),
    )


async def load(connection: Connection, keys: Sequence[Row]) -> list[Point]:
    """Whole points of their keys (series_id, time_unix_nano), in that order."""
    series = await dimensions.metric_series(connection, (key["series_id"] for key in keys))
    by_table: dict[columns.Table, list[Row]] = {}
    for key in keys:
        by_table.setdefault(TABLES[series[key["series_id"]].metric.record.type], []).append(key)
    rows: dict[tuple[int, int], Row] = {}
    exemplars: dict[tuple[int, int], list[r.Exemplar]] = {}
    for table, found in by_table.items():
        for row in await _fetch(connection, table, found, "p.time_unix_nano"):
            rows[_key(row)] = row
        if table is not columns.SUMMARY:
            for row in await _fetch(connection, columns.EXEMPLARS, found, "p.ordinal"):
                exemplars.setdefault(_key(row), []).append(stored_exemplar(row))
    return [_point(rows[_key(key)], series[key["series_id"]], exemplars.get(_key(key), [])) for key in keys]


def _key(row: Row) -> tuple[int, int]:
    return row["series_id"], row["time_unix_nano"]


async def _fetch(connection: Connection, table: columns.Table, keys: Sequence[Row], order: str) -> list[Row]:
    statement = query("reading_points", "find-points").replace("__table__", table.name)
    statement = statement.replace("__columns__", ", ".join(table.columns)).replace("__order__", order)
    ids, times = [key["series_id"] for key in keys], [key["time_unix_nano"] for key in keys]
    return await connection.fetch(statement, ids, times, min(times), max(times))


def _point(row: Row, series: dimensions.MetricSeries, exemplars: list[r.Exemplar]) -> Point:
    filed, sent = row["time_unix_nano"], row["sent_time_unix_nano"]
    moment = filed if sent is None else stored.unsigned(sent)
    start, flags = stored.unsigned(row["start_time_unix_nano"]), stored.unsigned32(row["flags"])
    record = _RECORDS[TABLES[series.metric.record.type]](row, series, start, moment, flags)
    return Point(record, exemplars, series, filed, None if sent is None else moment)


def _number(row: Row, _series: dimensions.MetricSeries, start: int, moment: int, flags: int) -> r.DataPoint:
    return r.NumberDataPoint((), start, moment, flags, (), _value(row))


def _value(row: Row) -> float | None:
    found: float | None = row["value_double"] if row["value_int"] is None else row["value_int"]
    return found


def _histogram(row: Row, series: dimensions.MetricSeries, start: int, moment: int, flags: int) -> r.DataPoint:
    counts = stored.unsigned_all(row["bucket_counts"], row["bucket_counts_wide"])
    distribution = stored.unsigned(row["count"]), row["sum"], row["min"], row["max"]
    return r.HistogramDataPoint((), start, moment, flags, (), *distribution, series.bounds, counts)


def _exp_histogram(row: Row, _series: dimensions.MetricSeries, start: int, moment: int, flags: int) -> r.DataPoint:
    return r.ExponentialHistogramDataPoint(
        (),
        start,
        moment,
        flags,
        (),
        stored.unsigned(row["count"]),
        row["sum"],
        row["min"],
        row["max"],
        row["scale"],
        stored.unsigned(row["zero_count"]),
        row["zero_threshold"],
        _buckets(row, "positive"),
        _buckets(row, "negative"),
    )


def _buckets(row: Row, sign: str) -> r.Buckets | None:
    offset = row[f"{sign}_offset"]
    if offset is None:
        return None
    counts = stored.unsigned_all(row[f"{sign}_bucket_counts"], row[f"{sign}_bucket_counts_wide"])
    return r.Buckets(offset, counts)


def _summary(row: Row, series: dimensions.MetricSeries, start: int, moment: int, flags: int) -> r.DataPoint:
    count = stored.unsigned(row["count"])
    return r.SummaryDataPoint((), start, moment, flags, count, row["sum"], series.quantiles, row["quantile_values"])


_RECORDS = {
    columns.NUMBER: _number,
    columns.HISTOGRAM: _histogram,
    columns.EXP_HISTOGRAM: _exp_histogram,
    columns.SUMMARY: _summary,
}


def stored_exemplar(row: Row) -> r.Exemplar:
    """The exemplar of a row of its table, as it was sent."""
    return r.Exemplar(
        stored.unsigned(row["exemplar_time_unix_nano"]),
        _value(row),
        row["trace_id"] or b"",
        stored.span_id(row["span_id"]),
        stored.key_values(stored.attributes(row["attributes"])),
    )
