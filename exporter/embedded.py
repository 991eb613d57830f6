"""Keeps the PostgreSQL that Postel brings along up for as long as somebody wants it: start, supervise, stop.

Several `serve` may share one server, as after a kill -9 when the next one adopts what the last one left. No owner is
recorded: whoever stops first stops the server, and the supervisor of another that still wants it starts it again at
the same socket.
Source: https://www.postgresql.org/docs/current/server-start.html
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from exporter.embedded_cluster import SETTINGS, Cluster, Postmaster
from exporter.embedded_place import SPARE_DIR, settle
from exporter.errors import ConfigurationError, PostelError
from exporter.settings import Settings

logger = logging.getLogger("postel")

_DEFAULT_DATA_DIR = Path(".postel")
WATCH_S = 0.25
LONGEST_PAUSE_S = 2.0


class EmbeddedPostgres:
    """A PostgreSQL of our own below `data_dir` (default `.postel/`): `await start()`, use `url`, `await stop()`.

    `settings` are further PostgreSQL settings; they win over ours and do not reach a server that is adopted.
    `spare_dir` is where root puts what the account that PostgreSQL runs as cannot reach in its own place.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        spare_dir: Path = SPARE_DIR,
    ) -> None:
        self.url = ""
        self.notice = ""
        self._wanted = data_dir
        self._spare_dir = spare_dir
        self._settings = {**SETTINGS, **(settings or {})}
        self._cluster: Cluster | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._adopted = False

    async def start(self, *, create: bool = True) -> str:
        """Makes the cluster if there is none, starts or adopts its server, and supervises it; returns `url`.

        Takes as long as crash recovery takes. `notice`, also logged, says in one line where the data is.
        Raises ConfigurationError when the binaries are missing or the data folder is out of reach (or holds no cluster,
        and none is to be made), and StorageUnavailable with the end of PostgreSQL's log when the server died.
        Call `stop()` also after a start that failed or was cancelled.
        """
        place = await asyncio.to_thread(settle, self._wanted, self._spare_dir)
        cluster = self._cluster = Cluster(place, self._settings)
        if not create and not cluster.pgdata.exists():
            raise ConfigurationError(f"{place.data_dir}: no PostgreSQL here: give --data-dir or --database-url")
        self.notice = place.notice
        logger.info("%s", place.notice)
        server = await bring_up(cluster, create=create)
        self._adopted = not cluster.launched(server)
        if self._adopted:
            logger.info("adopted the PostgreSQL that was already running there, process %d", server.pid)
        self.url = f"postgresql://postgres@/postgres?host={server.socket_dir}&port={server.port}"
        self._supervisor = asyncio.create_task(supervise(cluster, server))
        return self.url

    async def leave(self) -> None:
        """Stops the server if it is ours; one that was adopted is left to those who run it."""
        if self._adopted and self._supervisor is not None:
            self._supervisor.cancel()
            return
        await self.stop()

    async def stop(self) -> None:
        """Shuts the server down cleanly, ending open sessions, and waits for it; an adopted one too."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            pid = await asyncio.to_thread(cluster.interrupt)
            # Nothing tells of the end of a process that is not our child, which an adopted server is not.
            while pid is not None and await asyncio.to_thread(cluster.is_alive, pid):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await asyncio.to_thread(cluster.tidy)


@asynccontextmanager
async def attached(settings: Settings) -> AsyncIterator[str]:
    """The URL of the settings' database, for a command beside `serve`; an embedded one that nobody runs is started, and
    stopped in the end. Raises what `EmbeddedPostgres.start` does."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    embedded = EmbeddedPostgres(given_data_dir(settings))
    try:
        yield await embedded.start(create=False)
    finally:
        await embedded.leave()


def given_data_dir(settings: Settings) -> Path | None:
    """The data folder that somebody chose; None = the default one, which may be put elsewhere."""
    return None if settings.data_dir == _DEFAULT_DATA_DIR else settings.data_dir


async def bring_up(cluster: Cluster, *, create: bool) -> Postmaster:
    """Waits until the cluster has a server that answers, launching one when there is none.

    `create` makes the cluster where there is none. Raises StorageUnavailable when the server we launched died.
    """
    began = time.monotonic()
    patience_s = 5.0
    cluster.forget_exited()
    while True:
        server = await asyncio.to_thread(cluster.find_server)
        if server is not None and await asyncio.to_thread(cluster.is_ready, server):
            return server
        waited_s = time.monotonic() - began
        if server is None:
            launched = await asyncio.to_thread(cluster.launch, create=create)
            if not launched and waited_s > 1:
                await asyncio.to_thread(cluster.end_orphans)
        if waited_s > patience_s:
            found = "processes that hold its lock" if server is None else f"process {server.pid}, {server.status}"
            logger.info("waiting for PostgreSQL in %s for %.0f s: %s", cluster.pgdata, waited_s, found)
            patience_s *= 2
        await asyncio.sleep(0.03)


async def supervise(cluster: Cluster, server: Postmaster) -> None:
    """Brings the server up again whenever it is gone, pausing longer and longer while it does not stay up."""
    pause_s, up_since = 0.0, time.monotonic()
    while True:
        await asyncio.sleep(WATCH_S)
        if await asyncio.to_thread(cluster.is_alive, server.pid):
            continue
        stable = time.monotonic() - up_since > 10
        pause_s = 0.0 if stable else min(2 * pause_s + 0.1, LONGEST_PAUSE_S)
        logger.warning("the embedded PostgreSQL is gone, starting it again")
        await asyncio.sleep(pause_s)
        try:
            # Never makes a cluster: an empty one in place of lost data would look like success.
            server = await bring_up(cluster, create=False)
            logger.warning("the embedded PostgreSQL is up again")
        except (PostelError, OSError) as error:
            logger.error("%s", error)
        up_since = time.monotonic()
