"""How many records one OTLP/JSON export request holds, found without reading the records themselves."""

from msgspec import Raw, Struct, json

from exporter.otlp.records import LOGS, METRICS, SPANS


class _ScopeSpans(Struct, rename="camel"):
    spans: list[Raw] = []


class _ResourceSpans(Struct, rename="camel"):
    scope_spans: list[_ScopeSpans] = []


class _Spans(Struct, rename="camel"):
    resource_spans: list[_ResourceSpans]

    def count(self) -> int:
        return sum(len(scope.spans) for found in self.resource_spans for scope in found.scope_spans)


class _ScopeLogs(Struct, rename="camel"):
    log_records: list[Raw] = []


class _ResourceLogs(Struct, rename="camel"):
    scope_logs: list[_ScopeLogs] = []


class _Logs(Struct, rename="camel"):
    resource_logs: list[_ResourceLogs]

    def count(self) -> int:
        return sum(len(scope.log_records) for found in self.resource_logs for scope in found.scope_logs)


class _Data(Struct, rename="camel"):
    data_points: list[Raw] = []


class _Metric(Struct, rename="camel"):
    gauge: _Data | None = None
    sum: _Data | None = None
    histogram: _Data | None = None
    exponential_histogram: _Data | None = None
    summary: _Data | None = None

    def count(self) -> int:
        kinds = (self.gauge, self.sum, self.histogram, self.exponential_histogram, self.summary)
        return sum(len(data.data_points) for data in kinds if data is not None)


class _ScopeMetrics(Struct, rename="camel"):
    metrics: list[_Metric] = []


class _ResourceMetrics(Struct, rename="camel"):
    scope_metrics: list[_ScopeMetrics] = []


class _Metrics(Struct, rename="camel"):
    resource_metrics: list[_ResourceMetrics]

    def count(self) -> int:
        scopes = (scope for found in self.resource_metrics for scope in found.scope_metrics)
        return sum(metric.count() for scope in scopes for metric in scope.metrics)


_DECODERS: dict[str, json.Decoder[_Spans] | json.Decoder[_Logs] | json.Decoder[_Metrics]] = {
    SPANS: json.Decoder(_Spans),
    LOGS: json.Decoder(_Logs),
    METRICS: json.Decoder(_Metrics),
}


def count_records(signal: str, content: bytes) -> int:
    """Spans, log records or data points in a request. Raises MsgspecError where it is none of that signal."""
    return _DECODERS[signal].decode(content).count()
