"""Series of data points: under the name of each metric a line a series, with its curve and what is worth a number."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from queries import text_values as values
from queries.text_cells import BOLD, CYAN, MARK, Cell, Style, clean, line, wrapped
from queries.text_curves import COUNT, INCREASE, MEAN, Bound, Curve, curve, sparkline, step
from queries.text_records import kind
from queries.text_tables import Column, Rest, table

_TELLING = ("service.instance.id", "k8s.pod.name", "host.name", "container.id", "process.pid")
"""Resource attributes that tell copies of a service apart."""
_MOST_LABELS = 6
_MOST_TRACES = 2
_WHAT = {INCREASE: "increase from point to point", MEAN: "mean from point to point"}
_SERVICE = "service.name"


def series(found: Sequence[Any], style: Style) -> list[str]:
    """Series by metric, in the order in which the metrics first appear."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for one in found:
        groups.setdefault((_of(one, "metric_name"), _of(one, "metric_type"), _of(one, "unit")), []).append(one)
    return [text for group in groups.values() for text in ["", *_group(sorted(group, key=_order), style)]][1:]


def _order(one: Any) -> list[str]:
    return [values.compact(found) for found in _attributes(one).values()]


def _of(one: Any, name: str) -> Any:
    return getattr(one, name, None)


def _group(group: Sequence[Any], style: Style) -> list[str]:
    curves = [curve(one) for one in group]
    what = max(curves, key=lambda found: len(found.places)).what
    # Of a counter with one point it is not known by how much it grew.
    curves = [found if found.what == what else Curve(what, []) for found in curves]
    unit = None if what == COUNT else _of(group[0], "unit")
    times = [moment for found in curves for moment, _ in found.places] or [0]
    axis = min(times), max(times) + step([found.places for found in curves])
    labels, common = _labels(group)
    columns = [
        *labels,
        *_numbers(curves, unit),
        _bounds("P50", [found.p50 for found in curves], unit, 2),
        _bounds("P95", [found.p95 for found in curves], unit, 1),
    ]
    rest = Rest(
        what.upper(),
        style.width * 7 // 20,
        lambda room: [Cell(sparkline(found.places, *axis, room)) for found in curves],
    )
    when = f"{_WHAT.get(what, what)}, {_when(min(times), max(times))}"
    about = wrapped("  ".join([when, *common]), style.width)
    below = wrapped(said, style.width) if (said := _exemplars(group)) else ()
    return [*_heading(group[0], style), *about, *table(columns, style, rest), *below]


def _exemplars(group: Sequence[Any]) -> str:
    """Which traces the newest exemplars point at, and where to ask for all of them."""
    points = sorted((point for one in group for point in one.data_points), key=lambda point: -point.time_unix_nano)
    found = (exemplar.trace_id for point in points for exemplar in getattr(point, "exemplars", ()))
    ids = list(dict.fromkeys(clean(trace_id) for trace_id in found if trace_id))
    if not ids:
        return ""
    told = f"Exemplars of {'traces' if len(ids) > 1 else 'trace'} {', '.join(ids[:_MOST_TRACES])}"
    more = f" and {len(ids) - _MOST_TRACES:,} more" if len(ids) > _MOST_TRACES else ""
    name = quote(_of(group[0], "metric_name") or "", safe="", errors="replace")
    return f"{told}{more}: /api/metrics/exemplars?name={name}&format=text"


def _heading(one: Any, style: Style) -> list[str]:
    about = [kind(one.metric_type, one.aggregation_temporality, one.is_monotonic)] if _of(one, "metric_type") else []
    about += [clean(_of(one, name)) for name in ("unit", "description") if _of(one, name)]
    name = _of(one, "metric_name")
    return [line([Cell(clean(name), BOLD), Cell("  " + ", ".join(about))], style)] if name else []


def _when(first: int, last: int) -> str:
    start, end = values.moment(first, 0), values.moment(last, 0)
    end = end[11:] if end[:10] == start[:10] else end
    return f"{start} to {end} UTC" if first != last else f"{start} UTC"


def _numbers(curves: Sequence[Curve], unit: str | None) -> list[Column]:
    """What is lowest, highest and newest in each curve."""

    def column(title: str, choose: Callable[[Curve], float | None]) -> Column:
        return Column(title, [Cell(values.quantity(choose(found), unit)) for found in curves], True)

    return [
        column("MIN", lambda found: min(found.numbers(), default=None)),
        column("MAX", lambda found: max(found.numbers(), default=None)),
        column("LAST", lambda found: found.places[-1][1] if found.places else None),
    ]


def _bounds(title: str, bounds: Sequence[Bound | None], unit: str | None, rank: int) -> Column:
    texts = ["" if bound is None else bound.relation + values.quantity(bound.value, unit) for bound in bounds]
    return Column(title, [Cell(text) for text in texts], True, rank=_MOST_LABELS + rank)


def _labels(group: Sequence[Any]) -> tuple[list[Column], list[str]]:
    """What tells each series from the others, as columns; and what they have in common."""
    known = [_attributes(one) for one in group]
    keys = dict.fromkeys(key for own in known for key in own)
    told = {key: [values.compact(own[key]) if key in own else "" for own in known] for key in keys}
    common = {key: known[0][key] for key, texts in told.items() if len({*texts}) == 1}
    telling = {key: texts for key, texts in told.items() if key not in common}
    if len({*zip(*telling.values(), strict=True)}) < len(group) > 1:
        telling |= _copies(group)
    columns = [
        Column(_short(key), [Cell(text, CYAN if key == _SERVICE else "") for text in texts], least=8, rank=rank)
        for rank, (key, texts) in enumerate(list(telling.items())[:_MOST_LABELS])
    ]
    service = [clean(str(common.pop(_SERVICE)))] if _SERVICE in common else []
    return columns, [*service, *values.pairs(common)]


def _attributes(one: Any) -> dict[str, Any]:
    own: dict[str, Any] = one.attributes
    return {_SERVICE: one.service_name, **own} if _of(one, "service_name") else own


def _copies(group: Sequence[Any]) -> dict[str, list[str]]:
    """The resource attribute that tells most series apart: its key, and its text for each of them."""
    resources = [_of(one, "resource") or {} for one in group]
    told = {key: [values.compact(found.get(key, "")) for found in resources] for key in (*_TELLING, *resources[0])}
    key = max(told, key=lambda key: len({*told[key]}))
    return {key: told[key]}


def _short(key: str) -> str:
    """The end of a key, as much of it as says what it is."""
    if key == _SERVICE:
        return "SERVICE"
    *before, end = clean(key).split(".")
    kept = [*before[-1:], end] if len(end) <= 4 else [end]
    return (MARK if len(before) >= len(kept) else "") + ".".join(kept)
