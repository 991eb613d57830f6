"""The lock pins everything by hash and names no place it was made in; every dependency has its reason."""

import re
import tomllib
from typing import Any

from tests.house.source import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
REQUIREMENTS = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]


def normal(requirement: str) -> str:
    """The normalised name of a requirement or pin."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_lock_pins_every_requirement() -> None:
    pinned = {normal(line) for line in LOCK.splitlines() if re.match(r"\S+==", line)}
    missing = {normal(requirement) for requirement in REQUIREMENTS} - pinned
    assert not missing, f"run make lock: {sorted(missing)}"


def test_every_pin_has_a_hash() -> None:
    pins = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    without = [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin]
    assert not without


def test_lock_names_no_place() -> None:
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links|--trusted-host|(^|\s)/", LOCK)


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs/decisions/0001-dependencies.md").read_text()
    named = {
        normal(name)
        for row in re.findall(r"^\| (`.*?`) \|", reasons, re.MULTILINE)
        for name in re.findall(r"`(.+?)`", row)
    }
    required = {normal(requirement) for requirement in REQUIREMENTS}
    assert named == required, f"docs/decisions/0001-dependencies.md: {sorted(named ^ required)}"
