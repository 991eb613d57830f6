"""The facts' columns, declared once: COPY, the check path, `format=otlp` and the integrity check derive from this.

A test holds these declarations against the catalogue.
"""

from msgspec import Struct


class Table(Struct, frozen=True):
    """One fact table. Its first `key_width` columns are the record's natural key, which its children begin with too.

    `time` is the index of the partition key, `sent` that of the column that holds a time as sent where the key is
    another one.
    """

    name: str
    key_width: int
    columns: tuple[str, ...]
    time: int
    sent: int | None = None


def table(name: str, key_width: int, columns: str) -> Table:
    """A Table from its columns' names, separated by white space."""
    names = tuple(columns.split())
    sent = next((i for i, column in enumerate(names) if column.startswith("sent_")), None)
    time = next(i for i, column in enumerate(names) if column in ("start_time_unix_nano", "time_unix_nano"))
    return Table(name, key_width, names, time, sent)


SPANS = table(
    "otel_spans_fact",
    3,
    """trace_id span_id start_time_unix_nano end_time_unix_nano resource_id series_id parent_span_id
    sent_start_time_unix_nano flags status_code_id dropped_attributes_count dropped_events_count dropped_links_count
    trace_state status_message attributes""",
)
SPAN_EVENTS = table(
    "otel_span_events",
    3,
    "trace_id span_id start_time_unix_nano time_unix_nano ordinal dropped_attributes_count name attributes",
)
SPAN_LINKS = table(
    "otel_span_links",
    3,
    """trace_id span_id start_time_unix_nano ordinal flags dropped_attributes_count linked_trace_id linked_span_id
    trace_state attributes""",
)
LOGS = table(
    "otel_logs_fact",
    3,
    """trace_key time_unix_nano log_id resource_id series_id observed_time_unix_nano span_id sent_time_unix_nano
    dropped_attributes_count flags has_trace body body_other attributes""",
)
NUMBER = table(
    "otel_metrics_data_points_number",
    2,
    "series_id time_unix_nano start_time_unix_nano value_int value_double sent_time_unix_nano flags",
)
HISTOGRAM = table(
    "otel_metrics_data_points_histogram",
    2,
    """series_id time_unix_nano start_time_unix_nano count sum min max sent_time_unix_nano flags bucket_counts
    bucket_counts_wide""",
)
EXP_HISTOGRAM = table(
    "otel_metrics_data_points_exp_histogram",
    2,
    """series_id time_unix_nano start_time_unix_nano count sum min max zero_count zero_threshold sent_time_unix_nano
    scale flags positive_offset negative_offset positive_bucket_counts positive_bucket_counts_wide
    negative_bucket_counts negative_bucket_counts_wide""",
)
SUMMARY = table(
    "otel_metrics_data_points_summary",
    2,
    "series_id time_unix_nano start_time_unix_nano count sum sent_time_unix_nano flags quantile_values",
)
EXEMPLARS = table(
    "otel_exemplars",
    2,
    """series_id time_unix_nano exemplar_time_unix_nano value_int value_double span_id ordinal trace_id attributes""",
)
