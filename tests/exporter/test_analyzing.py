"""Partitioned tables are analysed once a day, by one process, and never in the way of who needs a partition."""

import asyncio
import time

import asyncpg

from exporter.analyzing import analyze
from exporter.database import Database
from exporter.partitions import SIGNALS, Partitions
from tests.exporter.sending import DAY, log, logs, sent
from tests.sql.rows import ask

KNOWN = "SELECT count(*)::int AS n FROM pg_stats WHERE tablename = 'otel_logs_fact' AND inherited"


def flushed(url: str) -> None:
    """What was written is told to the statistics at once, which takes a second otherwise."""
    deadline = time.monotonic() + 20
    counted = (
        "SELECT coalesce(sum(n_live_tup), 0)::int AS n FROM pg_stat_user_tables WHERE relname ^@ 'otel_logs_fact_p'"
    )
    while not ask(url, counted)[0]["n"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_table_with_rows_is_analysed_once(store: str) -> None:
    sent(store, logs(*(log(f"{i}") for i in range(50))))
    flushed(store)

    async def session() -> list[list[str]]:
        return [*await asyncio.gather(analyze(store), analyze(store), analyze(store)), await analyze(store)]

    *together, afterwards = asyncio.run(session())
    every = [name for some in together for name in some]
    assert "otel_logs_fact" in every
    assert "otel_spans_fact" not in every, "it has no rows"
    assert afterwards == []
    assert ask(store, KNOWN)[0]["n"] > 5


def test_twice_as_many_rows_are_analysed_anew(store: str) -> None:
    sent(store, logs(*(log(f"{i}") for i in range(50))))
    flushed(store)
    assert "otel_logs_fact" in asyncio.run(analyze(store))
    ask(store, "UPDATE pg_class SET reltuples = 10 WHERE relname = 'otel_logs_fact'")
    assert asyncio.run(analyze(store)) == ["otel_logs_fact"]


def test_who_needs_a_partition_does_not_wait_for_it(store: str) -> None:
    sent(store, logs(log("a")))

    async def session() -> float:
        slow = await asyncpg.connect(store, server_settings={"application_name": "postel analyze"})
        transaction = slow.transaction()
        await transaction.start()
        await slow.fetchval("SELECT otel_analyze('otel_logs_fact')")
        sleeping = asyncio.create_task(slow.execute("SELECT pg_sleep(20)"))
        await asyncio.sleep(0.1)

        async def end() -> None:
            try:
                await sleeping
            except asyncpg.QueryCanceledError:
                await transaction.rollback()

        ending = asyncio.create_task(end())
        database = Database(store, 1, 8.0)
        began = time.monotonic()
        await Partitions(database, dict.fromkeys(SIGNALS, 86_400.0), 2).make("logs", 20 * DAY, 20 * DAY + 1)
        took = time.monotonic() - began
        await ending
        await slow.close()
        await database.close()
        return took

    assert asyncio.run(session()) < 5
