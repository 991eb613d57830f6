"""The project's own files, as the house rules look at them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("exporter", "queries", "sql", "config")
"""What is installed."""
FOLDERS = (*PACKAGES, "bench", "tests")


def source_files(suffix: str, *folders: str) -> list[Path]:
    """All files of that suffix below the folders, sorted; a folder that is not there has none."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob(f"*{suffix}"))


def shown(path: Path) -> str:
    """The path from the root of the checkout, for messages."""
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """exporter/otlp/records.py -> exporter.otlp.records, and a package's __init__.py -> the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(), filename=str(path))


def imported_modules(path: Path) -> Iterator[str]:
    """Every name that the file imports, absolute, wherever in the file; `from a import b` is a.b."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
