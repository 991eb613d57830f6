"""What the API answers about the log records of a trace; `queries.answers` has the records themselves."""

from typing import ClassVar

from msgspec import Struct

from queries.answers import Log, Page


class SpanWithLogs(Struct):
    """A span with its log records in this answer; null where they belong to no span, and where none is stored."""

    span_id: str | None
    span_name: str | None
    log_count: int
    logs: list[Log]


class TraceLogs(Struct):
    """GET /api/logs/trace/{trace_id}/spans; `total_relation` "gte" tells that there may be more than both totals."""

    records: ClassVar[str] = "spans"
    trace_id: str
    spans: list[SpanWithLogs]
    total_logs: int
    total_spans_with_logs: int
    total_relation: str
    has_more: bool
    next_cursor: str | None


class SpanLogs(Page):
    """GET /api/logs/trace/{trace_id}/span/{span_id}."""

    records: ClassVar[str] = "logs"
    trace_id: str
    span_id: str
    logs: list[Log]
