"""Typed settings: what can be set, to what, and what holds between them; the only reader of the environment.

Layers, each over the one before: the packaged `config/postel.yaml`, which holds every default; a mounted file;
`POSTEL_*` variables; flags. A value is checked in whichever layer it stands, also where a later one replaces it.
"""

import os
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import asdict

from exporter.documents import Document, one_line
from exporter.errors import ConfigurationError
from exporter.quantities import (
    Parser,
    address,
    between,
    integer,
    one_of,
    optional,
    origins,
    path,
    postgres_url,
    seconds,
    share,
    size_in_bytes,
)
from exporter.settings_layers import (
    CONFIG_VARIABLE,
    Given,
    Layer,
    from_document,
    from_environment,
    from_flags,
)
from exporter.settings_rules import Rule, contradictions
from exporter.stamps import stamp

S = TypeVar("S", bound=Struct)

Natural = Annotated[int, between(integer, "0", "1000000000")]
Count = Annotated[int, between(integer, "1", "1000000000")]
Bytes = Annotated[int, between(size_in_bytes, "1KiB", "1024GiB")]
Timeout = Annotated[float, between(seconds, "10ms", "1h")]
Age = Annotated[float, between(seconds, "0s", "36500d")]
Kept = Annotated[float | None, optional(between(seconds, "0s", "36500d"))]
_INTERVAL = one_of(seconds, "1h", "6h", "1d", "1w")
Interval = Annotated[float | None, optional(_INTERVAL)]


class Intervals(Struct, frozen=True):
    """Seconds of one partition of each signal; None = `partition_interval`."""

    spans: Interval
    logs: Interval
    metrics: Interval


class Retention(Struct, frozen=True):
    """Seconds that each signal is kept, and bytes that all of them may take together; None = for ever, any. By rules,
    what is kept shorter."""

    spans: Kept
    logs: Kept
    metrics: Kept
    max_size: Annotated[int | None, optional(between(size_in_bytes, "1MiB", "1024TiB"))]
    rules: Annotated[tuple[Rule, ...], Rule] = ()


class Verdict(Struct, frozen=True):
    """When an attribute key leaves the series for the row: its own rule, and the guard over all keys."""

    new_value_share: Annotated[float, share]
    min_distinct: Natural
    max_distinct: Count
    series_tokens: Natural
    records_per_series: Count
    recent_series: Count


class Settings(Struct, frozen=True):
    """Every setting; durations are seconds, sizes bytes. `config/postel.yaml` says what each one means.

    `given` is what was written for each dotted key, and where.
    """

    bind: Annotated[str, address]
    data_dir: Annotated[Path, path]
    database_url: Annotated[str | None, optional(postgres_url)]
    attribute_overrides: Annotated[Path | None, optional(path)]
    ingest_token_file: Annotated[Path | None, optional(path)]
    read_token_file: Annotated[Path | None, optional(path)]
    tls_certificate: Annotated[Path | None, optional(path)]
    tls_key: Annotated[Path | None, optional(path)]
    tls_client_ca: Annotated[Path | None, optional(path)]
    cors_origins: Annotated[tuple[str, ...] | None, optional(origins)]
    max_body_bytes: Bytes
    max_attribute_value_bytes: Annotated[int, between(size_in_bytes, "16B", "1GiB")]
    max_attributes: Count
    max_header_bytes: Annotated[int, between(size_in_bytes, "1KiB", "1MiB")]
    max_value_depth: Annotated[int, between(integer, "1", "64")]
    max_body_records: Count
    body_stall_timeout: Timeout
    body_timeout: Timeout
    idle_timeout: Timeout
    max_waiting_connections: Count
    request_deadline: Timeout
    max_inflight_bytes: Bytes
    shutdown_grace: Annotated[float, between(seconds, "3s", "1h")]
    writers: Annotated[int, between(integer, "1", "16")]
    readers: Annotated[int, between(integer, "1", "3")]
    max_group_rows: Count
    max_group_bytes: Bytes
    statement_timeout: Timeout
    dedup_window: Age
    accept_past: Age
    accept_future: Age
    partition_interval: Annotated[float, _INTERVAL]
    partition_intervals: Intervals
    partitions_ahead: Annotated[int, between(integer, "1", "100")]
    retention: Retention
    max_rejected_bytes: Bytes
    rejected_retention: Age
    max_cached_attributes: Count
    max_cached_series: Count
    max_cached_resources: Count
    verdict: Verdict
    given: tuple[tuple[str, Given], ...]

    @property
    def intervals(self) -> dict[str, float]:
        """Seconds of one partition, by signal."""
        given: dict[str, float | None] = asdict(self.partition_intervals)
        return {signal: self.partition_interval if own is None else own for signal, own in given.items()}


def _fields(struct: type[Struct]) -> dict[str, Any]:
    return get_type_hints(struct, include_extras=True)


def _is_section(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, Struct)


def _declared(struct: type[Struct], prefix: str = "") -> Iterator[tuple[str, Parser[Any] | type[Struct]]]:
    for name, hint in _fields(struct).items():
        if _is_section(hint):
            yield from _declared(hint, f"{prefix}{name}.")
        elif get_origin(hint) is Annotated:
            yield prefix + name, get_args(hint)[1]


def _parsers(struct: type[Struct]) -> dict[str, Parser[Any]]:
    return {key: parser for key, parser in _declared(struct) if not _is_section(parser)}


KEYS: Final[Mapping[str, Parser[Any]]] = MappingProxyType(_parsers(Settings))
"""Every setting's dotted key -> the parser of its text."""
LISTS: Final[Mapping[str, type[Struct]]] = MappingProxyType(
    {key: item for key, item in _declared(Settings) if isinstance(item, type) and issubclass(item, Struct)}
)
"""The dotted key of every setting that is a list -> what each item is."""
_ITEM_KEYS: Final = MappingProxyType({key: tuple(_parsers(item)) for key, item in LISTS.items()})


def load(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force.

    Takes a file (else the one that POSTEL_CONFIG names), an environment (else this process's) and flags as dotted
    key -> text. Raises ConfigurationError with one line per problem, of all layers together.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    packaged = Document("config/postel.yaml", files("config").joinpath("postel.yaml").read_bytes())
    packaged_layer = from_document(packaged, KEYS, _ITEM_KEYS)
    defaults = {key: found._replace(is_default=True) for key, found in packaged_layer.items()}
    layers = [defaults, _mounted(config, environ, problems)]
    layers.append(from_environment(environ, KEYS, problems))
    layers.append(from_flags(flags or {}, KEYS, problems))
    given: Layer = {}
    values: dict[str, Any] = {}
    for layer in layers:
        given |= layer
        values |= {key: _parsed(key, text, problems) for key, text in layer.items()}
    if not problems:
        _find_overrides(values, given, problems)
        problems += _contradictions(values, given)
    if problems:
        raise ConfigurationError(*problems)
    return _built(Settings, values | {"given": tuple(given.items())})


def _mounted(config: Path | None, environ: Mapping[str, str], problems: list[str]) -> Layer:
    if config is None and CONFIG_VARIABLE in environ:
        config = Path(environ[CONFIG_VARIABLE])
    if config is None:
        return {}
    try:
        document = Document.read(config)
    except ConfigurationError as error:
        problems += error.problems
        return {}
    layer = from_document(document, KEYS, _ITEM_KEYS)
    problems += document.problems
    return layer


def _parsed(key: str, given: Given, problems: list[str]) -> Any:
    if key in LISTS:
        items = enumerate(given.items)
        return tuple(_item(LISTS[key], f"{key}[{index}]", *item, problems) for index, item in items)
    return _value(key, KEYS[key], given, problems)


def _item(struct: type[S], path: str, origin: str, layer: Layer, problems: list[str]) -> S | None:
    """One item of a list; None where something is wrong with it."""
    parsers, known = _parsers(struct), len(problems)
    values = {name: _value(f"{path}.{name}", parsers[name], given, problems) for name, given in layer.items()}
    problems += [f"{origin}: {path}.{name}: must be given" for name in _required(struct) if name not in values]
    return _built(struct, values) if len(problems) == known else None


def _required(struct: type[Struct]) -> Iterator[str]:
    return (
        name
        for name in struct.__struct_fields__[: -len(struct.__struct_defaults__) or None]
        if name in _parsers(struct)
    )


def _value(key: str, parse: Parser[Any], given: Given, problems: list[str]) -> Any:
    try:
        return parse(given.text)
    except ValueError as error:
        # A database URL holds a password, and problems end up in logs.
        shown = "" if key == "database_url" else f"; is {given.text}"
        problem, _, hint = str(error).partition("; ")
        problems.append(one_line(f"{given.origin}: {key}: {problem}{shown}{hint and f', {hint}'}"))
    return None


def _find_overrides(values: Mapping[str, Any], given: Layer, problems: list[str]) -> None:
    """Only the default may lead nowhere: the ConfigMap is optional, and may be made later."""
    key = "attribute_overrides"
    file: Path | None = values[key]
    if file is None or given[key].is_default:
        return
    try:
        problem = "" if stamp(file) else "no such file"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    if problem:
        problems.append(f"{given[key].origin}: {key}: {problem}; is {file}")


def _contradictions(values: Mapping[str, Any], given: Layer) -> Iterator[str]:
    def said(key: str, other: str, message: str) -> str:
        return f"{given[key].origin}: {key}: must be {message} {other} ({given[other].origin})"

    if values["max_inflight_bytes"] < 4 * values["max_body_bytes"]:
        yield said("max_inflight_bytes", "max_body_bytes", "at least 4 times")
    if values["statement_timeout"] >= values["request_deadline"]:
        yield said("statement_timeout", "request_deadline", "shorter than")
    if (values["tls_certificate"] is None) != (values["tls_key"] is None):
        yield said("tls_key", "tls_certificate", "given together with")
    if values["tls_client_ca"] is not None and values["tls_certificate"] is None:
        yield said("tls_client_ca", "tls_certificate", "given together with")
    if values["verdict.min_distinct"] >= values["verdict.max_distinct"]:
        yield said("verdict.min_distinct", "verdict.max_distinct", "less than")
    yield from contradictions("retention.rules", values["retention.rules"], values, given)


def _built(struct: type[S], values: Mapping[str, Any], prefix: str = "") -> S:
    fields = {
        name: _built(hint, values, f"{prefix}{name}.") if _is_section(hint) else values[prefix + name]
        for name, hint in _fields(struct).items()
        if _is_section(hint) or prefix + name in values
    }
    return struct(**fields)
