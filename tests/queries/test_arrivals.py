"""What became visible since a snapshot, and pages of it: in few bytes, from no partition but those of the records."""

import asyncio
from typing import Any

import pytest

from exporter.settings import load
from exporter.stretches import Stretch
from queries import arrivals, logs, params, spans
from queries.arrivals import FIRST, Arrivals, Position, Search
from queries.database import Connection, ReadDatabase
from queries.params import LogSearch, SpanSearch
from tests.queries.sending import ago, send_logs
from tests.running import Server
from tests.sql.rows import ask

DAY_S, DAY = 86_400, 86_400_000_000_000


def in_session(database_url: str, work: Any) -> Any:
    """What `work` finds on a reading connection."""

    async def session() -> Any:
        database = ReadDatabase(database_url, load(environ={}))
        try:
            async with database.reading() as connection:
                return await work(connection)
        finally:
            await database.close()

    return asyncio.run(session())


def search(**asked: Any) -> Search:
    """A search for log records."""
    return Search(logs.SOURCE, LogSearch(**asked), logs.select, logs.load)


@pytest.mark.parametrize("text", ["7-5:5:", "1795901739-798:810:798,805"])
def test_a_position_is_read_as_it_is_written(text: str) -> None:
    assert str(Position.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "7", "7-0:5:", "7-5:4:", "7-5:9:7,6", "7-5:9:12", "7-5:9:4", "7-4294967296:4294967297:", "x-5:9:", "7-5:9:\n"],
)
def test_what_is_no_position(text: str) -> None:
    assert Position.parse(text) is None
    assert Position.parse(f"7-{1 << 32}:{1 << 32}:") is None


def test_a_position_sees_what_was_committed_before() -> None:
    position = Position(7, 5, 9, (5, 7))
    assert [number for number in range(3, 12) if position.sees(number)] == [3, 4, 6, 8]


def test_a_look_finds_what_became_visible(shared: Server, service: str) -> None:
    def look(since: Position | None) -> arrivals.Look:
        found: arrivals.Look = in_session(shared.database_url, lambda c: arrivals.look(c, since, 3600))
        return found

    first = look(None)
    assert (first.arrivals, first.has_gap) == ({}, False)
    times = [ago(9 * DAY_S), ago(9 * DAY_S) + 1, ago(40), ago(31), ago(0)]
    send_logs(shared, service, times)
    second = look(first.position)
    assert second.arrivals["logs"].stretches == [(times[0], times[1]), (times[2], times[3]), (times[4], times[4])]
    (number,) = second.arrivals["logs"].transactions
    assert second.position.sees(number) and not first.position.sees(number)
    assert look(second.position).arrivals == {}
    # Of another server, or from before what the ledger keeps.
    for gap in (Position(first.position.at_s, 1 << 50 | 5, 1 << 50 | 5, ()), Position(1_700_000_000, 5, 5, ())):
        assert look(gap).has_gap


def test_a_page_is_as_large_as_its_bytes(shared: Server, service: str) -> None:
    before = in_session(shared.database_url, lambda c: arrivals.look(c, None, 3600)).position
    times = [ago(20 - number) for number in range(20)]
    body = {"string_value": "x" * 200_000}
    send_logs(shared, service, times, attributes=[{"key": "long", "value": body}])

    async def pages(connection: Connection) -> list[list[int]]:
        new = (await arrivals.look(connection, before, 3600)).arrivals["logs"]
        found: list[list[int]] = []
        after, is_last = FIRST, False
        while not is_last:
            rows, is_last = await arrivals.page(connection, search(service=[service]), new, after, 100)
            left = await arrivals.count(connection, search(service=[service]), new, after)
            assert left == 20 - sum(len(page) for page in found)
            after = logs.SOURCE.key_of(rows[-1]) if rows else after
            found.append([row["time_unix_nano"] for row in rows])
        return found

    found = in_session(shared.database_url, pages)
    assert [time for page in found for time in page] == times
    assert {len(page) for page in found[:-1]} == {6}
    assert in_session(shared.database_url, lambda c: nothing(c, search(service=["no such service"]))) == ([], True)


async def nothing(connection: Connection, asked: Search) -> Any:
    """A page of a service that there is not."""
    return await arrivals.page(connection, asked, Arrivals([5], [(0, 9)]), FIRST, 10)


class Explaining:
    """A connection that explains every statement before it asks it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.plans: list[str] = []

    async def fetch(self, statement: str, *arguments: object) -> Any:
        return await self._connection.fetch(statement, *arguments)

    async def cursor(self, statement: str, *arguments: object, prefetch: int) -> Any:
        plan = await self._connection.fetch(f"EXPLAIN {statement}", *arguments)
        self.plans += [row[0] for row in plan]
        async for row in self._connection.cursor(statement, *arguments, prefetch=prefetch):
            yield row


def test_no_plan_looks_between_the_stretches(database_url: str) -> None:
    days = [number * DAY for number in range(10_000, 10_010)]
    create = "SELECT otel_create_partitions(s, ARRAY{}, {}) FROM (VALUES ('spans'), ('logs')) AS t (s)"
    ask(database_url, create.format(days, DAY))
    stretches: list[Stretch] = [(days[2], days[2] + 5), (days[7] + 5, days[7] + 9)]

    async def plans(connection: Connection) -> str:
        explaining: Any = Explaining(connection)
        of_spans = Search(spans.SOURCE, SpanSearch(), spans.select, spans.load)
        for asked in (search(), search(trace_id=bytes(16)), of_spans):
            await arrivals.page(explaining, asked, Arrivals([700], stretches), FIRST, 10)
        return "\n".join(explaining.plans)

    scanned = in_session(database_url, plans)
    for day, expected in zip(range(19, 26), (False, False, True, False, False, False, False), strict=True):
        assert (f"_p199705{day}t00" in scanned) is expected
    assert "_p19970526t00" in scanned


def test_tails_take_what_searches_take_but_pages_and_times() -> None:
    of_pages = {*params.fields(params.Windowed)} - {"format"}
    for tail, of in ((params.LogTail, LogSearch), (params.SpanTail, SpanSearch)):
        assert {*params.fields(tail)} == {*params.fields(of)} - of_pages
