"""Imports point one way: a module imports only what stands below it in the table here, which places every module."""

import pytest

from tests.house.source import imported_modules, module_name, shown, source_files

Layer = tuple[str, ...]

EXPORTER: tuple[Layer, ...] = (
    ("errors", "offload", "otlp.records"),
    ("otlp",),
    ("documents", "quantities", "shop"),
    ("stamps",),
    ("settings", "admission"),
    ("flags",),
    ("columns", "stretches"),
    ("database",),
    ("redaction",),
    ("promotion", "attributes", "blame"),
    ("overrides",),
    ("dimensions", "cardinality"),
    ("verdicts", "row_indexes", "filtered", "analyzing"),
    ("place", "check"),
    ("traces",),
    ("logs",),
    ("metrics",),
    ("batch",),
    ("partitions", "turns", "quarantine", "telemetry", "slices"),
    ("writer",),
    ("minutes", "dropping", "migrations", "integrity", "embedded"),
    ("body", "kept", "ingest", "access", "unread", "connection"),
    ("deletion",),
    ("retention", "erasure"),
    ("maintenance", "backfill", "roles", "grant"),
    ("sidecar",),
    ("app",),
    ("serve", "replay", "hashing", "erase"),
    ("client", "retry"),
    ("load", "export", "answer"),
    ("demo",),
    ("cli", "__main__"),
)
"""The modules of `exporter` from the bottom up; those of one layer may import each other.
A name also covers what is inside it (`otlp` covers `otlp.json`) and what it was split into (`shop`: `shop_visits`)."""

SIGNALS = ("traces", "logs", "metrics")
OPEN_TO_QUERIES = ("errors", "settings", "otlp", "columns", "stretches", *SIGNALS)
"""What `queries` may import from `exporter`: records and codecs, the columns of each signal, where in time they lie,
how to fail."""
DRIVER = "asyncpg"
DRIVER_OWNERS = {"exporter.database", "queries.database"}


def place(module: str) -> str | None:
    """The name in the table that covers this module of `exporter`, the most specific one; None where there is none."""
    names = [name for layer in EXPORTER for name in layer]
    covering = [name for name in names if f"{module}.".startswith((f"{name}.", f"{name}_"))]
    return max(covering, key=len, default=None)


def height(name: str) -> int:
    """The layer of a name in the table, 0 at the bottom."""
    return next(level for level, layer in enumerate(EXPORTER) if name in layer)


def may_import(importer: str, imported: str) -> bool:
    """Whether a name in the table may import another one."""
    if importer in SIGNALS and imported in SIGNALS:
        return importer == imported
    return height(imported) <= height(importer)


def imports_of(package: str, target: str) -> list[tuple[str, str, str]]:
    """(file, importing module, what it imports below `target`) of all modules of a package; names without package."""
    return [
        (shown(path), module_name(path).removeprefix(f"{package}.").removeprefix(package), name)
        for path in source_files(".py", package)
        for whole in imported_modules(path)
        if (name := whole.removeprefix(f"{target}.")) != whole or whole == target
    ]


def test_every_module_has_its_place() -> None:
    modules = [module_name(path) for path in source_files(".py", "exporter")]
    strangers = [name for name in modules if name != "exporter" and not place(name.removeprefix("exporter."))]
    assert not strangers, f"give them a place in EXPORTER (tests/house/test_dependencies.py): {strangers}"


def test_exporter_imports_downwards() -> None:
    wrong = []
    for file, module, imported in imports_of("exporter", "exporter"):
        above, below = place(module), place(imported)
        if above and below and not may_import(above, below):
            wrong.append(f"{file} imports exporter.{imported}, which is not below it")
        if not module:
            wrong.append(f"{file} imports exporter.{imported}: the package itself imports nothing")
    assert not wrong, "\n".join(wrong)


def test_exporter_imports_queries_only_in_app() -> None:
    wrong = [file for file, module, _ in imports_of("exporter", "queries") if place(module) != "app"]
    assert not wrong, f"only exporter/app.py joins reads to writes, not {wrong}"


def test_queries_imports_only_what_is_open_to_it() -> None:
    wrong = [
        f"{file} imports exporter.{imported}"
        for file, _, imported in imports_of("queries", "exporter")
        if place(imported) not in OPEN_TO_QUERIES and not imported.startswith("otlp")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ["sql", "config"])
def test_data_packages_import_nothing_of_ours(package: str) -> None:
    wrong = imports_of(package, "exporter") + imports_of(package, "queries")
    assert not wrong


def test_only_the_database_modules_import_the_driver() -> None:
    wrong = [
        shown(path)
        for path in source_files(".py", "exporter", "queries", "sql", "config")
        if module_name(path) not in DRIVER_OWNERS
        and any(name.split(".")[0] == DRIVER for name in imported_modules(path))
    ]
    assert not wrong, f"only {sorted(DRIVER_OWNERS)} may import {DRIVER}, so that errors are translated once: {wrong}"


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("writer", "traces", True),
        ("traces", "logs", False),
        ("metrics", "traces", False),
        ("traces", "traces", True),
        ("errors", "otlp", False),
        ("dimensions", "cardinality", True),
        ("promotion", "writer", False),
        ("app", "writer", True),
        ("cli", "app", True),
    ],
)
def test_the_table_says_what_the_house_says(importer: str, imported: str, allowed: bool) -> None:
    assert may_import(importer, imported) is allowed


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("otlp.records", "otlp.records"),
        ("otlp.records.Span", "otlp.records"),
        ("otlp.json", "otlp"),
        ("otlp", "otlp"),
        ("shop_visits", "shop"),
        ("shopping", None),
        ("errors.PostelError", "errors"),
    ],
)
def test_a_name_covers_what_belongs_to_it(module: str, name: str | None) -> None:
    assert place(module) == name
