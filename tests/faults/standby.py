"""A primary and a standby that follows it synchronously, and what a failover does to them.

Source: https://www.postgresql.org/docs/current/warm-standby.html.
"""

import asyncio
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from exporter.embedded_place import settle, spawn_options
from tests.faults.life import asked

_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "max_locks_per_transaction": "256",
    "fsync": "off",
}
_START_S = 30.0


class Pair:
    """Two servers: `primary` is the folder of the one to write to, `standby` of the one that follows it."""

    def __init__(self, folder: Path) -> None:
        self._place = settle(folder)
        self.primary, self.standby = folder / "first", folder / "second"
        for made in (folder, _socket_dir(self.primary), _socket_dir(self.standby)):
            made.mkdir(exist_ok=True)
            if self._place.account is not None:
                shutil.chown(made, self._place.account.uid, self._place.account.gid)
        self._servers: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """The primary's URL, another one after `promote`."""
        return self._url(self.primary)

    def start(self) -> None:
        """Make and start both; from then on every commit waits until the standby has it."""
        self._run("initdb", "-D", str(self.primary), "-U", "postgres", "-E", "UTF8", "--no-sync", "--auth-local=trust")
        self._start(self.primary)
        copy = ("-D", str(self.standby), "-R", "-X", "stream", "-c", "fast", "--no-sync")
        self._run("pg_basebackup", "-h", str(_socket_dir(self.primary)), "-U", "postgres", *copy)
        self._start(self.standby)
        self._execute(self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")

    def fence(self) -> None:
        """Turn the primary read-only; it stays up and goes on answering reads."""
        self._execute(self.primary, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make the standby the primary."""
        self._execute(self.standby, "SELECT pg_promote()")
        self.primary, self.standby = self.standby, self.primary

    def stop(self) -> None:
        """End both at once."""
        for server in self._servers:
            server.send_signal(signal.SIGQUIT)
        for server in self._servers:
            server.wait(30)

    def _url(self, data: Path) -> str:
        return f"postgresql://postgres@/postgres?host={_socket_dir(data)}&port=5432"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._place.bin_dir / program), *arguments]
        done = subprocess.run(command, capture_output=True, check=False, **spawn_options(self._place.account))
        assert done.returncode == 0, done.stderr.decode()

    def _start(self, data: Path) -> None:
        settings = _SETTINGS | {"unix_socket_directories": str(_socket_dir(data))}
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        command = [str(self._place.bin_dir / "postgres"), "-D", str(data), *flags]
        self._servers.append(
            subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                **spawn_options(self._place.account),
            )
        )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                return self._execute(data, "SELECT")
            except (OSError, asyncpg.PostgresError) as error:
                assert time.monotonic() < deadline, error
                time.sleep(0.05)

    def _execute(self, data: Path, *statements: str) -> None:
        async def run(connection: asyncpg.Connection) -> None:
            for statement in statements:
                await connection.execute(statement)

        asyncio.run(asked(self._url(data), run))


def _socket_dir(data: Path) -> Path:
    """Beside the data, as what lies in there is copied to the standby."""
    return data.with_name(f"{data.name}-socket")


@contextmanager
def replicated() -> Iterator[Pair]:
    """A pair until the block ends."""
    with tempfile.TemporaryDirectory(prefix="postel-pair-") as name:
        Path(name).chmod(0o755)
        pair = Pair(Path(name))
        try:
            pair.start()
            yield pair
        finally:
            pair.stop()
