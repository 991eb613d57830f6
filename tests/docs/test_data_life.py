"""The settings that docs/data-life.md shows are settings."""

import re
from pathlib import Path

import pytest

from exporter.settings import load

BLOCKS = re.findall(r"```yaml\n(# postel\.yaml\n.*?)```", Path("docs/data-life.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("text", BLOCKS)
def test_the_example_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "postel.yaml"
    file.write_text(text)
    assert load(file, environ={}) != load(environ={})


def test_there_are_examples() -> None:
    assert len(BLOCKS) == 3
