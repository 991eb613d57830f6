"""The sidecar's life: wait for the database, make it ready, write, maintain, drain.

Source: docs/operate.md, "Health and own telemetry", "Data life".
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from exporter import filtered, migrations, row_indexes, verdicts
from exporter.admission import Admission
from exporter.analyzing import analyze
from exporter.attributes import Limits
from exporter.database import Connection, Database
from exporter.dimensions import Dimensions
from exporter.dropping import Dropping
from exporter.errors import PostelError, ShuttingDown, StorageUnavailable
from exporter.ingest import Ingest
from exporter.maintenance import tend
from exporter.minutes import BEHIND, Minutes
from exporter.overrides import LOOK_S, Overrides
from exporter.partitions import Partitions
from exporter.promotion import Promotion
from exporter.quarantine import Quarantine
from exporter.retention import Rules
from exporter.settings import Settings
from exporter.telemetry import COUNTER, GAUGE, Telemetry
from exporter.turns import Queue
from exporter.writer import Writer
from sql import query

log = logging.getLogger("postel")
_WAIT_S = 1.0
_READINESS_S = 2.5
_DRAIN_POLL_S = 0.02
_ARRIVING_S = 2.0
"""How long a body may go on arriving once the server stops."""
_ANSWER_S = 0.5
"""Of the grace period: for the answers to those who waited in vain."""
_ROUND_S, _DATA_LIFE_S = 60.0, 600.0
_MINUTES_S, _MINUTES_BUDGET_S = 15.0, 3.0
"""How often minutes are computed, and how long at a time: what is left waits."""
_RULES_BUDGET_S = 30.0
"""Of each round."""


class Renewable(Protocol):
    """A pool of connections, of writers or readers."""

    async def renew(self) -> None:
        """Have fresh connections."""


class Sidecar:
    """One process: its database connections, caches, writers and background work."""

    def __init__(self, settings: Settings, promotion: Promotion, database_url: str) -> None:
        self.settings, self.database_url = settings, database_url
        self.started_unix_nano = time.time_ns()
        self.overrides = Overrides(settings.attribute_overrides, promotion)
        self.telemetry = Telemetry()
        timeout_s = settings.statement_timeout
        # Jobs take turns on a connection of their own: nobody who stores waits for one.
        self._control = Database(database_url, 1, timeout_s, "postel control")
        self._jobs = Database(database_url, 1, timeout_s, "postel jobs")
        self._writing = Database(database_url, settings.writers, timeout_s, "postel writer")
        self.databases: list[Renewable] = [self._control, self._jobs, self._writing]
        self._control.lost = self._jobs.lost = self._writing.lost = self.renew
        self.ending: list[Callable[[], None]] = []
        """What else is told that the server stops."""
        self.filtered: filtered.Counted | None = None
        """What counts filters on attributes, where anybody reads."""
        self._queue = Queue(settings.max_group_rows, settings.max_group_bytes)
        self._partitions = Partitions(self._control, settings.intervals, settings.partitions_ahead)
        self._dropping = Dropping(self._jobs, self._partitions, settings.retention)
        self._minutes = Minutes(self._jobs, self._partitions, BEHIND)
        self._rules = Rules(self._jobs, settings.retention.rules)
        self._quarantine = Quarantine(settings.max_rejected_bytes, settings.rejected_retention)
        self._ingest: Ingest | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.Task[None]] = []
        self._unready = "starting"
        self._draining = self._is_owner = False
        self._rewritten = 0
        self.admission = Admission(settings.max_inflight_bytes)
        self.telemetry.in_flight.set_function(lambda: self.admission.held_bytes)
        self._watch_overrides()

    @property
    def ingest(self) -> Ingest:
        """What takes bodies in. Raises Unavailable while it cannot."""
        if self._draining:
            raise ShuttingDown("the server is shutting down")
        if self._ingest is None:
            raise StorageUnavailable(self._unready)
        return self._ingest

    @property
    def promotion(self) -> Promotion:
        """The attribute lists in force."""
        return self.overrides.promotion

    def start(self) -> None:
        """Begin: the server answers at once, and takes bodies in as soon as the database is ready."""
        self._tasks.append(asyncio.create_task(self._live()))
        self._repeat(LOOK_S, "attribute overrides", self._look)

    async def ready(self) -> Ingest:
        """What takes bodies in, as soon as it can."""
        while self._ingest is None:  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_POLL_S)
        return self._ingest

    async def readiness(self) -> str:
        """ "" when bodies can be stored, else what is in the way."""
        if self._draining:
            return "shutting down"
        if self._ingest is None:
            return self._unready
        try:
            async with asyncio.timeout(_READINESS_S), self._control.transaction() as connection:
                obstacle = await _obstacle(connection)
        except TimeoutError:
            return "the database does not answer"
        except PostelError as error:
            return f"the database cannot be reached: {error}"
        failure = self._writing.trouble
        return obstacle or (f"the last write failed: {failure}" if failure else "")

    async def renew(self) -> None:
        """Have fresh connections everywhere: the server is another one by now, or gone."""
        for database in self.databases:
            await database.renew()

    async def stop(self, grace_s: float) -> None:
        """Write what was taken in, then let go, within `grace_s` seconds and whatever the database does.

        A body that is still arriving soon gets a 503, at the end whoever waits for a commit as well: what cannot be
        written in time is left to the sender's next attempt.
        """
        self._draining = True
        for end in self.ending:
            end()
        began = time.monotonic()
        await self._idle_by(began + min(_ARRIVING_S, grace_s / 2))
        self.admission.end(arriving=True)
        await self._idle_by(began + grace_s - _ANSWER_S)
        self.admission.end(arriving=False)
        await self._idle_by(began + grace_s)
        await self._queue.close()
        if self._writers:
            await asyncio.wait(self._writers, timeout=max(_DRAIN_POLL_S, began + grace_s - time.monotonic()))
        for task in (*self._tasks, *self._writers):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._writers, return_exceptions=True)
        await self._writing.close()
        await self._jobs.close()
        await self._control.close()

    async def _idle_by(self, deadline: float) -> None:
        while not self.admission.is_idle and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_POLL_S)

    async def _live(self) -> None:
        while True:
            try:
                ingest = await self._prepare()
                break
            except PostelError as error:
                if str(error) != self._unready:
                    log.warning("not ready: %s", error)
                self._unready = str(error)
                await asyncio.sleep(_WAIT_S)
        writer = Writer(
            self._writing,
            self._queue,
            self._partitions,
            self._quarantine,
            self.telemetry,
            self.settings.dedup_window,
            self.settings.request_deadline,
        )
        self._writers = [asyncio.create_task(_keep_on(writer)) for _ in range(self.settings.writers)]
        self._watch(ingest, writer)
        self._watch_keys(ingest)
        # The lists may have changed since it was made.
        ingest.use(self.promotion)
        self._ingest = ingest
        log.info("ready")
        self._repeat(_ROUND_S, "verdicts", partial(self._share_verdicts, ingest))
        self._repeat(_ROUND_S, "quarantine", partial(self._quarantine.prune, self._jobs))
        self._repeat(_ROUND_S, "dropping", self._dropping.drop)
        self._repeat(_DATA_LIFE_S, "maintenance", partial(tend, self._jobs, self._partitions, self.settings))
        self._repeat(_DATA_LIFE_S, "statistics", partial(analyze, self.database_url))
        if self._is_owner:
            self._repeat(_ROUND_S, "indexes", self._index)
        self._repeat(_ROUND_S, "retention rules", partial(self._rules.apply, _RULES_BUDGET_S))
        if self.filtered is not None:
            self._repeat(_ROUND_S, "filters", partial(filtered.store, self._jobs, self.filtered))
        self._repeat(_MINUTES_S, "minutes", partial(self._minutes.roll_up, _MINUTES_BUDGET_S))

    def _repeat(self, pause_s: float, what: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do some work in the background again and again, for as long as each time takes; a failure puts it off."""

        async def rounds() -> None:
            while True:
                await asyncio.sleep(pause_s)
                try:
                    await work()
                except PostelError as error:
                    log.warning("%s: put off: %s", what, error)
                except Exception:
                    log.exception("%s: put off", what)

        self._tasks.append(asyncio.create_task(rounds()))

    def _watch(self, ingest: Ingest, writer: Writer) -> None:
        """Show what the parts know of themselves."""

        def last_commit_age() -> dict[str, float]:
            return {} if writer.committed_at is None else {"": time.monotonic() - writer.committed_at}

        def cached() -> dict[str, float]:
            return ingest.dimensions.sizes()

        def waited() -> dict[str, float]:
            found = {"control": self._control, "jobs": self._jobs, "writing": self._writing}
            return {name: database.waited_s for name, database in found.items()}

        watch, gauge, counter = self.telemetry.watch, GAUGE, COUNTER
        watch(gauge, "last_commit_age_seconds", "Since a group was last committed.", "", last_commit_age)
        watch(gauge, "queue_age_seconds", "Since the oldest batch waits.", "", lambda: {"": self._queue.age()})
        watch(counter, "pool_wait_seconds", "Waited for a connection.", "pool", waited)
        watch(gauge, "partitions_ahead", "Whole partitions made ahead.", "signal", self._partitions.ahead)
        drops = self._dropping
        watch(counter, "dropped_partitions", "Stretches of a signal dropped.", "reason", lambda: drops.ranges)
        watch(counter, "dropped_bytes", "What these held.", "reason", lambda: drops.freed_bytes)
        watch(gauge, "stored_bytes", "What all is stored takes, where max_size is set.", "", lambda: drops.stored_bytes)
        watch(gauge, "due_minutes", "Minutes that are to be computed.", "signal", lambda: self._minutes.due)
        watch(counter, "retention_deleted_records", "Deleted by a rule.", "rule", lambda: self._rules.deleted)
        watch(gauge, "quarantine_bytes", "Refused records.", "", lambda: {"": self._quarantine.size_bytes})
        watch(gauge, "dimension_rows_cached", "Rows whose ids are cached.", "table", cached)
        missed, created = ingest.dimensions.missed, ingest.dimensions.created
        watch(counter, "dimension_rows_missed", "Rows looked for in the database.", "table", lambda: missed)
        watch(counter, "dimension_rows_created", "Rows that were new to it.", "table", lambda: created)

    def _watch_keys(self, ingest: Ingest) -> None:
        """Show which keys are to blame where there are too many series or resources."""

        def left() -> dict[Sequence[str], float]:
            both = (ingest.traces.cardinality, ingest.logs.cardinality)
            return {(c.owner, key): values for c in both for key, values in c.left.weights().items()}

        def new() -> dict[Sequence[str], float]:
            found = ingest.dimensions.new_rows.items()
            return {(table, key): values for table, rows in found for key, values in rows.values.items()}

        watch, gauge = self.telemetry.watch_all, GAUGE
        watch(gauge, "left_key_values", "Values a key had when it left the series.", ["signal", "key"], left)
        watch(gauge, "new_row_key_values", "Values of a key in 256 new rows.", ["table", "key"], new)

    def _watch_overrides(self) -> None:
        def in_force() -> dict[str, float]:
            return {"": float(not overrides.state.problems)}

        def loaded_at() -> dict[str, float]:
            return {"": overrides.loaded_at}

        watch, overrides = self.telemetry.watch, self.overrides
        changes, good = "Changes of the file by what became of them.", "Whether a restart would read what is in force."
        watch(COUNTER, "overrides_reloads", changes, "outcome", lambda: overrides.counts)
        watch(GAUGE, "overrides_in_force", good, "", in_force)
        watch(GAUGE, "overrides_loaded_timestamp_seconds", "When the file was last good.", "", loaded_at)

    async def _prepare(self) -> Ingest:
        async with self._control.transaction() as connection:
            self._is_owner = bool(await connection.fetchval(query("migrations", "may-migrate")))
        if self._is_owner:
            await migrations.migrate(self.database_url)
        async with self._control.transaction() as connection:
            await migrations.require(connection)
            digest_key = await connection.fetchval(query("ledger", "read-digest-key"))
        await self._partitions.make_ahead()
        await self._quarantine.prune(self._control)
        limits = Limits(self.settings.max_attributes, self.settings.max_attribute_value_bytes)
        dimensions = Dimensions(
            self._control, self.settings.max_cached_resources, self.settings.max_cached_series, limits
        )
        tell = partial(verdicts.tell, self._control)
        count = self.telemetry.count
        ingest = Ingest(self.settings, self.promotion, dimensions, tell, self._queue, digest_key, count)
        await self._share_verdicts(ingest)
        return ingest

    async def _look(self) -> None:
        if await self.overrides.look() and self._ingest is not None:
            self._ingest.use(self.promotion)

    async def _index(self) -> None:
        await row_indexes.make(self.database_url, self.promotion)

    async def _share_verdicts(self, ingest: Ingest) -> None:
        """Learn which keys left the series of other replicas; these hear of ours before a body is committed. And
        that an erasure has rewritten rows whose ids are remembered."""
        both = (ingest.traces.cardinality, ingest.logs.cardinality)
        async with self._control.transaction() as connection:
            high = [await verdicts.fetch(connection, cardinality) for cardinality in both]
            rewritten = await connection.fetchval(query("erasure", "count-rewritten"))
        async with ingest.decoding.turn(None):
            if rewritten != self._rewritten:
                self._rewritten = rewritten
                ingest.forget()
            for cardinality, keys in zip(both, high, strict=True):
                cardinality.learn(keys)


async def _keep_on(writer: Writer) -> None:
    """A writer that meets what nobody thought of has answered its group, and goes on with the next."""
    while True:
        try:
            return await writer.run()
        except Exception:
            log.exception("a group could not be written")


async def _obstacle(connection: Connection) -> str:
    if await connection.fetchval(query("migrations", "is-read-only")):
        return "the database is read-only"
    with suppress(StorageUnavailable):
        await migrations.require(connection)
        missing = await connection.fetch(query("migrations", "count-partitions-ahead"), time.time_ns())
        return f"no partition for now: {', '.join(sorted(row[0] for row in missing))}" if missing else ""
    return "the schema is older than this version needs: run `postel migrate`"
