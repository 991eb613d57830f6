"""Answers for tests of their drawings: small ones in a few words, and any that hypothesis can think of."""

from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from msgspec import Struct

from queries import answers

T0 = 1_790_000_000_123_456_789
"""2026-09-21 14:13:20.123456789 UTC."""
MS = 1_000_000
TRACE_ID = "5b8efff798038103d269b633813fc60c"
WINDOW = answers.TimeWindow(T0 - 3_600_000 * MS, T0)
PAGE: dict[str, Any] = {"total": 0, "total_relation": "eq", "has_more": False, "next_cursor": None, "window": WINDOW}

S = TypeVar("S", bound=Struct)
_ZEROES: dict[Any, Any] = {str: "", int: 0, bool: False, Any: None, answers.Name: 0, answers.Attributes: {}}


def make(kind: type[S], /, **given: Any) -> S:
    """A struct of these values, everything else as empty as it may be."""
    values = {name: _zero(hint) for name, hint in get_type_hints(kind).items() if name in kind.__struct_fields__}
    return kind(**(values | given))


def _zero(hint: Any) -> Any:
    if NoneType in get_args(hint):
        return None
    return [] if get_origin(hint) is list else _ZEROES.get(hint)


def span(number: int, start_ms: float, took_ms: float, **given: Any) -> answers.SpanInTree:
    """A span that begins so long after T0; `parent` is the number of another one."""
    parent, start = given.pop("parent", None), T0 + int(start_ms * MS)
    about: dict[str, Any] = {"name": "work", "kind": "server", "service_name": "shop", "status": "unset"}
    return make(
        answers.SpanInTree,
        **about
        | {
            "trace_id": TRACE_ID,
            "span_id": f"{number:016x}",
            "parent_span_id": None if parent is None else f"{parent:016x}",
            "start_time_unix_nano": start,
            "duration_nanos": int(took_ms * MS),
        }
        | given,
    )


def trace(**given: Any) -> answers.Trace:
    """A trace in a list."""
    about: dict[str, Any] = {"trace_id": TRACE_ID, "start_time_unix_nano": T0, "duration_nanos": 12_345_678}
    about |= {"span_count": 15, "root_span_name": "GET /cart", "has_root": True, "service_name": "shop"}
    return make(answers.Trace, **(about | given))


def whole(*spans: answers.SpanInTree, **given: Any) -> answers.WholeTrace:
    """A trace of these spans."""
    services = sorted({item.service_name for item in spans})
    about: dict[str, Any] = {
        "trace_id": TRACE_ID,
        "start_time_unix_nano": T0,
        "spans": list(spans),
        "services": services,
    }
    about |= {"span_count": len(spans), "error_count": sum(item.status == "error" for item in spans)}
    about["duration_nanos"] = max((i.start_time_unix_nano + i.duration_nanos for i in spans), default=T0) - T0
    return make(answers.WholeTrace, **(about | given))


def log(after_ms: int, body: Any, **given: Any) -> answers.Log:
    """A log record that was made so long after T0."""
    about: dict[str, Any] = {"severity_number": 9, "service_name": "shop"}
    return make(answers.Log, time_unix_nano=T0 + after_ms * MS, body=body, **(about | given))


def line(points: list[Any], **given: Any) -> answers.Line:
    """A series of these points."""
    about: dict[str, Any] = {"metric_name": "requests", "metric_type": "gauge", "service_name": "shop", "resource": {}}
    return make(answers.Line, data_points=points, scope=answers.ScopeName(None, None), **(about | given))


def numbers(*values: answers.Number, step_ms: int = 10_000) -> list[answers.NumberPoint]:
    """Points of these values, newest first as an answer has them."""
    points = [
        make(answers.NumberPoint, time_unix_nano=T0 + place * step_ms * MS, value=value)
        for place, value in enumerate(values)
    ]
    return points[::-1]


def lines_of(kind: type[S], records: list[Any], **given: Any) -> S:
    """A page of these records."""
    return make(kind, **(PAGE | {"total": len(records), kind.records: records} | given))  # type: ignore[attr-defined]


TEXTS = st.text(max_size=60) | st.text("ab \n\x1b\x9b\u202e\u0301日🎉👩\u200d\ufe0f한\x00\ud800…", max_size=60)
INTEGERS = st.sampled_from([0, 1, -1, T0, (1 << 63) - 1, (1 << 64) - 1, -(1 << 63), 10**40]) | st.integers()
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
_STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: INTEGERS,
    float: st.floats(),
    bool: st.booleans(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    NoneType: st.none(),
    Any: VALUES,
}


def anything(hint: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Any value of a type that an answer's field may have."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _STRATEGIES:
        return _STRATEGIES[hint]
    if origin in (Union, UnionType):
        return st.one_of([anything(argument, depth) for argument in arguments])
    if origin is dict:
        return st.dictionaries(TEXTS, VALUES, max_size=4)
    if origin is list:
        return st.lists(anything(arguments[0], depth + 1), max_size=max(1, 6 - 2 * depth))
    hints = {name: found for name, found in get_type_hints(hint).items() if name in hint.__struct_fields__}
    strategies = {name: anything(found, depth) for name, found in hints.items()}
    if "next_cursor" in strategies:
        strategies["next_cursor"] = st.none() | st.text("aZ09-_", min_size=1, max_size=90)
    if hint is answers.Line:
        points = [answers.NumberPoint, answers.HistogramPoint, answers.ExponentialPoint, answers.SummaryPoint]
        strategies["data_points"] = st.one_of([anything(list[point], depth) for point in points])  # type: ignore[valid-type]
    return st.builds(hint, **strategies)
