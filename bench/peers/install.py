"""Installs peers from PyPI, each in an environment of its own below `build/peers`, so that none reaches `.venv`."""

import hashlib
import subprocess
import sys
from pathlib import Path

from bench.peers.peer import Missing

BUILD = Path(__file__).parents[2] / "build" / "peers"
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes")


def install_python(name: str) -> Path:
    """The `bin` folder of the environment that bench/peers/`name`.txt describes, made anew when that has changed.

    Raises Missing with the end of what pip said.
    """
    requirements = Path(__file__).with_name(f"{name}.txt")
    folder, wanted = BUILD / name, hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = folder / ".requirements"
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"Installing {name} below build/peers: some minutes when it is new ...", file=sys.stderr, flush=True)
        _run(name, sys.executable, "-m", "venv", "--clear", str(folder))
        _run(name, str(folder / "bin" / "python"), *_PIP, "-r", str(requirements))
        stamp.write_text(wanted)
    return folder / "bin"


def pinned_version(name: str, package: str) -> str:
    """The version that bench/peers/`name`.txt pins a package to."""
    lines = Path(__file__).with_name(f"{name}.txt").read_text().splitlines()
    found = next(line for line in lines if line.startswith(f"{package}=="))
    return found.removeprefix(f"{package}==").split()[0]


def _run(name: str, *command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise Missing(f"{name}: {error}") from None
    if done.returncode:
        raise Missing(f"{name} cannot be installed: {(done.stderr or done.stdout).strip()[-500:]}")
