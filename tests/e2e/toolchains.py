"""Tool chains of other languages: a test that lacks one skips and says so, or fails where POSTEL_REQUIRE names it.

POSTEL_REQUIRE=go,collector,node,java,chromium: what a run must not do without.
"""

import os
import shutil
from typing import NoReturn

import pytest

REQUIRED = "TESTS_REQUIRE"
"""Where tests/conftest.py puts POSTEL_REQUIRE, which is no setting: Postel would not start with it."""
COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "go": (("go",),),
    "node": (("node",), ("npm",)),
    "java": (("java",), ("javac",), ("mvn",)),
    "chromium": (("chromium", "chromium-browser", "google-chrome"),),
}
"""Tool chain -> its commands, each with the names under which it may be installed."""


def require(*names: str) -> None:
    """Skip the test unless these tool chains are all there."""
    for name in names:
        absent = [alternatives for alternatives in COMMANDS[name] if not _found(alternatives)]
        if absent:
            without(name, f"not installed: {', '.join(' or '.join(alternatives) for alternatives in absent)}")


def command(name: str) -> str:
    """The path of a tool chain's first command, which `require` has asked for."""
    found = _found(COMMANDS[name][0])
    assert found is not None
    return found


def without(name: str, reason: str) -> NoReturn:
    """Skip the test for what is the matter with a tool chain; fail where POSTEL_REQUIRE names it."""
    if name in os.environ.get(REQUIRED, "").replace(" ", "").split(","):
        pytest.fail(f"POSTEL_REQUIRE names {name}, but {reason}", pytrace=False)
    pytest.skip(f"{name}: {reason}")


def _found(alternatives: tuple[str, ...]) -> str | None:
    return next((path for command in alternatives if (path := shutil.which(command))), None)
