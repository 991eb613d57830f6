"""Lists of traces, spans, log records and metrics as tables: what one looks for first stands first."""

from collections.abc import Sequence

from exporter.otlp.severity import SEVERITIES
from queries import text_values as values
from queries.answers import Log, Metric, Name, Span, Trace
from queries.answers_metrics import MetricExemplar
from queries.text_cells import BOLD, CYAN, RED, YELLOW, Cell, Style, clean, line, wrapped
from queries.text_tables import WIDE, Column, Rest, table, with_details

ERROR, ORPHAN = "✗", "┄ "
"""Mark what has failed, and what hangs below something that is not stored."""
_LEAST_SERVICE, _LEAST_NAME = 14, 14
_WARN, _ERROR = 13, 17


def traces(found: Sequence[Trace], style: Style) -> list[str]:
    """Traces, with the ids that one asks for next."""
    columns = [
        _times([trace.start_time_unix_nano for trace in found], style),
        _durations([trace.duration_nanos for trace in found]),
        Column("SPANS", [Cell(f"{trace.span_count:,}") for trace in found], True, rank=2),
        Column("ERR", [_errors(trace.error_count) for trace in found], True),
        _services([trace.service_name for trace in found]),
        Column("ROOT SPAN", [Cell(_root(trace)) for trace in found], least=_LEAST_NAME),
        Column("TRACE ID", [Cell(clean(trace.trace_id)) for trace in found]),
    ]
    note = "" if all(trace.has_root for trace in found) else f"{ORPHAN}the earliest span: the root is not stored"
    return [*table(columns, style), *(wrapped(note, style.width) if note else ())]


def _root(trace: Trace) -> str:
    return ("" if trace.has_root else ORPHAN) + clean(trace.root_span_name)


def _errors(count: int) -> Cell:
    return Cell(f"{ERROR}{count:,}", RED) if count else Cell("")


def spans(found: Sequence[Span], style: Style) -> list[str]:
    """Spans: of one trace with their own ids, of several with those of their traces."""
    ids = {span.trace_id for span in found}
    columns = [
        _times([span.start_time_unix_nano for span in found], style, 3 if len(ids) == 1 else 0),
        _durations([span.duration_nanos for span in found]),
        Column("ERR", [Cell(ERROR, RED) if span.status == "error" else Cell("") for span in found]),
        Column("KIND", [Cell(named(span.kind)) for span in found], rank=1),
        _services([span.service_name for span in found]),
    ]
    if len(ids) == 1:
        columns.append(Column("SPAN ID", [Cell(clean(span.span_id)) for span in found]))
    else:
        columns.append(Column("TRACE ID", [Cell(clean(span.trace_id)) for span in found]))
    head = [line([Cell(f"Trace {clean(ids.pop())}", BOLD)], style)] if len(ids) == 1 else []
    rest = Rest("NAME", _LEAST_NAME, lambda room: [Cell(_described(span, room)) for span in found])
    return [*head, *table(columns, style, rest)]


def _described(span: Span, room: int) -> str:
    message = [clean(span.status_message)] if span.status_message else []
    return with_details(clean(span.name), [*message, *values.pairs(span.attributes)], room)


def logs(found: Sequence[Log], style: Style) -> list[str]:
    """Log records: what they say, and after it, where there is room, their trace or span, and attributes."""
    columns = [
        _times([log.time_unix_nano for log in found], style, 3),
        Column("LEVEL", [severity(log) for log in found], least=5),
        _services([log.service_name for log in found]),
    ]
    # The ids that differ are the ones to go on with.
    differing = (name for name in ("trace_id", "span_id") if len({getattr(log, name) for log in found}) > 1)
    id_name = "trace_id" if len(found) == 1 else next(differing, None)
    rest = Rest("MESSAGE", 20, lambda room: [Cell(_said(log, id_name, room)) for log in found])
    return table(columns, style, rest)


def severity(log: Log) -> Cell:
    """The name of a log record's severity, coloured from a warning on; its own text where it has no number."""
    number = log.severity_number
    if not 0 < number <= 4 * len(SEVERITIES):
        return Cell(clean(log.severity_text or "") or (str(number) if number else values.NO_VALUE))
    step = (number - 1) % 4 + 1
    name = SEVERITIES[(number - 1) // 4] + (str(step) if step > 1 else "")
    return Cell(name, RED if number >= _ERROR else YELLOW if number >= _WARN else "")


def _said(log: Log, id_name: str | None, room: int) -> str:
    event = clean(log.event_name or "")
    body = "" if log.body is None else values.compact(log.body)
    text = f"{event}: {body}" if event and body and event != body else event or body
    found = getattr(log, id_name) if id_name else None
    ids = [f"{id_name}={clean(found)}"] if found else []
    return with_details(text, [*ids, *values.pairs(log.attributes)], room)


def metrics(found: Sequence[Metric], style: Style) -> list[str]:
    """Metrics by name, with their unit and kind."""
    kinds = [kind(metric.type, metric.aggregation_temporality, metric.is_monotonic) for metric in found]
    columns = [
        Column("METRIC", [Cell(clean(metric.name), CYAN) for metric in found], least=60),
        Column("TYPE", [Cell(text) for text in kinds]),
        Column("UNIT", [Cell(clean(metric.unit or "")) for metric in found], least=8),
        Column("SERIES", [Cell(f"{metric.series_count:,}") for metric in found], True),
        Column("LAST SEEN", [Cell(f"{metric.last_seen:%Y-%m-%d %H:%M}Z") for metric in found], rank=2),
        Column("DESCRIPTION", [Cell(clean(metric.description or "")) for metric in found], least=12, rank=1),
    ]
    return table(columns, style)


def exemplars(found: Sequence[MetricExemplar], style: Style) -> list[str]:
    """Exemplars: of one trace with the ids of its spans, of several with those of the traces."""
    ids = {one.trace_id for one in found}
    id_name = "trace_id" if len(ids) > 1 or None in ids else "span_id"
    columns = [
        _times([one.time_unix_nano for one in found], style),
        Column("METRIC", [Cell(clean(one.metric_name), CYAN) for one in found], least=_LEAST_NAME),
        Column("VALUE", [Cell(values.quantity(one.value, one.unit)) for one in found], True),
        _services([one.service_name for one in found])._replace(rank=1),
        Column(id_name.replace("_", " ").upper(), [Cell(clean(getattr(one, id_name) or "")) for one in found]),
    ]
    head = [line([Cell(f"Trace {clean(found[0].trace_id or '')}", BOLD)], style)] if id_name == "span_id" else []
    rest = Rest("ATTRIBUTES", 10, lambda room: [Cell(_attributes(one, room)) for one in found])
    return [*head, *table(columns, style, rest)]


def _attributes(one: MetricExemplar, room: int) -> str:
    return with_details("", values.pairs({**one.attributes, **one.filtered_attributes}), room)


def kind(metric_type: Name, temporality: Name | None, is_monotonic: bool | None) -> str:
    """What a metric is, in few words: a sum that only grows is a counter; cumulative goes without saying."""
    name = "counter" if metric_type == "sum" and is_monotonic else named(metric_type).replace("exponential_", "exp ")
    return name if temporality in (None, "cumulative") else f"{name} {named(temporality)}"


def named(name: Name) -> str:
    """The name of an enum's number."""
    return clean(str(name))


def _times(unix_nano: Sequence[int], style: Style, digits: int = 0) -> Column:
    title, texts = values.clocks(unix_nano, 3 if style.width >= WIDE else digits)
    return Column(title, [Cell(text) for text in texts])


def _durations(nano: Sequence[int]) -> Column:
    return Column("TOOK", [Cell(values.duration(found)) for found in nano], True)


def _services(names: Sequence[str]) -> Column:
    return Column("SERVICE", [Cell(clean(name), CYAN) for name in names], least=_LEAST_SERVICE)
