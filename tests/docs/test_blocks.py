"""YAML in the documents is good: a block begins with its file's name, and what Postel reads is loaded."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import promotion, settings
from exporter.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"# ([\w-]+\.yaml)\n")
OVERRIDES, SETTINGS = "attribute-overrides.yaml", "postel.yaml"
BLOCKS = [
    (f"{page.relative_to(ROOT)}:{page.read_text()[: found.start()].count(chr(10)) + 1}", found[1])
    for page in PAGES
    for found in BLOCK.finditer(page.read_text())
]


def load(name: str, text: str, folder: Path) -> None:
    """Read a document as Postel does. Raises ConfigurationError."""
    file = folder / name
    file.write_text(text)
    if name == OVERRIDES:
        promotion.load(overrides=file)
    elif name == SETTINGS:
        settings.load(file, {})


@pytest.mark.parametrize(("place", "text"), BLOCKS, ids=[place for place, _ in BLOCKS])
def test_block(place: str, text: str, tmp_path: Path) -> None:
    name = NAME.match(text)
    assert name, f"{place}: begin it with the file's name: # {OVERRIDES}, # {SETTINGS}, or that of another file"
    load(name[1], text, tmp_path)
    for found in yaml.safe_load_all(text):
        is_map = isinstance(found, dict) and found.get("kind") == "ConfigMap"
        data: dict[str, Any] = found["data"] if is_map else {}
        for key, content in data.items():
            load(key, content, tmp_path)


@pytest.mark.parametrize("name", [OVERRIDES, SETTINGS])
def test_there_are_some_of_each_and_bad_ones_are_found(name: str, tmp_path: Path) -> None:
    assert [place for place, text in BLOCKS if text.startswith(f"# {name}\n")]
    with pytest.raises(ConfigurationError):
        load(name, "unknown: {}", tmp_path)
