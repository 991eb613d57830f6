"""The last lines of a list: how much of what was found is shown, of which window, and what to type for more."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from queries import text_values as values
from queries.answers import TimeWindow
from queries.params import ALL_TIME
from queries.text_cells import Style, wrapped
from queries.text_tables import title

_TRY = "/api/services?since=24h&format=text says what has sent here, and when"
_TRY_OF = {
    "series": "/api/metrics?format=text lists the metrics that there are",
    "exemplars": "/api/metrics?format=text lists the metrics that there are",
    "services": "senders POST OTLP to /v1/traces, /v1/logs and /v1/metrics",
}
SAID = {
    ("adjusted", True): "Adjusted for sampling: a span counts for as many as its tracestate says it stands for.",
    ("complete", False): "Not complete: the latest spans of some minutes could not be counted in time.",
    ("sampled", True): "Of records only the newest were looked at.",
}
"""What there is to say of a field that has this value; of others nothing is."""
_NEXT = "-Gd cursor="
"""Options of curl that append to the query of any URL before them, however that is quoted."""


def closing(content: Struct, records: Sequence[Any], style: Style) -> list[str]:
    """What a list says about itself; of an empty one, what to try instead."""
    name = _name(content, records)
    window = getattr(content, "window", None)
    when = _when(window) if isinstance(window, TimeWindow) else ""
    if not records:
        return wrapped(_nothing(content, name, when), style.width)
    lines = ["", *wrapped(f"{_count(content, records, name)}{when}", style.width)]
    for (field, value), text in SAID.items():
        if getattr(content, field, None) is value:
            lines += wrapped(text, style.width)
    cursor = getattr(content, "next_cursor", None)
    return lines if cursor is None else [*lines, *_next(cursor, style)]


def _name(content: Struct, records: Sequence[Any]) -> str:
    """What the records are called: as the field that has them."""
    name: str = type(content).records  # type: ignore[attr-defined]
    fields = (field for field in content.__struct_fields__ if getattr(content, field) == records)
    return title(name if name in content.__struct_fields__ else next(fields, name)).lower()


def _count(content: Struct, records: Sequence[Any], name: str) -> str:
    counted, shown, rows = name, len(records), ""
    # Of an aggregation it is the lines that are counted.
    if hasattr(records[0], "data_points") and getattr(content, "aggregation", None) is None:
        counted, shown = "data points", sum(len(series.data_points) for series in records)
        rows = f" in {values.counted(len(records), name)}"
    total = getattr(content, "total", shown)
    if getattr(content, "total_relation", "eq") == "gte":
        return f"{shown:,} of {total:,} or more {counted}{rows}"
    of = f"{shown:,} of " if total != shown else ""
    return f"{of}{values.counted(total, counted)}{rows}"


def _when(window: TimeWindow) -> str:
    if (window.start_time, window.end_time) == ALL_TIME:
        return " of all time"
    start, end = values.moment(window.start_time, 0), values.moment(window.end_time, 0)
    end = end[11:] if end[:10] == start[:10] else end
    return f" from {start} to {end} UTC ({values.duration(window.end_time - window.start_time)})"


def _next(cursor: str, style: Style) -> list[str]:
    """The options on a line of their own; where that is too short, on several that a shell reads as one."""
    text = f"{_NEXT}{cursor}"
    lines = []
    while len(text) > style.width:
        lines.append(text[: style.width - 1] + "\\")
        text = text[style.width - 1 :]
    return [*wrapped("Next page: the same command, followed by", style.width), *lines, text]


def _nothing(content: Struct, name: str, when: str) -> str:
    if total := getattr(content, "total", 0):
        return f"No more {name}{when}: there are {total:,} in all, leave out offset and cursor."
    longer = "a longer window (since=24h) or " if when.endswith(")") else ""
    return f"No {name}{when}. Try {longer}fewer filters; {_TRY_OF.get(name, _TRY)}."
