"""The administrator's attribute lists while the server runs: the file is looked at, and what is good in it taken over.

A file that is not good, or is gone, changes nothing: a list of what is dropped never gets shorter by accident.

Source: docs/decisions/0020; docs/promotion.md.
"""

import asyncio
import logging
import time
from pathlib import Path

from msgspec import Struct

from exporter.errors import ConfigurationError
from exporter.offload import compute
from exporter.promotion import Promotion, load
from exporter.stamps import Stamp, stamp

log = logging.getLogger("postel")
LOOK_S = 1.0
"""How often the file is looked at."""
_SETTLE_S = 0.1
"""A file that somebody is still writing may be good so far, and have lost what is yet to come."""
_SAID = 10
"""Problems that are told of one file; `postel check-config` names all."""

IN_FORCE, ABSENT, REFUSED = "in_force", "absent", "refused"
LOADED, VANISHED = "loaded", "vanished"
_GONE = "is gone: put it back, or restart without it"


class State(Struct, frozen=True):
    """What is known of the file, IN_FORCE, ABSENT or REFUSED, and what is wrong with it, without a word out of it."""

    name: str
    problems: tuple[str, ...] = ()


class Overrides:
    """The lists in force, and since when (unix nanoseconds): those of a file, looked at again and again."""

    def __init__(self, path: Path | None, promotion: Promotion) -> None:
        """`promotion` is what was read from the file, if there is one, at the start."""
        self.path, self.promotion = path, promotion
        self.since_unix_nano = time.time_ns()
        self.loaded_at = time.time()
        """When the file was last read and found good, or not there at the start (unix seconds)."""
        self.state = State(ABSENT if path is None or stamp(path) is None else IN_FORCE)
        self.counts: dict[str, float] = dict.fromkeys((LOADED, REFUSED, VANISHED), 0)
        """What became of the file's changes."""
        self._seen: Stamp | str | None = "nothing yet"

    async def look(self) -> bool:
        """Look at the file once; whether it brought other lists into force."""
        seen = self._stamp()
        if seen == self._seen or self.path is None:
            return False
        await asyncio.sleep(_SETTLE_S)
        problems: tuple[str, ...] = ()
        found = self.promotion
        try:
            found = await compute(True, load, overrides=self.path)
        except ConfigurationError as error:
            problems = error.unquoted
        if self._stamp() != seen:
            return False
        self._seen = seen
        if seen is None and found != self.promotion:
            return self._keep(State(ABSENT, (f"{self.path}: {_GONE}",)), VANISHED)
        if problems:
            return self._keep(State(REFUSED, _first(problems)), REFUSED)
        return self._take(found, State(ABSENT if seen is None else IN_FORCE))

    def _stamp(self) -> Stamp | str | None:
        """What stands at the path, or why that cannot be seen."""
        try:
            return stamp(self.path) if self.path else None
        except OSError as error:
            return str(error)

    def _keep(self, state: State, outcome: str) -> bool:
        self.state = state
        self.counts[outcome] += 1
        log.warning(
            "attribute overrides: %s, the lists read last stay in force: %s", outcome, "; ".join(state.problems)
        )
        return False

    def _take(self, found: Promotion, state: State) -> bool:
        before, self.state = self.state, state
        is_new = found != self.promotion
        if is_new or before != state:
            self.counts[LOADED] += 1
            self.loaded_at = time.time()
            log.info("attribute overrides: %s", "other lists are in force" if is_new else "in force, the same lists")
        if is_new:
            self.promotion, self.since_unix_nano = found, time.time_ns()
        return is_new


def _first(problems: tuple[str, ...]) -> tuple[str, ...]:
    more = len(problems) - _SAID
    return problems if more <= 0 else (*problems[:_SAID], f"and {more} more: `postel check-config` names all")
