"""Files are small and say what they own, and what is installed has everything that the checkout has."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import config
import sql
from tests.conftest import LONGEST_FILES
from tests.house.source import FOLDERS, PACKAGES, ROOT, shown, source_files, tree

LONGEST = 400


def opening(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    return " ".join((ast.get_docstring(tree(path)) or "").partition("\n\n")[0].split())


def is_one_sentence(text: str) -> bool:
    """Whether the text ends as a sentence does, and does so only once."""
    return text.endswith(".") and not re.search(r"[.!?] +[A-Z]", text)


def test_every_module_opens_with_one_sentence() -> None:
    modules = [path for path in source_files(".py", *FOLDERS) if path.read_text().strip()]
    wrong = [f"{shown(path)}: {opening(path)!r}" for path in modules if not is_one_sentence(opening(path))]
    assert not wrong, "say in one sentence what the module owns:\n" + "\n".join(wrong)


@pytest.mark.parametrize("suffix", [".py", ".sql"])
def test_no_file_is_too_long(suffix: str) -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in source_files(suffix, *FOLDERS)}
    long = {name: lines for name, lines in lengths.items() if lines > LONGEST}
    assert not long, f"more than {LONGEST} lines: cut them where they own two things: {long}"


def test_the_longest_test_files_are_there() -> None:
    missing = [name for name in LONGEST_FILES if not (ROOT / name).is_file()]
    assert not missing


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    return next(folder.glob("*.whl"))


def run(*command: str, cwd: Path, **environment: str) -> str:
    """The standard output of a command, which has to succeed."""
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_code_and_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    wanted = {shown(path) for suffix in (".py", ".sql", ".yaml") for path in source_files(suffix, *PACKAGES)}
    assert wanted <= packed, f"not in the wheel: {sorted(wanted - packed)}"
    assert {name.split("/")[0] for name in packed if ".dist-info/" not in name} == set(PACKAGES)


def test_installed_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--target", str(tmp_path / "site"), str(wheel), cwd=tmp_path)
    folders = sorted({path.parent.name for path in source_files(".sql", "sql")} - {"queries"})
    script = (
        "import importlib.resources, config, sql\n"
        "print(sql.__file__)\n"
        f"print(*(name for folder in {folders} for name, _ in sql.scripts(folder)))\n"
        "print(*sorted(p.name for p in importlib.resources.files(config).iterdir() if p.name.endswith('.yaml')))\n"
    )
    output = run(sys.executable, "-c", script, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    place, scripts, files = output.splitlines()
    assert place.startswith(str(tmp_path))
    assert scripts.split() == [name for folder in folders for name, _ in sql.scripts(folder)]
    assert files.split() == [path.name for path in source_files(".yaml", config.__name__)]
