"""The parameters of the API: one typed struct an endpoint, each field with the parser of its text.

A name that no field has is refused with the nearest one, so that a slip of the hand never widens a query.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct

from exporter.otlp.records import LOGS, METRICS, SPANS
from queries.errors import QueryError
from queries.filters import ATTR, EVENT, RESOURCE, SCOPE, Filter, parse
from queries.hints import nearest
from queries.semantics import PREFIXES
from queries.values import (
    duration,
    hex_id,
    moment,
    one_of,
    severity_number,
    size,
    span_kind,
    span_status,
    text,
    truth,
    whole,
)

P = TypeVar("P", bound=Struct)

MAX_LIMIT = 1000
MAX_OFFSET = 100_000
MAX_FILTERS = 32
MAX_TIME = (1 << 63) - 1
DEFAULT_WINDOW_NANO = 3_600_000_000_000
JSON, NDJSON, TEXT, OTLP, SSE = "json", "ndjson", "text", "otlp", "sse"
DEFAULT_WIDTH = 100
SIGNALS = (SPANS, LOGS, METRICS, RESOURCE, SCOPE)
"""What has attributes that can be asked for, as promotion lists call it."""


class Window(NamedTuple):
    """From `start` inclusive to `end` exclusive, by the time that records are filed under; unix nanoseconds."""

    start: int
    end: int


ALL_TIME = Window(0, MAX_TIME)
SemanticTypes: TypeAlias = Annotated[list[str], one_of(*PREFIXES)]
_NOT_OF_TAILS = dict.fromkeys(
    ("limit", "offset", "cursor", "count", "start_time", "end_time", "since"),
    "a tail begins now and has no pages: leave out /tail for what was stored before",
) | dict.fromkeys(("width", "color"), "a tail is not drawn for a terminal")
"""What a search takes and a tail of the same does not -> what to do instead."""


_NOT_OF_RECORDS = {
    "adjusted": "a list has the spans that are stored, and total counts them: "
    "/api/services/SERVICE/operations?adjusted=true says how many they stand for"
}


class Shown(Struct, kw_only=True):
    """What form the answer has; text is drawn for a terminal of `width` columns."""

    takes_no: ClassVar[Mapping[str, str]] = {}
    """Parameters that are declared further up and not taken here -> what to type instead."""
    format: Annotated[str | None, one_of(JSON, NDJSON, TEXT)] = None
    color: Annotated[str, one_of("always", "never")] = "never"
    width: Annotated[int, whole(40, 500)] = DEFAULT_WIDTH


class Paged(Shown, kw_only=True):
    """How much is asked for, from where on."""

    limit: Annotated[int | None, whole(1, MAX_LIMIT)] = None
    offset: Annotated[int, whole(0, MAX_OFFSET)] = 0
    cursor: Annotated[str | None, text] = None
    count: Annotated[str | None, one_of("exact")] = None
    filters: list[tuple[str, Filter]] = []
    """Filters on attributes, each with its prefix: what it is on."""

    prefixes: ClassVar[tuple[str, ...]] = ()
    attributes_of: ClassVar[str] = SPANS
    """The signal that filters with the prefix `attr` are about."""

    def filters_on(self, prefix: str) -> list[Filter]:
        """The filters on the attributes of records, resources, scopes or events."""
        return [found for on, found in self.filters if on == prefix]


class Windowed(Paged, kw_only=True):
    """A page of what lies in a window of time."""

    start_time: Annotated[int | None, moment] = None
    end_time: Annotated[int | None, moment] = None
    since: Annotated[int | None, duration] = None

    def window(self, default_nano: int | None = DEFAULT_WINDOW_NANO) -> Window:
        """The window that is asked for; without a word about it the latest `default_nano`, None = all time."""
        if self.since is not None and self.start_time is not None:
            raise QueryError("since and start_time both say where to begin", "since", "give one of them")
        if self.since == 0:
            raise QueryError("since: must be longer than 0", "since", "for example since=15m")
        bounds = (self.start_time, self.end_time, self.since)
        if default_nano is None and bounds == (None, None, None):
            return ALL_TIME
        end = time.time_ns() if self.end_time is None else self.end_time
        start = self.start_time
        if start is None:
            start = max(0, end - (self.since or default_nano or end))
        if start >= end:
            said = "end_time" if self.end_time is not None else "now, as no end_time is given"
            raise QueryError(f"start_time must lie before {said}", "start_time", "for example since=15m")
        return Window(start, end)


class Serviced(Windowed, kw_only=True):
    """A page of what certain services sent in a window."""

    service: Annotated[list[str], text] = []
    namespace: Annotated[list[str], text] = []
    prefixes: ClassVar[tuple[str, ...]] = (ATTR, RESOURCE, SCOPE)


class OfTrace(Serviced, kw_only=True):
    """A page of what may belong to a trace."""

    trace_id: Annotated[bytes | None, hex_id(16)] = None
    span_id: Annotated[bytes | None, hex_id(8)] = None

    def window_of_trace(self) -> Window:
        """The window that is asked for; a trace is answered whole unless there is a word about it."""
        return self.window(DEFAULT_WINDOW_NANO if self.trace_id is None else None)


class TraceSearch(Serviced, kw_only=True):
    """GET /api/traces."""

    root_service: Annotated[list[str], text] = []
    name: Annotated[list[str], text] = []
    status: Annotated[str | None, one_of("error", "ok")] = None
    min_duration: Annotated[int | None, duration] = None
    max_duration: Annotated[int | None, duration] = None

    takes_no = _NOT_OF_RECORDS
    prefixes = (*Serviced.prefixes, EVENT)


class SpanSearch(OfTrace, kw_only=True):
    """GET /api/spans."""

    name: Annotated[list[str], text] = []
    kind: Annotated[list[int], span_kind] = []
    status: Annotated[int | None, span_status] = None
    min_duration: Annotated[int | None, duration] = None
    max_duration: Annotated[int | None, duration] = None
    semantic_type: SemanticTypes = []
    format: Annotated[str | None, one_of(JSON, NDJSON, TEXT, OTLP)] = None

    takes_no = _NOT_OF_RECORDS
    prefixes = (*OfTrace.prefixes, EVENT)


class WholeTrace(Shown, kw_only=True):
    """GET /api/traces/{trace_id}."""

    format: Annotated[str | None, one_of(JSON, NDJSON, TEXT, OTLP)] = None


class TraceSpans(Paged, kw_only=True):
    """GET /api/traces/{trace_id}/spans."""

    kind: Annotated[list[int], span_kind] = []
    name: Annotated[list[str], text] = []
    status: Annotated[int | None, span_status] = None
    semantic_type: SemanticTypes = []
    format: Annotated[str | None, one_of(JSON, NDJSON, TEXT, OTLP)] = None

    takes_no = _NOT_OF_RECORDS
    prefixes = SpanSearch.prefixes


class LogSearch(OfTrace, kw_only=True):
    """GET /api/logs."""

    severity: Annotated[int | None, severity_number] = None
    event_name: Annotated[list[str], text] = []
    q: Annotated[str | None, text] = None

    attributes_of = LOGS
    format: Annotated[str | None, one_of(JSON, NDJSON, TEXT, OTLP)] = None


class TraceLogs(Paged, kw_only=True):
    """GET /api/logs/trace/{trace_id} and what is below it."""

    format: Annotated[str | None, one_of(JSON, NDJSON, TEXT, OTLP)] = None

    attributes_of = LOGS


class SpanTail(SpanSearch, kw_only=True):
    """GET /api/spans/tail."""

    takes_no = _NOT_OF_TAILS
    format: Annotated[str | None, one_of(NDJSON, SSE)] = None


class LogTail(LogSearch, kw_only=True):
    """GET /api/logs/tail."""

    takes_no = _NOT_OF_TAILS
    format: Annotated[str | None, one_of(NDJSON, SSE)] = None


class MetricSearch(Serviced, kw_only=True):
    """GET /api/metrics."""

    name: Annotated[list[str], text] = []

    prefixes = (RESOURCE,)


class PointSearch(Serviced, kw_only=True):
    """GET /api/metrics/series: raw points, or with `aggregation` one value a `step` for each group of series."""

    name: Annotated[list[str], text] = []
    aggregation: Annotated[
        str | None, one_of("avg", "sum", "min", "max", "count", "rate", "increase", "p50", "p90", "p95", "p99")
    ] = None
    group_by: Annotated[list[str], text] = []
    step: Annotated[int | None, duration] = None
    format: Annotated[str | None, one_of(JSON, NDJSON, TEXT, OTLP)] = None

    attributes_of = METRICS


class ConfigSearch(Shown, kw_only=True):
    """GET /api/config."""

    format: Annotated[str | None, one_of(JSON, TEXT)] = None


class ExemplarSearch(OfTrace, kw_only=True):
    """GET /api/metrics/exemplars."""

    name: Annotated[list[str], text] = []


class TraceExemplars(Paged, kw_only=True):
    """GET /api/traces/{trace_id}/exemplars."""


class AttributeSearch(Serviced, kw_only=True):
    """GET /api/attributes."""

    signal: Annotated[list[str], one_of(*SIGNALS)] = []

    prefixes = ()


class AttributeValueSearch(Serviced, kw_only=True):
    """GET /api/attributes/{key}/values."""

    signal: Annotated[str | None, one_of(*SIGNALS)] = None

    prefixes = ()


class LabelSearch(Serviced, kw_only=True):
    """GET /api/metrics/labels, and GET /api/metrics/{name}/labels."""

    name: Annotated[list[str], text] = []
    attribute: Annotated[str | None, text] = None

    attributes_of = METRICS


class ServiceSearch(Windowed, kw_only=True):
    """GET /api/services."""

    namespace: Annotated[list[str], text] = []
    adjusted: Annotated[bool, truth] = False


class OperationSearch(Windowed, kw_only=True):
    """GET /api/services/{service}/operations."""

    namespace: Annotated[list[str], text] = []
    name: Annotated[list[str], text] = []
    kind: Annotated[list[int], span_kind] = []
    adjusted: Annotated[bool, truth] = False


class GraphSearch(Serviced, kw_only=True):
    """GET /api/services/graph."""

    adjusted: Annotated[bool, truth] = False

    prefixes = ()


class StorageSearch(Shown, kw_only=True):
    """GET /api/storage."""

    signal: Annotated[list[str], one_of(*SIGNALS)] = []
    budget: Annotated[int | None, size] = None
    limit: Annotated[int | None, whole(1, MAX_LIMIT)] = None


class Field(NamedTuple):
    """One parameter: what reads its text, and whether it may be given more than once."""

    parse: Callable[[str], Any]
    repeatable: bool


def fields(search: type[Struct]) -> dict[str, Field]:
    """The parameters of an endpoint by name."""
    hints = get_type_hints(search, include_extras=True)
    names = [name for name in search.__struct_fields__ if name != "filters" and name not in _takes_no(search)]
    declared = [(name, *get_args(hints[name])) for name in names]
    return {name: Field(parse, get_origin(kind) is list) for name, kind, parse in declared}


def prefixes(search: type[Struct]) -> tuple[str, ...]:
    """What an endpoint's filters on attributes begin with."""
    return getattr(search, "prefixes", ())


def filters_of(given: Shown) -> list[tuple[str, Filter]]:
    """The filters on attributes of a request, each with its prefix."""
    return given.filters if isinstance(given, Paged) else []


def signal_of(search: type[Shown]) -> str:
    """The signal that an endpoint's filters with the prefix `attr` are about."""
    return search.attributes_of if issubclass(search, Paged) else ""


def _takes_no(search: type[Struct]) -> Mapping[str, str]:
    return search.takes_no if issubclass(search, Shown) else {}


def formats_of(search: type[Shown]) -> tuple[str, ...]:
    """The forms that an endpoint answers in."""
    return fields(search)["format"].parse.names  # type: ignore[attr-defined,no-any-return]


def read(search: type[P], given: Iterable[tuple[str, str]]) -> P:
    """The parameters of one request. Raises QueryError for the first that is unknown, unreadable or given twice."""
    known, on = fields(search), prefixes(search)
    values: dict[str, Any] = {}
    for name, value in given:
        if name not in known:
            prefix, dot, _ = name.partition(".")
            if dot and prefix in on:
                values.setdefault("filters", []).append((prefix, parse(name, value)))
                continue
            hint = _takes_no(search).get(name) or nearest(name, known, on)
            raise QueryError(f"there is no parameter {name!r} here", name, hint)
        field = known[name]
        parsed = _parsed(name, value, field.parse)
        if field.repeatable:
            values.setdefault(name, []).append(parsed)
        elif name in values:
            raise QueryError(f"{name} is given twice", name, f"give {name} once")
        else:
            values[name] = parsed
    if len(values.get("filters", ())) > MAX_FILTERS:
        raise QueryError(f"more than {MAX_FILTERS} filters on attributes", hint="ask for less at a time")
    if values.get("cursor") == "":
        raise QueryError("cursor: is empty", "cursor", "leave it out to begin anew")
    if values.get("cursor") and values.get("offset"):
        raise QueryError("cursor and offset both say where to go on", "offset", "leave out offset: cursor is exact")
    return search(**values)


def _parsed(name: str, value: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        problem, _, hint = str(error).partition("; ")
        raise QueryError(f"{name}: {problem}", name, hint or None) from None
