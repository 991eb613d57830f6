"""The trials as Markdown: a column a peer, ratios to Postel, and the targets of those ratios."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.figures import MIB, markdown
from bench.peers.results import Load, Trial

POSTEL = "postel"
RATE_TARGETS: Mapping[str, float] = {"postgresexporter": 20, "phoenix": 100, "mlflow": 100}
"""How many times a peer's durable spans/s Postel's have to be."""
BYTES_TARGET = 0.5
"""Postel's bytes a span have to be at most this much of a peer's."""

_NOTHING = "-"


def table(trials: Sequence[Trial]) -> str:
    """A Markdown table, then what was missing, refused and given, a line for each peer."""
    rows = [[title, *map(cell, trials)] for title, cell in _rows(trials)]
    return "\n".join([markdown(["", *(trial.title for trial in trials)], rows), "", *_remarks(trials)])


def missed(trials: Sequence[Trial]) -> list[str]:
    """The targets that were not met, each in a line."""
    lines = []
    postel = _load_of(trials, POSTEL)
    for trial in trials:
        if postel is None or trial.load is None or trial.name not in RATE_TARGETS:
            continue
        target = RATE_TARGETS[trial.name]
        if trial.load.rate and postel.rate / trial.load.rate < target:
            lines.append(f"{postel.rate / trial.load.rate:.1f} x the rate of {trial.title}, the target is {target:.0f}")
        share = _share_of_bytes(postel, trial.load)
        if share is not None and share > BYTES_TARGET:
            lines.append(f"{share:.2f} of the bytes of {trial.title}, the target is {BYTES_TARGET:.2f}")
    return lines


def _rows(trials: Sequence[Trial]) -> Iterator[tuple[str, Callable[[Trial], str]]]:
    postel = _load_of(trials, POSTEL)
    yield "version", lambda trial: trial.version
    yield "spans sent, in bodies of 1,000", _of_load(lambda load: f"{load.sent:,}")
    yield "spans acknowledged", _of_load(lambda load: f"{load.acknowledged:,}")
    yield "spans stored", _of_load(lambda load: f"{load.stored:,}")
    yield "**durable spans/s**", _of_load(lambda load: f"**{_short(load.rate)}**")
    yield "acknowledged spans/s", _of_load(lambda load: _short(load.acknowledged_rate))
    yield "last acknowledgement to last row visible, s", _of_load(lambda load: f"{load.lag_s:.1f}")
    yield "Postel's durable rate, times the peer's", lambda trial: _rate_cell(postel, trial)
    yield "bytes/span with indexes", _of_load(lambda load: f"{load.bytes_per_span:,.0f}" if load.stored else _NOTHING)
    yield "Postel's bytes, of the peer's", lambda trial: _bytes_cell(postel, trial)
    yield "server's CPU, µs/span", _of_load(lambda load: _per_span(load, load.server_cpu_s))
    yield "PostgreSQL's CPU, µs/span", _of_load(lambda load: _per_span(load, load.postgres_cpu_s))
    yield "server's memory, MiB, idle / peak", _of_load(_memory)
    yield "rows that a body of 1,000, sent twice, adds", _repeated_cell
    yield "lost by kill -9 after the acknowledgement", _killed_cell
    yield "fields of a span found nowhere", _fields_cell


def _remarks(trials: Sequence[Trial]) -> Iterator[str]:
    for trial in trials:
        yield f"- {trial.title}: {trial.given}."
        if trial.missing_fields:
            yield f"  - Not found in its tables: {', '.join(trial.missing_fields)}."
        for answer, spans in (trial.load.refused if trial.load else {}).items():
            yield f"  - Refused {spans:,} spans of the load: `{_code(answer)}`."
        for answer in trial.repeated.refused if trial.repeated else ():
            yield f"  - Refused the body that came twice: `{_code(answer)}`."
        if trial.problem:
            yield f"  - Not finished: `{_code(trial.problem)}`."


def _of_load(figure: Callable[[Load], str]) -> Callable[[Trial], str]:
    return lambda trial: _NOTHING if trial.load is None else figure(trial.load)


def _rate_cell(postel: Load | None, trial: Trial) -> str:
    if postel is None or trial.load is None or not trial.load.rate or trial.name == POSTEL:
        return _NOTHING
    ratio, target = postel.rate / trial.load.rate, RATE_TARGETS.get(trial.name, 1.0)
    return f"**{_short(ratio)}**; target ≥ {target:.0f}: {_verdict(ratio >= target)}"


def _bytes_cell(postel: Load | None, trial: Trial) -> str:
    share = _share_of_bytes(postel, trial.load)
    if share is None or trial.name == POSTEL:
        return _NOTHING
    return f"**{share:.2f}**; target ≤ {BYTES_TARGET:.2f}: {_verdict(share <= BYTES_TARGET)}"


def _repeated_cell(trial: Trial) -> str:
    repeated = trial.repeated
    if repeated is None:
        return _NOTHING
    return f"{repeated.added:,}" + ("" if repeated.acknowledged == repeated.spans else ", and it is refused")


def _killed_cell(trial: Trial) -> str:
    killed = trial.killed
    return _NOTHING if killed is None else f"{killed.acknowledged - killed.stored:,} of {killed.acknowledged:,}"


def _fields_cell(trial: Trial) -> str:
    return _NOTHING if trial.missing_fields is None else f"{len(trial.missing_fields)}"


def _memory(load: Load) -> str:
    return f"{load.idle_rss_bytes / MIB:,.0f} / {load.peak_rss_bytes / MIB:,.0f}"


def _per_span(load: Load, cpu_s: float) -> str:
    return f"{cpu_s / load.stored * 1e6:,.0f}" if load.stored else _NOTHING


def _share_of_bytes(postel: Load | None, load: Load | None) -> float | None:
    if postel is None or load is None or not load.bytes_per_span:
        return None
    return postel.bytes_per_span / load.bytes_per_span


def _load_of(trials: Sequence[Trial], name: str) -> Load | None:
    return next((trial.load for trial in trials if trial.name == name), None)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
