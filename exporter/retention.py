"""Rules of retention: records of some services or severities go before their signal's partitions do, one by one.

Source: docs/erasure.md, "Rules of retention"; docs/decisions/0022-erasure.md.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from math import inf
from time import monotonic

from exporter.columns import Table
from exporter.database import Connection, Database
from exporter.deletion import SIGNALS, Find, made_out, sweep
from exporter.dimensions import METRIC_SERIES, RESOURCES
from exporter.otlp.records import METRICS
from exporter.settings_rules import Rule
from sql import query

log = logging.getLogger("postel")
_WORK = "retention rules"
_PAUSE_S = 20.0
"""Who did not say for that long that he goes on is not at it any more: longer than a batch and the rest after it."""
_NANO = 1_000_000_000


class Rules:
    """Deletes what rules let go; `deleted` counts it by rule. Of several replicas one does it at a time."""

    def __init__(self, database: Database, rules: Sequence[Rule]) -> None:
        self._database = database
        self._places = deque(
            (rule, signal, table)
            for rule in rules
            for signal in rule.signals
            for table in SIGNALS[signal].tables[: SIGNALS[signal].facts]
        )
        self.deleted: dict[str, float] = {str(rule): 0.0 for rule in rules}

    async def apply(self, budget_s: float = inf, pause_s: float = _PAUSE_S) -> int:
        """Delete what is too old until none is left or the time is up, oldest first; returns how many records.

        The next time it goes on with the rule and table after the one that took the last of the time.
        Raises StorageUnavailable.
        """
        deadline = monotonic() + budget_s
        claim = query("deletion", "claim-round")
        if not self._places or not await self._database.retrying(lambda c: c.fetchval(claim, _WORK, pause_s)):
            return 0
        deleted = 0
        for _ in range(len(self._places)):
            if monotonic() > deadline:
                break
            place = self._places[0]
            self._places.rotate(-1)
            deleted += await self._apply(*place, deadline)
        if deleted:
            log.info("retention rules deleted %d records", deleted)
        return deleted

    async def _apply(self, rule: Rule, signal: str, table: Table, deadline: float) -> int:
        resources, series = await self._database.retrying(lambda c: _ids(c, rule, signal))
        if [] in (resources, series):
            return 0
        statement = made_out(query("deletion", "list-expired-records"), table)
        resource = "t.resource_id" if "resource_id" in table.columns else "NULL::bigint"
        find = Find(statement.replace("__resource__", resource), (resources, series))
        bounds = 0, time.time_ns() - int(rule.keep * _NANO)
        deleted = 0
        async for count, _ in sweep(self._database, SIGNALS[signal], table, find, bounds, _go_on):
            deleted += count
            self.deleted[str(rule)] += count
            if monotonic() > deadline:
                break
        return deleted


async def _go_on(connection: Connection, _count: int) -> None:
    await connection.execute(query("deletion", "go-on"), _WORK)


async def _ids(connection: Connection, rule: Rule, signal: str) -> tuple[list[int] | None, list[int] | None]:
    """The resources and the series of a rule's records; None = any."""
    match = rule.match
    resources = series = None
    if match.service is not None or match.namespace is not None:
        rows = await connection.fetch(query("deletion", "list-services"), match.service, match.namespace)
        resources = [row[0] for row in rows]
    if match.severity_below is not None:
        series = [row[0] for row in await connection.fetch(query("deletion", "list-severities"), match.severity_below)]
    if signal != METRICS:
        return resources, series
    statement = METRIC_SERIES.statement("list-dependents", "erasure").replace("__column__", RESOURCES.id_column)
    return None, [row[0] for row in await connection.fetch(statement, resources)]
