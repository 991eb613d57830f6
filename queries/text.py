"""Answers as text for a terminal: every type of record has its drawing, and whatever has none is a table."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from queries import answers, answers_metrics, text_records, text_storage
from queries.answers_attributes import Attribute
from queries.answers_config import Configuration
from queries.answers_storage import Storage
from queries.text_cells import Style, wrapped
from queries.text_closing import SAID, closing
from queries.text_config import configuration
from queries.text_series import series
from queries.text_tables import Lines, any_records, is_records, scalars
from queries.text_waterfall import waterfall

_DRAWINGS: dict[type[Struct], Lines] = {
    answers.Trace: text_records.traces,
    answers.Span: text_records.spans,
    answers.Log: text_records.logs,
    answers.Metric: text_records.metrics,
    Attribute: text_storage.attributes,
    answers_metrics.MetricExemplar: text_records.exemplars,
}
_WHOLE: dict[type[Struct], Callable[[Any, Style], list[str]]] = {
    answers.WholeTrace: waterfall,
    Configuration: configuration,
    Storage: text_storage.storage,
}
"""Answers that are drawn as one."""


def draw(content: Struct, style: Style) -> str:
    """An answer as lines of text, none of them wider than the terminal."""
    whole = next((drawing for kind, drawing in _WHOLE.items() if isinstance(content, kind)), _listed)
    lines = whole(content, style)
    return "".join(f"{text}\n" for text in lines)


def _listed(content: Struct, style: Style) -> list[str]:
    records: Sequence[Any] = getattr(content, type(content).records)  # type: ignore[attr-defined]
    if not records:
        return closing(content, records, style)
    told = _told(content, records)
    others = {name: found for name, found in told.items() if found and is_records(found)}
    file = told.pop("suggestions", None)
    about = scalars({name: found for name, found in told.items() if name not in others})
    lines = [*(wrapped(about, style.width) if about else ()), *_drawn(records, style)]
    for found in others.values():
        lines += ["", *_drawn(found, style)]
    return [*lines, *closing(content, records, style), *(text_storage.file(file, style) if file else ())]


def _told(content: Struct, records: Sequence[Any]) -> dict[str, Any]:
    """What an answer says that neither its records nor its last lines say again."""
    said_below = {"window", *answers.Page.__struct_fields__} | {field for field, _ in SAID}
    names = [name for name in content.__struct_fields__ if name not in said_below]
    told = {name: getattr(content, name) for name in names if not hasattr(records[0], name)}
    return {name: found for name, found in told.items() if found is not records}


def _drawing(record: object) -> Lines | None:
    if hasattr(record, "data_points"):
        return series
    return next((drawing for kind, drawing in _DRAWINGS.items() if isinstance(record, kind)), None)


def _drawn(records: Sequence[Any], style: Style) -> list[str]:
    drawing = _drawing(records[0])
    return drawing(records, style) if drawing else any_records(records, style, _drawn)
