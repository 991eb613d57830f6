"""What the API answers about metrics beside their raw points: lines of an aggregation, and labels."""

from typing import Any, ClassVar

from msgspec import Struct

from queries import answers


class Value(Struct):
    """A point of an aggregation: `time_unix_nano` is the start of the step, a multiple of it since 1970."""

    time_unix_nano: int
    value: answers.Number


class SeriesList(answers.PointList):
    """GET /api/metrics/series: raw points, or with `aggregation` values by `step`.

    A line of an aggregation is one combination of the values that it is grouped by; they are its `attributes`, null
    where a series has none, and `service_name`, `resource` and `scope` are null. Its `unit` is the metric's.
    """

    aggregation: str | None
    step: int | None


class MetricExemplar(Struct):
    """An exemplar with its metric; `time_unix_nano` and `attributes` are those of its data point."""

    metric_name: str
    metric_type: answers.Name
    unit: str | None
    service_name: str
    service_namespace: str | None
    attributes: answers.Attributes
    time_unix_nano: int
    exemplar_time_unix_nano: int
    value: answers.Number
    filtered_attributes: answers.Attributes
    trace_id: str | None
    span_id: str | None


class ExemplarList(answers.WindowedPage):
    """GET /api/metrics/exemplars."""

    records: ClassVar[str] = "exemplars"
    exemplars: list[MetricExemplar]


class TraceExemplars(answers.Page):
    """GET /api/traces/{trace_id}/exemplars."""

    records: ClassVar[str] = "exemplars"
    trace_id: str
    exemplars: list[MetricExemplar]


class LabelList(answers.WindowedPage):
    """GET /api/metrics/{name}/labels: the keys of the points' attributes (`labels`), or one key's `values`."""

    records: ClassVar[str] = "found"
    metric_name: str
    attribute: str | None
    labels: list[str] | None
    values: list[Any] | None

    @property
    def found(self) -> list[Any]:
        """What is listed."""
        return (self.labels if self.attribute is None else self.values) or []
