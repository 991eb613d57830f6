"""Metrics: data points of all five types, and their exemplars, to rows.

Every attribute of a point is part of its identity, so a point's series is known by the very bytes of its attributes.

Source: opentelemetry-proto `metrics.proto`; sql/migrations/0006_metrics.sql.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from msgspec import field, structs

from exporter import check, columns
from exporter.attributes import Fragments, Limits, settle, to_object
from exporter.dimensions import METRIC_SERIES, METRICS, Dimensions, Entry, Row
from exporter.errors import UndecodableBody
from exporter.otlp import export
from exporter.otlp import records as r
from exporter.otlp.anyvalue import escape_nul, identity
from exporter.place import RECORD, Intake, Missing, Part, optional_id, signed, signed32, signed_id
from exporter.redaction import Redaction

Point = tuple[Any, ...]
SeriesKey = bytes | tuple[bytes, ...]
"""A point's block; or its bounds (or quantiles) as packed doubles, by which 0.0 and -0.0 differ, and its attributes."""
_INT32_MAX = (1 << 31) - 1
_INT64_MAX = (1 << 63) - 1
_REFUSED = -1
"""In place of a series: ids are positive."""


class MetricEntry(Entry):
    """A metric as the decode path knows it, with the series of its points by their attributes' bytes."""

    series: dict[SeriesKey, Entry] = field(default_factory=dict)


class Metrics:
    """The metrics signal."""

    name = r.METRICS
    facts = 4
    tables = (columns.NUMBER, columns.HISTOGRAM, columns.EXP_HISTOGRAM, columns.SUMMARY, columns.EXEMPLARS)
    finder = check.POINTS
    cardinality = None

    def __init__(self, dimensions: Dimensions, limits: Limits, max_series: int) -> None:
        self._dimensions = dimensions
        self._limits = limits
        self._max_series = max_series
        self._fragments = Fragments(limits)
        self._metrics: dict[tuple[Any, ...], MetricEntry] = {}
        self._cached = 0

    def records(self, codec: r.Codec, body: bytes) -> Iterable[r.ScopeRecords[r.Metric]]:
        """The records of a request's body."""
        return codec.metrics(body)

    def trim(self) -> None:
        """Keep memory bounded: forget every series when there are too many."""
        if self._cached > self._max_series:
            self.forget()

    def forget(self) -> None:
        """Forget metrics and series; they are found again in the database."""
        self._metrics.clear()
        self._cached = 0

    def original(self, codec: r.Codec, record: r.Metric, ordinal: int | None) -> export.Json:
        """A metric as OTLP/JSON, with the data point of that ordinal alone where one is given. Raises
        UndecodableBody."""
        if ordinal is not None:
            record = structs.replace(record, data_points=[record.data_points[ordinal % RECORD]])
        return export.refused_metric(codec, record)

    def count(self, record: r.Metric) -> int:
        """How many records of the signal a metric stands for: its data points."""
        return len(record.data_points)

    def roll_up(self, rows: Sequence[Point]) -> None:
        """There is no rollup of metrics."""

    def build(self, intake: Intake, chunk: Sequence[Part], out: Sequence[list[Point]]) -> Missing:
        """Add the rows of `chunk` to `out`, a list per table; metrics that need dimension rows stored first are left
        out, and returned to be built again."""
        missing_metrics: dict[bytes, Entry] = {}
        missing: dict[bytes, Entry] = {}
        again: list[Part] = []
        for part in chunk:
            later: list[r.Metric] = []
            places: list[int] = []
            for ordinal, metric in zip(part.ordinals, part.records, strict=True):
                if not metric.name:
                    if metric.data_points:
                        _refuse(intake, part, metric, "no_metric_name", "metric without a name: its points")
                    continue
                if not metric.data_points:
                    continue
                try:
                    entry = self._metric(intake, part, metric)
                except UndecodableBody as error:
                    _refuse(intake, part, metric, "malformed", f"a metric's metadata: {error}")
                    continue
                known = entry.id or self._dimensions.resolve(METRICS, entry, missing_metrics)
                if not known or not self._points(intake, part, metric, ordinal, entry, out, missing):
                    later.append(metric)
                    places.append(ordinal)
            if later:
                again.append(part.again(later, places))
        return (METRICS, missing_metrics, again) if missing_metrics else (METRIC_SERIES, missing, again)

    def _metric(self, intake: Intake, part: Part, metric: r.Metric) -> MetricEntry:
        redaction, metadata = intake.promotion.redaction(r.METRICS), metric.metadata
        if redaction is not None:
            metadata = redaction.opaque(intake.codec, metadata)
        cache_key = (
            type(intake.codec),
            part.resource[0],
            part.scope[0],
            metric.name,
            metric.type,
            metric.unit,
            metric.aggregation_temporality,
            metric.is_monotonic,
            metric.description,
            tuple(metadata),
        )
        entry = self._metrics.get(cache_key)
        if entry is None:
            entry = self._metrics[cache_key] = self._new_metric(intake.codec, metric, metadata)
            self._cached += 1
        return entry

    def _new_metric(self, codec: r.Codec, metric: r.Metric, raws: Sequence[r.Opaque]) -> MetricEntry:
        metadata, _ = settle(codec, [codec.attribute(raw) for raw in raws], None, self._limits)
        same_line: list[r.AnyValue] = [
            metric.name,
            metric.type,
            metric.unit,
            metric.aggregation_temporality,
            metric.is_monotonic,
        ]
        row = (
            identity(*same_line),
            escape_nul(metric.name),
            metric.type,
            escape_nul(metric.unit),
            metric.aggregation_temporality,
            metric.is_monotonic,
            escape_nul(metric.description),
            to_object(metadata),
        )
        return MetricEntry(identity(*same_line, metric.description, metadata), Row(row, metadata, r.METRICS))

    def _points(
        self,
        intake: Intake,
        part: Part,
        metric: r.Metric,
        ordinal: int,
        entry: MetricEntry,
        out: Sequence[list[Point]],
        missing: dict[bytes, Entry],
    ) -> bool:
        """Add the rows of a metric's points; False where series have to be stored first."""
        table, split, shape = _TYPES[metric.type]
        found, refused = self._series(intake, part, metric, entry, split, missing)
        if not all(found):
            return False
        low, high = intake.window.low, intake.window.high
        put, exemplars = out[table].append, out[-1]
        for place, (point, series_id) in enumerate(zip(metric.data_points, found, strict=True), ordinal):
            if series_id == _REFUSED:
                continue
            filed, start, sent = point.time_unix_nano, point.start_time_unix_nano, None
            if not low <= filed < high:
                filed, sent = intake.file(filed)
            if start > _INT64_MAX:
                start = signed(start)
            if type(point) is r.PlainNumberPoint:
                value = point.value
                both = (value, None) if type(value) is int else (None, value)
                put((series_id, filed, start or None, *both, sent, None, place))
                continue
            try:
                if metric.type != r.SUMMARY and point.exemplars:  # type: ignore[union-attr]
                    self._exemplars(point, (series_id, filed), intake, exemplars)  # type: ignore[arg-type]
            except UndecodableBody as error:
                refused.append((point, error))
                continue
            put((*shape(point, series_id, filed, start or None, sent), place))
        for point, problem in refused:
            alone = structs.replace(metric, data_points=[point])
            _refuse(intake, part, alone, "malformed", f"a data point's attribute or exemplar: {problem}")
        return True

    def _series(
        self,
        intake: Intake,
        part: Part,
        metric: r.Metric,
        entry: MetricEntry,
        split: Callable[[Any], bytes] | None,
        missing: dict[bytes, Entry],
    ) -> tuple[list[int], list[tuple[r.SentPoint, UndecodableBody]]]:
        """The series of each point (0 = it has to be stored first), and the points that cannot be read."""
        codec, resolve, known = intake.codec, self._dimensions.resolve, entry.series.get
        redaction = intake.promotion.redaction(r.METRICS)
        ids: list[int] = []
        refused: list[tuple[r.SentPoint, UndecodableBody]] = []
        for point in metric.data_points:
            try:
                if type(point) is r.PlainNumberPoint and redaction is None:
                    key: SeriesKey = point.block
                else:
                    key = (split(point) if split is not None else b"", *_attributes(codec, point, redaction))
                series = known(key) or self._new_series(codec, part, metric, entry, key)
            except UndecodableBody as error:
                refused.append((point, error))
                ids.append(_REFUSED)
                continue
            ids.append(series.id or resolve(METRIC_SERIES, series, missing))
        return ids, refused

    def _new_series(self, codec: r.Codec, part: Part, metric: r.Metric, entry: MetricEntry, key: SeriesKey) -> Entry:
        packed, raw = (b"", codec.block(key)) if isinstance(key, bytes) else (key[0], key[1:])
        bounds = array("d", packed)
        decoded = [codec.attribute(a) for a in raw]
        attributes, _ = settle(codec, decoded, None, self._limits)
        literal = f"{{{','.join(map(repr, bounds))}}}" if bounds else None
        resource_id, resource_hash = part.resource
        scope_id, scope_hash = part.scope
        line = identity(metric.name, metric.type, resource_hash, scope_hash, attributes)
        row = (
            line,
            entry.id,
            resource_id,
            scope_id,
            to_object(attributes),
            literal if metric.type != r.SUMMARY else None,
            literal if metric.type == r.SUMMARY else None,
        )
        series_hash = identity(entry.hash, line, list(bounds))
        series = entry.series[key] = Entry(series_hash, Row(row, attributes, r.METRICS))
        self._cached += 1
        return series

    def _exemplars(
        self,
        point: r.NumberDataPoint | r.HistogramDataPoint | r.ExponentialHistogramDataPoint,
        key: tuple[int, int],
        intake: Intake,
        out: list[Point],
    ) -> None:
        codec = intake.codec
        redaction = intake.promotion.redaction(r.METRICS)
        rows: list[Point] = []
        for ordinal, raw in enumerate(point.exemplars):
            exemplar, attributes = codec.open_exemplar(raw)
            stored, _ = self._fragments.to_object(codec, attributes, redaction)
            span_id = optional_id(intake, exemplar.span_id, 8)
            rows.append(
                (
                    *key,
                    signed(exemplar.time_unix_nano),
                    *_number_columns(exemplar.value),
                    None if span_id is None else signed_id(span_id)[0],
                    ordinal,
                    optional_id(intake, exemplar.trace_id, 16),
                    stored,
                )
            )
        out += rows


def _refuse(intake: Intake, part: Part, metric: r.Metric, reason: str, message: str) -> None:
    original = partial(export.refused_metric, intake.codec, metric)
    intake.refuse(part, reason, message, original, len(metric.data_points))


def _attributes(codec: r.Codec, point: r.SentPoint, redaction: Redaction | None) -> Sequence[r.Opaque]:
    attributes = codec.block(point.block) if isinstance(point, r.PlainNumberPoint) else point.attributes
    return attributes if redaction is None else redaction.opaque(codec, attributes)


def _number_columns(value: float | None) -> tuple[int | None, float | None]:
    return (value, None) if type(value) is int else (None, value)


def _counts(counts: Sequence[int] | None) -> tuple[list[int] | None, list[int] | None]:
    """(counts as int[], None), or (None, counts as bigint[]) where one does not fit; both None where there are none."""
    if not counts:
        return None, None
    if max(counts) <= _INT32_MAX:
        return list(counts), None
    return None, [signed(count) for count in counts]


def _number(p: r.NumberDataPoint, series_id: int, filed: int, start: int | None, sent: int | None) -> Point:
    return series_id, filed, start, *_number_columns(p.value), sent, signed32(p.flags)


def _histogram(p: r.HistogramDataPoint, series_id: int, filed: int, start: int | None, sent: int | None) -> Point:
    counts = _counts(p.bucket_counts)
    return series_id, filed, start, signed(p.count), p.sum, p.min, p.max, sent, signed32(p.flags), *counts


def _exp_histogram(
    p: r.ExponentialHistogramDataPoint, series_id: int, filed: int, start: int | None, sent: int | None
) -> Point:
    return (
        series_id,
        filed,
        start,
        signed(p.count),
        p.sum,
        p.min,
        p.max,
        signed(p.zero_count),
        p.zero_threshold,
        sent,
        p.scale,
        signed32(p.flags),
        p.positive.offset if p.positive else None,
        p.negative.offset if p.negative else None,
        *_counts(p.positive.bucket_counts if p.positive else None),
        *_counts(p.negative.bucket_counts if p.negative else None),
    )


def _summary(p: r.SummaryDataPoint, series_id: int, filed: int, start: int | None, sent: int | None) -> Point:
    return series_id, filed, start, signed(p.count), p.sum, sent, signed32(p.flags), list(p.values)


_TYPES: dict[int, tuple[int, Callable[[Any], bytes] | None, Callable[..., Point]]] = {
    r.GAUGE: (0, None, _number),
    r.SUM: (0, None, _number),
    r.HISTOGRAM: (1, lambda point: array("d", point.explicit_bounds).tobytes(), _histogram),
    r.EXPONENTIAL_HISTOGRAM: (2, None, _exp_histogram),
    r.SUMMARY: (3, lambda point: array("d", point.quantiles).tobytes(), _summary),
}
"""Metric type -> its table, what of a point belongs to its series besides the attributes, and the rest as a row."""
