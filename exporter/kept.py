"""What requests share as long as the same attribute lists are in force: caches, verdicts, series.

Other lists, other caches: what was remembered while the lists let it pass is not there for those who are to drop it,
and goes with the last request that began under them (docs/decisions/0020).
"""

from exporter.attributes import Limits
from exporter.batch import Signal
from exporter.cardinality import Cardinality
from exporter.dimensions import Dimensions
from exporter.logs import Logs
from exporter.metrics import Metrics
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.promotion import Promotion
from exporter.settings import Settings
from exporter.traces import Traces


class Kept:
    """The lists of a request, and what is learned under them; a request holds on to the one that it begins with."""

    def __init__(
        self,
        promotion: Promotion,
        dimensions: Dimensions,
        traces: Cardinality,
        logs: Cardinality,
        max_series: int,
    ) -> None:
        self.promotion, self.dimensions = promotion, dimensions
        self.traces, self.logs = Traces(traces, dimensions), Logs(logs, dimensions)
        self.metrics = Metrics(dimensions, traces.limits, max_series)
        self.signals: dict[str, Signal] = {SPANS: self.traces, LOGS: self.logs, METRICS: self.metrics}
        self._max_series = max_series

    @classmethod
    def new(cls, settings: Settings, promotion: Promotion, dimensions: Dimensions) -> "Kept":
        """Nothing is known yet."""
        limits = Limits(settings.max_attributes, settings.max_attribute_value_bytes)
        caches = (settings.max_cached_attributes, settings.max_cached_series)
        traces, logs = (Cardinality(signal, settings.verdict, limits, *caches) for signal in (SPANS, LOGS))
        return cls(promotion, dimensions, traces, logs, settings.max_cached_series)

    def under(self, promotion: Promotion) -> "Kept":
        """The same for other lists: the verdicts hold on, and nothing that was seen is known."""
        traces, logs = self.traces.cardinality.renewed(), self.logs.cardinality.renewed()
        return Kept(promotion, self.dimensions.renewed(), traces, logs, self._max_series)

    def forget(self) -> None:
        """Forget ids and series: they are found again in the database."""
        self.dimensions.forget()
        self.traces.cardinality.forget()
        self.logs.cardinality.forget()
        self.metrics.forget()

    def trim(self) -> None:
        """Keep memory bounded, and what is stored confirmed."""
        if self.dimensions.is_due():
            self.forget()
        self.traces.cardinality.trim()
        self.logs.cardinality.trim()
        self.metrics.trim()
