"""Lines of an aggregation: which series make up each, and the steps that its points stand for."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from exporter.otlp import records as r
from queries import answers, cursors, metrics, stored
from queries.database import Connection
from queries.errors import QueryError
from queries.metrics import Selection
from queries.pages import Request, Row
from queries.params import OTLP, PointSearch, Window
from sql import query

MOST_STEPS = 1500
"""A day of minutes is 1,440."""
MOST_POINTS = 20_000
"""A page of lines holds no more points: an answer of one or two megabytes."""
_USUAL_STEPS = 60
_NANO_PER = {"d": 86_400_000_000_000, "h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000}
# Metrics are exported once a minute unless somebody says otherwise: a shorter step would have gaps.
_READABLE = [
    count * _NANO_PER[unit]
    for unit, counts in (("m", (1, 2, 5, 10, 15, 30)), ("h", (1, 2, 3, 6, 12)), ("d", (1, 7, 30, 365)))
    for count in counts
]


class Plan(Struct):
    """A page of lines, and how long a step of theirs is (nanoseconds)."""

    request: Request
    step: int

    @property
    def begin(self) -> int:
        """Where the first step begins."""
        start = self.request.window.start
        return start - start % self.step


def plan(asked: PointSearch) -> Plan:
    """What an aggregation is asked for. Raises QueryError.

    A window without a start_time of its own begins with a whole step. `limit`, `offset` and the cursor are of lines; a
    page has fewer where it would hold more than MOST_POINTS. The cursor keeps window and step.
    """
    if not asked.name:
        raise QueryError("an aggregation is of one metric, and none is named", "name", "/api/metrics lists them")
    if asked.format == OTLP:
        raise QueryError(
            "format: an aggregation is nothing that was sent", "format", "leave out aggregation, or format"
        )
    if asked.step == 0:
        raise QueryError("step: must be longer than 0", "step", "for example 30s")
    window = asked.window()
    step = asked.step or _usual(window, _USUAL_STEPS)
    if asked.start_time is None:
        window = Window(window.start - window.start % step, window.end)
    request = Request.of("lines", asked, window, cursors.BY_LINE)
    if request.after is not None:
        step = int(request.after[1])
    count = (request.window.end - 1) // step - request.window.start // step + 1
    if count > MOST_STEPS:
        hint = (
            f"step={_written(_usual(window, MOST_STEPS))} or longer (plain digits are nanoseconds), or a shorter window"
        )
        raise QueryError(f"step: {count} steps of {_written(step)} are more than {MOST_STEPS}", "step", hint)
    request.limit = min(request.limit, max(1, MOST_POINTS // count))
    return Plan(request, step)


def _usual(window: Window, most: int) -> int:
    length = window.end - window.start
    return next((step for step in _READABLE if length <= most * step), _READABLE[-1])


def _written(nano: int) -> str:
    unit = next((unit for unit, size in _NANO_PER.items() if nano % size == 0), None)
    return f"{nano // _NANO_PER[unit]}{unit}" if unit else f"{nano}ns"


class Series(Struct):
    """A series of a line; `identity` is the same where only bounds, unit or description differ."""

    id: int
    identity: bytes
    metric: r.Metric
    bounds: tuple[float, ...]


class Line(Struct):
    """All series of one metric, type and unit that have the same values of what they are grouped by."""

    attributes: dict[str, Any]
    series: list[Series]

    @property
    def metric(self) -> r.Metric:
        """The metric of one of its series: they share name, type and unit."""
        return self.series[0].metric

    def to_json(self, values: list[Any]) -> answers.Line:
        """The line with these points; what its series do not share is null."""
        distinct = {id(series.metric): series.metric for series in self.series}
        head = metrics.shared([metrics.head(metric) for metric in distinct.values()])
        return answers.Line(None, None, None, self.attributes, values, **head)


async def find(connection: Connection, selection: Selection, group_by: Sequence[str], window: Window) -> list[Line]:
    """The lines that have points in a window, by metric and by the values of what they are grouped by."""
    if not selection.tables:
        return []
    keys = query("reading_lines", "read-keys")
    points = " UNION ALL ".join(keys.replace("__table__", table) for table in selection.tables)
    statement = query("reading_lines", "find-line-series").replace("__points__", f"({points})")
    sources = [_source(key) for key in group_by]
    of_kind, named = [kind for kind, _ in sources], stored.escaped([key for _, key in sources]) or []
    rows = await connection.fetch(statement, selection.series, *window, of_kind, named)
    return _grouped(rows, group_by)


def _source(key: str) -> tuple[str, str]:
    """Where a value lies that is grouped by, and its key there: `attr.` names a point's attribute whatever its key."""
    if key == "service":
        return key, ""
    kind, _, rest = key.partition(".")
    return (kind, rest) if kind in ("resource", "attr") and rest else ("attr", key)


def _grouped(rows: Sequence[Row], group_by: Sequence[str]) -> list[Line]:
    metrics_of: dict[tuple[Any, ...], r.Metric] = {}
    lines: dict[tuple[Any, ...], list[Series]] = {}
    for row in rows:
        about = row["name"], row["metric_type_id"], row["unit"]
        told = (*about, row["description"], row["aggregation_temporality_id"], row["is_monotonic"])
        metric = metrics_of.get(told) or metrics_of.setdefault(told, _metric(row))
        series = Series(row["series_id"], row["identity_hash"], metric, tuple(row["explicit_bounds"] or ()))
        lines.setdefault((*about, row["label_values"]), []).append(series)
    found: list[tuple[Any, Line]] = []
    for key, members in lines.items():
        values: Any = stored.plain(stored.value(key[-1]) or [])
        line = Line(dict(zip(group_by, values, strict=True)), members)
        found.append(((*key[:-1], *map(_order, values)), line))
    found.sort(key=lambda pair: pair[0])
    return [line for _, line in found]


def _metric(row: Row) -> r.Metric:
    name, description, unit = (stored.text(row[column]) for column in ("name", "description", "unit"))
    numbers = row["metric_type_id"], row["aggregation_temporality_id"], row["is_monotonic"]
    return r.Metric(name, description, unit, (), *numbers, ())


def _order(value: Any) -> tuple[int, float, bytes]:
    """Numbers by their size, then the rest by its text, then nothing."""
    if value is None:
        return 2, 0, b""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, value, b""
    return 1, 0, msgspec.json.encode(value)
