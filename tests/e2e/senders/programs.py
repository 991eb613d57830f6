"""Builds the sender programs, once for each state of their sources, and runs them.

What is built stays below build/senders, so that only the first run downloads and compiles. A download that fails counts
as a tool chain that is not there; a compilation that fails does not.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.e2e.toolchains import require, without
from tests.house.source import ROOT

SOURCES = Path(__file__).parent
BUILT = ROOT / "build" / "senders"
LANGUAGES = {"javascript": "node", "go": "go", "java": "java"}
"""Language -> the tool chain that it needs. Python, which needs none, has tests/e2e/test_sdk.py for all it sends."""
_COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies"
_BUILD_S = 600
_RUN_S = 120


def shop(language: str, url: str) -> dict[str, list[Any]]:
    """Send a little of everything to a server: what the SDK sent, as OTLP/JSON requests by signal."""
    found: dict[str, list[Any]] = msgspec.json.decode(run(language, url, "shop"))
    return found


def run(language: str, url: str, *arguments: str, timeout_s: float = _RUN_S) -> str:
    """The output of a sender that exports to a server."""
    command = program(language)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stderr
    return done.stdout


def program(language: str) -> list[str]:
    """The command that runs a language's sender, built when its sources have changed since."""
    if language == "python":
        return [sys.executable, str(SOURCES / "python" / "sender.py")]
    require(LANGUAGES[language])
    folder = BUILT / language
    return _COMMANDS[language](built(language, folder))


def page_script() -> Path:
    """The JavaScript sender as one script for a page."""
    require(LANGUAGES["javascript"])
    return built("javascript", BUILT / "javascript") / "page.js"


def built(language: str, folder: Path) -> Path:
    """The folder in which a language's sender is, up to date."""
    sources = sorted(path for path in (SOURCES / language).iterdir() if path.is_file())
    made_of = [Path(__file__), *sources]
    state = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in made_of)).hexdigest()
    stamp = folder / ".built-from"
    folder.mkdir(parents=True, exist_ok=True)
    with (BUILT / f"{language}.lock").open("w") as lock:
        # Another process of the run may be building it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text() != state:
            stamp.unlink(missing_ok=True)
            _BUILDS[language](sources, folder)
            stamp.write_text(state)
    return folder


def _build_javascript(sources: list[Path], folder: Path) -> None:
    # In a copy: node_modules beside the sources would be taken for sources.
    for path in sources:
        shutil.copy(path, folder)
    _download("node", "npm", "ci", "--no-audit", "--no-fund", cwd=folder)
    bundled = ("--bundle", "--format=esm", "--log-level=warning", "--outfile=page.js")
    _compile("node_modules/.bin/esbuild", "page.mjs", *bundled, cwd=folder)


def _build_go(sources: list[Path], folder: Path) -> None:
    _download("go", "go", "mod", "download", cwd=sources[0].parent)
    _compile("go", "build", "-buildvcs=false", "-o", str(folder / "sender"), ".", cwd=sources[0].parent)


def _build_java(sources: list[Path], folder: Path) -> None:
    shutil.rmtree(folder / "dependency", ignore_errors=True)
    into = f"-DoutputDirectory={folder / 'dependency'}"
    _download("java", "mvn", "-q", "-B", "-f", "pom.xml", _COPY_DEPENDENCIES, into, cwd=sources[0].parent)
    classes = ["-d", str(folder / "classes"), "-cp", str(folder / "dependency" / "*")]
    files = [str(path) for path in sources if path.suffix == ".java"]
    _compile("javac", "-encoding", "UTF-8", "--release", "17", *classes, *files, cwd=folder)


_BUILDS: dict[str, Callable[[list[Path], Path], None]] = {
    "javascript": _build_javascript,
    "go": _build_go,
    "java": _build_java,
}
_COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "javascript": lambda folder: ["node", str(folder / "node.mjs")],
    "go": lambda folder: [str(folder / "sender")],
    "java": lambda folder: ["java", "-cp", f"{folder / 'classes'}:{folder / 'dependency'}/*", "Sender"],
}


def _download(toolchain: str, *command: str, cwd: Path) -> None:
    done = _done(*command, cwd=cwd)
    if done.returncode != 0:
        without(toolchain, f"{' '.join(command[:3])} could not get the SDK: {(done.stdout + done.stderr)[-500:]}")


def _compile(*command: str, cwd: Path) -> None:
    done = _done(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


def _done(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_BUILD_S)
