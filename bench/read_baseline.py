"""The same questions asked of J2 in SQL: a path of the read API to a statement with the same arguments, and its rows.

In its best case: over one local connection, with statements that are prepared, without HTTP, and nothing is made of the
rows. A page is found and counted as Postel does it: one record more than asked for; the total in the same transaction,
where the page does not show it already, up to as many records and as many milliseconds.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg
import msgspec

from bench.baseline import connect
from bench.statements import statement
from queries.database import fetch_within
from queries.pages import COUNT_LIMIT, COUNT_MS
from queries.params import ALL_TIME, DEFAULT_WINDOW_NANO, Window
from queries.values import severity_number

_SQL = "jsonb_reading"
_SPANS, _LOGS = "start_time_unix_nano", "time_unix_nano"
_ATTRIBUTE = "attr."
_SESSION = {
    # As Postel's readers have them by default.
    "statement_timeout": "8s",
    "plan_cache_mode": "force_custom_plan",
    # As one would tune it for short questions of what is in memory; left alone the planner reads too much at once.
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "0",
}


class Asked(NamedTuple):
    """What a path asks: its segments below /api, and its parameters."""

    segments: Sequence[str]
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, path: str) -> "Asked":
        """Taken apart."""
        parts = urlsplit(path)
        return cls([unquote(part) for part in parts.path.split("/")[2:]], dict(parse_qsl(parts.query)))

    @property
    def window(self) -> Window:
        """As Postel has it, of a question that gives an end."""
        end = int(self.parameters["end_time"])
        return Window(int(self.parameters.get("start_time", end - DEFAULT_WINDOW_NANO)), end)

    def attribute(self) -> tuple[bytes, bytes | None]:
        """What holds the attribute that is filtered by: as a string, and where the value reads so as a number."""
        name, value = next(pair for pair in self.parameters.items() if pair[0].startswith(_ATTRIBUTE))
        key = name.removeprefix(_ATTRIBUTE)
        number = {key: int(value)} if value.removeprefix("-").isdecimal() else None
        return msgspec.json.encode({key: value}), None if number is None else msgspec.json.encode(number)

    def pattern(self) -> str:
        """The text that is searched for, as LIKE has it."""
        text = self.parameters["q"]
        for special in "\\%_":
            text = text.replace(special, f"\\{special}")
        return f"%{text}%"


_Arguments: TypeAlias = Callable[[Asked], Sequence[object]]


class _Page(NamedTuple):
    """A list, newest first, which is counted: its statement, its time, and the arguments of its match from $4 on."""

    page: str
    time: str
    arguments: _Arguments
    is_windowed: bool = True


def _service(asked: Asked) -> Sequence[object]:
    return [asked.parameters["service"]]


_PAGES: Mapping[str, _Page] = {
    "match-spans-by-attribute": _Page("page-matches", _SPANS, Asked.attribute),
    "match-traces-of-service": _Page("page-traces", _SPANS, _service),
    "match-slow-traces": _Page("page-traces", _SPANS, lambda asked: [int(asked.parameters["min_duration"])]),
    "match-failed-traces": _Page("page-traces", _SPANS, lambda _: []),
    "match-logs-of-service": _Page("page-matches", _LOGS, _service),
    "match-logs-by-severity": _Page(
        "page-matches", _LOGS, lambda asked: [severity_number(asked.parameters["severity"])]
    ),
    "match-logs-of-trace": _Page(
        "page-matches", _LOGS, lambda asked: [bytes.fromhex(asked.parameters["trace_id"])], is_windowed=False
    ),
    "match-logs-by-attribute": _Page("page-matches", _LOGS, Asked.attribute),
    "match-logs-by-body": _Page("page-matches", _LOGS, lambda asked: [asked.pattern()]),
}
_WHOLES: Mapping[str, _Arguments] = {
    "find-trace": lambda asked: [bytes.fromhex(asked.segments[1])],
    "find-logs-by-span": lambda asked: [bytes.fromhex(asked.segments[2])],
    "list-label-keys": lambda asked: [*asked.window, asked.segments[1]],
    "list-label-values": lambda asked: [*asked.window, asked.segments[1], asked.parameters["attribute"]],
    "average-points": lambda asked: [*asked.window, asked.parameters["name"], asked.parameters["group_by"]],
}


class Reply(NamedTuple):
    """How many rows there were, None where the time-out cut it off, and how long after it was asked."""

    rows: int | None
    latency_s: float


class Baseline:
    """J2, asked over a connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def ask(self, name: str, path: str) -> Reply:
        """Ask by the statement `name` what a path of the read API asks."""
        began = time.monotonic()
        asked = Asked.of(path)
        try:
            async with self._connection.transaction(readonly=True):
                if name in _PAGES:
                    rows = await self._page(name, asked)
                else:
                    rows = len(await self._connection.fetch(statement(name, _SQL), *_WHOLES[name](asked)))
        except asyncpg.QueryCanceledError:
            rows = None
        return Reply(rows, time.monotonic() - began)

    async def _page(self, name: str, asked: Asked) -> int:
        page = _PAGES[name]
        window, limit = asked.window if page.is_windowed else ALL_TIME, int(asked.parameters["limit"])
        given = page.arguments(asked)
        match = f"({statement(name, _SQL)})"
        find = statement(page.page, _SQL).replace("__matches__", match).replace("__time__", page.time)
        rows = len(await self._connection.fetch(find, *window, limit + 1, *given))
        if rows > limit:
            count = statement("count-matches", _SQL).replace("__matches__", match)
            await fetch_within(self._connection, COUNT_MS, count, *window, COUNT_LIMIT + 1, *given)
        return min(rows, limit)


@asynccontextmanager
async def asking_baseline(url: str) -> AsyncIterator[Baseline]:
    """J2 at a URL."""
    connection = await connect(url)
    try:
        for name, setting in _SESSION.items():
            await connection.execute(f"SET {name} = '{setting}'")
        yield Baseline(connection)
    finally:
        await connection.close()
