"""One PostgreSQL cluster on disk and the processes that serve it.

One lock decides who may touch the cluster: `<data-dir>/lock`, taken with flock(2) by whoever starts the server and
inherited by initdb, by the postmaster and by all its children. So it is free exactly when no process of the cluster
is left: two starts cannot collide, and orphans of a killed postmaster are waited for.
Source: https://www.postgresql.org/docs/current/storage-file-layout.html (postmaster.pid)
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from exporter.embedded_place import Account, Place, short_digest, spawn_options
from exporter.errors import ConfigurationError, StorageUnavailable

PORT = 5432
# sun_path holds 108 bytes on Linux, 104 on macOS and the BSDs, a closing NUL included.
LONGEST_SOCKET_BYTES = 103
SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": "40",
    "max_locks_per_transaction": "256",  # a query may lock every partition of several tables, and their indexes
    "wal_compression": "pglz",  # the wheel is built without lz4
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Errors quote the values that caused them, and no payload may reach a log: only the server's own messages do.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
}


@dataclass(frozen=True)
class Postmaster:
    """A running server, as its `postmaster.pid` describes it."""

    pid: int
    port: int
    socket_dir: str
    status: str


class Cluster:
    """The cluster in `<data-dir>/pgdata`. Methods block for up to a second or two: call them in a thread."""

    def __init__(self, place: Place, settings: Mapping[str, str]) -> None:
        self.place = place
        self.pgdata = place.data_dir / "pgdata"
        self.socket_dir = choose_socket_dir(place.data_dir)
        # The name stands in the titles of all its processes, which tells its orphans from other servers' processes.
        self.name = f"postel-{short_digest(self.pgdata)}"
        self._settings = {
            **settings,
            "cluster_name": self.name,
            "port": str(PORT),
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
        }
        # A cancelled coroutine leaves its thread running: this keeps a late launch from outliving interrupt().
        self._guard = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None

    def find_server(self) -> Postmaster | None:
        """The server that `postmaster.pid` names, if that process lives and serves this cluster."""
        try:
            lines = (self.pgdata / "postmaster.pid").read_text().splitlines()
        except OSError:
            return None
        lines += [""] * (8 - len(lines))
        pid, port = (int(line) if line.strip().isdecimal() else 0 for line in (lines[0], lines[3]))
        return Postmaster(pid, port, lines[4], lines[7].strip()) if self.is_alive(pid) else None

    def is_alive(self, pid: int) -> bool:
        """Whether the process is a postmaster of this cluster (a zombie is not)."""
        self._has_exited()
        return f"/postgres -D {self.pgdata} " in command_line(pid)

    def is_ready(self, server: Postmaster) -> bool:
        """Whether the server says that it is ready, and answers."""
        address = ("-h", server.socket_dir, "-p", str(server.port), "-U", "postgres", "-d", "postgres")
        return server.status == "ready" and self._run("pg_isready", "-q", *address).returncode == 0

    def launch(self, *, create: bool) -> bool:
        """Starts the server, or returns False while other processes of the cluster are left.

        Raises StorageUnavailable when the server that was launched last has died since.
        """
        with self._guard:
            if self._closed:
                raise StorageUnavailable("the embedded PostgreSQL is being stopped")
            if self._process is not None:
                if self._has_exited():
                    raise StorageUnavailable(f"PostgreSQL did not start; {self._end_of_log()}")
                return True
            with open_private(self.place.data_dir / "lock", self.place.account) as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                if create and not (self.pgdata / "PG_VERSION").exists():
                    self._initialise(lock.fileno())
                self._forget_reused_pid()
                make_private_folder(self.socket_dir, self.place.account)
                self._process = self._spawn(lock.fileno())
        return True

    def launched(self, server: Postmaster) -> bool:
        """Whether the server is a child of ours, not one that ran before."""
        return self._process is not None and self._process.pid == server.pid

    def forget_exited(self) -> None:
        """Lets the next launch start anew instead of reporting the death of the last one."""
        if self._has_exited():
            self._process = None

    def end_orphans(self) -> None:
        """Ends children of a killed postmaster that are too busy to notice, as it would after a crash of one."""
        for folder in Path("/proc").glob("[0-9]*"):
            if not command_line(int(folder.name)).startswith(f"postgres: {self.name}: "):
                continue
            with contextlib.suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if not self.is_alive(parent):
                    os.kill(int(folder.name), signal.SIGQUIT)

    def interrupt(self) -> int | None:
        """Launches nothing any more and asks the server for a fast shutdown; returns its process id, if any."""
        with self._guard:
            self._closed = True
        server = self.find_server()
        pid = server.pid if server is not None else None
        if self._process is not None and not self._has_exited():
            pid = self._process.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        return pid

    def tidy(self) -> None:
        """Reaps our own child, and removes a socket folder that lies outside the data folder."""
        if self._process is not None:
            self._process.wait()
        if self.socket_dir.parent != self.place.data_dir:
            with contextlib.suppress(OSError):  # gone, or another start is using it
                if is_private(self.socket_dir, self.place.account):
                    self.socket_dir.rmdir()

    def _has_exited(self) -> bool:
        """Whether a child of ours is gone; reaps it."""
        return self._process is not None and self._process.poll() is not None

    def _initialise(self, lock: int) -> None:
        """Makes the cluster beside its place, so that a kill half-way leaves nothing that looks like one."""
        fresh = self.place.data_dir / "pgdata.new"
        shutil.rmtree(fresh, ignore_errors=True)
        make_private_folder(fresh, self.place.account)
        arguments = ["-D", str(fresh), "-U", "postgres", "-E", "UTF8", "--no-instructions"]
        arguments += ["--auth-local=trust", "--auth-host=reject"]
        arguments += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self._settings.get("fsync") == "off":
            arguments.append("--no-sync")
        done = self._run("initdb", *arguments, pass_fds=(lock,))
        if done.returncode != 0:
            raise StorageUnavailable(f"initdb failed in {fresh}:\n{done.stdout.decode(errors='replace')[-2000:]}")
        fresh.rename(self.pgdata)

    def _forget_reused_pid(self) -> None:
        """Removes a `postmaster.pid`, or the socket's lock file, whose number now belongs to something else.

        PostgreSQL only asks whether the number is in use and then refuses to start, which happens in containers,
        where numbers are small and come back. Our lock has already shown that no process of the cluster is left.
        """
        for path in (self.pgdata / "postmaster.pid", self.socket_dir / f".s.PGSQL.{PORT}.lock"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(path.read_text().split("\n", 1)[0])
                os.kill(pid, 0)
                line = command_line(pid)
                # Somebody may have started a server on this folder by hand, by another name of it: that one stays.
                by_hand = re.search(r"(^|/)postgres( |$)", line) and "cluster_name=postel-" not in line
                if not by_hand:
                    path.unlink()

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        command = [str(self.place.bin_dir / "postgres"), "-D", str(self.pgdata)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        with open_private(self.place.data_dir / "postgres.log", self.place.account) as log:
            # A session of its own: Ctrl-C in a terminal is for serve, which still has to drain.
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
                **spawn_options(self.place.account),
            )

    def _run(self, program: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self.place.bin_dir / program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            pass_fds=pass_fds,
            **spawn_options(self.place.account),
        )

    def _end_of_log(self) -> str:
        path = self.place.data_dir / "postgres.log"
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 2000))
            lines = log.read().decode(errors="replace").splitlines()[-12:]
        return "\n".join([f"the end of {path}:", *lines])


def choose_socket_dir(data_dir: Path) -> Path:
    """`<data-dir>/socket`; below /tmp where that is too long for a socket, or would need quoting in a URL."""
    folder = data_dir / "socket"
    fits = len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_BYTES
    if fits and re.fullmatch(r"[A-Za-z0-9_./-]+", str(folder)):
        return folder
    # Always the same one for a data folder: connections must find the server again after a restart.
    return Path("/tmp") / f"postel-{short_digest(data_dir)}"


def make_private_folder(folder: Path, account: Account | None) -> None:
    """Makes a 0700 folder of the account's own; raises ConfigurationError where another's folder has the name."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if account is not None:
            os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    if not is_private(folder, account):
        owner = "you" if account is None else repr(account.name)
        raise ConfigurationError(f"{folder}: is in the way, it must be a folder of mode 0700 that {owner} owns")


def is_private(folder: Path, account: Account | None) -> bool:
    """Whether this is a folder, no link to one, that only the account can enter."""
    found = folder.lstat()
    owner = os.geteuid() if account is None else account.uid
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not found.st_mode & 0o077


def open_private(path: Path, account: Account | None) -> BinaryIO:
    """Opens a 0600 file for appending; a new one is the account's, an old one stays whose it is."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    try:
        with contextlib.suppress(FileExistsError):
            fresh = os.open(path, flags | os.O_EXCL, 0o600)
            if account is not None:
                os.fchown(fresh, account.uid, account.gid)
            return os.fdopen(fresh, "ab")
        return os.fdopen(os.open(path, flags, 0o600), "ab")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error


def command_line(pid: int) -> str:
    """The command line of a process, words apart by spaces; empty when there is none, or only a zombie."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)
    return shown.stdout.decode(errors="replace")
