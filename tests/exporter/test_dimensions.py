"""Dimension rows: one a hash whoever races for it, ids known after commit only, promoted attributes beside them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from exporter import promotion
from exporter.attributes import Limits
from exporter.database import Connection, Database
from exporter.dimensions import KINDS, SPAN_SERIES, STORED, Dimensions, Entry, Row, prune
from exporter.errors import StorageUnavailable
from exporter.otlp.anyvalue import identity, to_json
from exporter.otlp.records import SPANS
from exporter.sidecar import Sidecar
from tests.exporter.sending import NOW, log, logs, run, send, sent, span, spans
from tests.sql.rows import ask

PROMOTION = promotion.load()


def with_dimensions(url: str, session: Callable[[list[Dimensions]], Awaitable[Any]], count: int = 1) -> Any:
    """What a session with so many processes' dimensions returns."""

    async def whole() -> Any:
        databases = [Database(url, 1, 8.0) for _ in range(count)]
        try:
            return await session([Dimensions(database, 100, 10_000, Limits()) for database in databases])
        finally:
            for database in databases:
                await database.close()

    return asyncio.run(whole())


def series(number: int, scope_id: int = 1) -> Entry:
    """A span series that is not stored yet."""
    attributes: dict[str, Any] = {"http.request.method": f"M{number}", f"key {number}": number}
    row = Row((scope_id, f"work {number}", 1, to_json(attributes)), attributes, SPANS)
    return Entry(identity("series", number), row)


def by_hash(*entries: Entry) -> dict[bytes, Entry]:
    return {entry.hash: entry for entry in entries}


def test_two_that_miss_the_same_store_it_once(database_url: str) -> None:
    async def session(all_of: list[Dimensions]) -> None:
        dimensions = all_of[0]
        some, more = by_hash(series(1), series(2)), by_hash(series(2), series(3))
        inserted = await asyncio.gather(*(dimensions.ensure(SPAN_SERIES, m, PROMOTION) for m in (some, more, some)))
        assert [len(hashes) for hashes in inserted] == [2, 1, 0]
        missing: dict[bytes, Entry] = {}
        assert dimensions.resolve(SPAN_SERIES, series(3), missing) == dimensions.known(SPAN_SERIES, series(3).hash) > 0
        assert not missing
        assert dimensions.resolve(SPAN_SERIES, series(4), missing) == 0
        assert list(missing) == [series(4).hash]

    with_dimensions(database_url, session)
    assert ask(database_url, "SELECT count(*) AS n FROM otel_span_series_dim") == [{"n": 3}]
    promoted = ask(database_url, "SELECT value FROM otel_span_series_attrs_string ORDER BY value")
    assert [row["value"] for row in promoted] == ["M1", "M2", "M3"]
    assert len(ask(database_url, "SELECT key FROM attribute_keys")) == 4


def test_a_row_that_is_stored_is_not_kept_and_never_stored_again(database_url: str) -> None:
    async def session(all_of: list[Dimensions]) -> None:
        dimensions, one = all_of[0], series(1)
        await dimensions.ensure(SPAN_SERIES, by_hash(one), PROMOTION)
        assert dimensions.resolve(SPAN_SERIES, one, {}) > 0
        assert one.row is STORED
        # Another body may still wait with it while everything is forgotten: it is found again ...
        dimensions.forget()
        assert await dimensions.ensure(SPAN_SERIES, by_hash(one), PROMOTION) == set()
        # ... or gone, and the sender tries again.
        other = series(2)
        other.row = STORED
        with pytest.raises(StorageUnavailable, match="pruned"):
            await dimensions.ensure(SPAN_SERIES, by_hash(other), PROMOTION)

    with_dimensions(database_url, session)
    assert ask(database_url, "SELECT count(*) AS n FROM otel_span_series_dim") == [{"n": 1}]


def test_eight_race_in_reversed_order(database_url: str) -> None:
    """They used to be the seed's deadlock: every hash has one row, and every process its id."""

    async def session(all_of: list[Dimensions]) -> list[list[int]]:
        entries = [series(i) for i in range(300)]

        async def ensure(dimensions: Dimensions, turn: int) -> list[int]:
            for start in range(0, 300, 50):
                part = entries[start : start + 50][:: -1 if turn % 2 else 1]
                await dimensions.ensure(SPAN_SERIES, by_hash(*part), PROMOTION)
            return [dimensions.known(SPAN_SERIES, entry.hash) for entry in entries]

        return list(await asyncio.gather(*(ensure(dimensions, turn) for turn, dimensions in enumerate(all_of))))

    ids = with_dimensions(database_url, session, 8)
    assert all(found == ids[0] for found in ids)
    assert len(set(ids[0])) == 300
    assert ask(database_url, "SELECT count(*) AS n FROM otel_span_series_dim") == [{"n": 300}]


def test_an_id_is_known_only_after_its_commit(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def session(all_of: list[Dimensions]) -> None:
        dimensions = all_of[0]
        retrying = Database.retrying

        async def fail(self: Database, work: Callable[[Connection], Awaitable[Any]]) -> Any:
            async def and_fail(connection: Connection) -> None:
                await work(connection)
                raise StorageUnavailable

            return await retrying(self, and_fail)

        monkeypatch.setattr(Database, "retrying", fail)
        with pytest.raises(StorageUnavailable):
            await dimensions.ensure(SPAN_SERIES, by_hash(series(1)), PROMOTION)
        assert dimensions.known(SPAN_SERIES, series(1).hash) == 0
        monkeypatch.undo()
        assert await dimensions.ensure(SPAN_SERIES, by_hash(series(1)), PROMOTION) == {series(1).hash}

    with_dimensions(database_url, session)


def test_a_row_in_use_is_confirmed_and_a_pruned_one_made_again(store: str) -> None:
    age = "UPDATE otel_resources_dim SET last_seen = now() - INTERVAL '2 days'; " + "".join(
        f"UPDATE {kind.table} SET last_seen = now() - INTERVAL '2 days'; " for kind in KINDS[1:]
    )
    resource = {"service.name": "api"}

    async def session(running: Sidecar) -> None:
        await send(running, *spans(span(1, 1, NOW, has={"http.request.method": "GET"}), resource=resource))
        await asyncio.to_thread(ask, store, "SELECT", given=age)
        await send(running, *spans(span(1, 2, NOW), resource=resource))
        confirmed = "SELECT count(*) AS n FROM otel_resources_dim WHERE last_seen > now() - INTERVAL '1 minute'"
        assert await asyncio.to_thread(ask, store, confirmed) == [{"n": 0}], "trusted for a while"
        running.ingest.dimensions._born -= 4000
        await send(running, *spans(span(1, 3, NOW), resource=resource))
        assert await asyncio.to_thread(ask, store, confirmed) == [{"n": 1}]

        await asyncio.to_thread(ask, store, "SELECT", given=f"TRUNCATE otel_spans_fact, otel_traces; {age}")
        assert [await prune(running._control, kind, 86_400) for kind in KINDS] == [1, 1, 0, 2, 0, 0]
        assert await asyncio.to_thread(ask, store, "SELECT value FROM otel_resource_attrs_string") == []
        running.ingest.dimensions._born -= 4000
        await send(running, *spans(span(1, 4, NOW, has={"http.request.method": "GET"}), resource=resource))

    run(store, session)
    assert len(ask(store, "SELECT * FROM v_otel_spans_enriched")) == 1
    assert ask(store, "SELECT value FROM otel_span_series_attrs_string") == [{"value": "GET"}]


def test_what_a_resource_is(store: str) -> None:
    """Types count, the order of keys does not."""
    values = [1, True, 1.0, "1", b"1", [1], {"a": 1}, None]
    several = [{"service.name": "s", "v": value} for value in values]
    same = [dict(reversed(several[0].items())), dict(several[0])]
    odd: list[dict[str, Any]] = [{"service.name": 5}, {"service.name": ["a"]}, {"service.name": "a\0b"}, {"x": 1}]
    sent(store, *(logs(log("x"), resource=resource) for resource in [*several, *same, *odd]))
    rows = ask(store, "SELECT service_name AS s, count(*)::int AS n FROM otel_resources_dim GROUP BY 1 ORDER BY 1")
    assert [(row["s"], row["n"]) for row in rows] == [
        ("5", 1),
        ('["a"]', 1),
        ("a\x1a0b", 1),
        ("s", 8),
        (None, 1),
    ]


def test_a_key_that_leaves_before_it_was_stored_is_told_to_the_others(store: str) -> None:
    """Nobody was told: only keys of stored series were registered."""
    users = [
        spans(*(span(turn, i + 1, has={"user.id": f"{turn} {i}", "kept": 1}) for i in range(600))) for turn in (1, 2)
    ]

    async def session(running: Sidecar) -> set[str]:
        await send(running, *users[0])
        assert running.ingest.traces.cardinality.untold == {}
        return set(running.ingest.traces.cardinality.high)

    assert run(store, session) == {"user.id"}
    high = "SELECT key FROM attribute_keys WHERE spans_high_cardinality AND NOT logs_high_cardinality"
    assert ask(store, high) == [{"key": "user.id"}]

    async def restarted(running: Sidecar) -> None:
        assert running.ingest.traces.cardinality.high == {"user.id"}
        await send(running, *users[1])

    run(store, restarted)
    assert ask(store, "SELECT count(*) AS n FROM otel_span_series_dim") == [{"n": 1}]
    assert len(ask(store, "SELECT FROM v_otel_spans_enriched WHERE attributes ? 'user.id'")) == 1200


def test_a_key_leaves_that_comes_seldom_and_never_repeats(store: str) -> None:
    """A record whose series has to be stored first is built twice, and seen once."""

    async def session(running: Sidecar) -> set[str]:
        for turn in range(1, 101):
            await send(running, *spans(*(span(turn, i, has={"order": turn} if i == 1 else {}) for i in range(1, 10))))
        return set(running.ingest.traces.cardinality.high)

    assert run(store, session) == {"order"}
    (found,) = ask(store, "SELECT count(*) AS n FROM otel_span_series_dim")
    assert found["n"] < 80


def test_a_long_value_marks_its_key_as_on_rows(store: str) -> None:
    """Whoever filters on the key looks at rows too; its other values stay in the series."""

    async def session(running: Sidecar) -> None:
        await send(running, *spans(span(1, 1, has={"note": "x" * 5000}), span(1, 2, has={"note": "short"})))
        assert running.ingest.traces.cardinality.untold == {}

    run(store, session)
    marked = "SELECT key, spans_high_cardinality AS high FROM attribute_keys WHERE spans_on_row AND NOT logs_on_row"
    assert ask(store, marked) == [{"key": "note", "high": False}]


def many_resources(count: int) -> tuple[str, bytes]:
    """The body of `count` spans, each of a resource and scope of its own: messages side by side are one message."""
    one = [spans(span(1, i + 1), resource={"service.name": f"s{i}"}, scope=f"lib{i}")[1] for i in range(count)]
    return SPANS, b"".join(one)


def test_what_many_resources_of_a_body_miss_is_stored_together(store: str) -> None:
    (outcome,) = sent(store, many_resources(400))
    assert outcome.stored == 400
    for table in ("otel_resources_dim", "otel_scopes_dim"):
        found = ask(store, f"SELECT count(*) AS n, count(DISTINCT xmin::text) AS transactions FROM {table}")
        assert found == [{"n": 400, "transactions": 1}]


def test_one_resource_that_postgresql_refuses_takes_along_only_its_records(store: str) -> None:
    ask(store, "SELECT", given="ALTER TABLE otel_resources_dim ADD CONSTRAINT odd CHECK (service_name <> 's7')")
    ask(store, "SELECT", given="ALTER TABLE otel_scopes_dim ADD CONSTRAINT odd CHECK (name <> 'lib9')")
    (outcome,) = sent(store, many_resources(20))
    assert (outcome.stored, outcome.rejected) == (18, 2)
    refused = ask(store, "SELECT context FROM otel_rejected_records")
    assert sorted("s7" in row["context"] for row in refused) == [False, True]


def test_who_waits_for_a_new_series_holds_up_nobody_who_has_his(store: str) -> None:
    async def session(running: Sidecar) -> tuple[bool, int]:
        await send(running, *spans(span(1, 1)))
        blocker = await asyncpg.connect(store)
        lock = blocker.transaction()
        await lock.start()
        await blocker.execute("LOCK TABLE otel_span_series_dim IN EXCLUSIVE MODE")
        waiting = asyncio.create_task(send(running, *spans(span(2, 1, has={"new": "series"}))))
        async with asyncio.timeout(5):
            while not await blocker.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            known = await send(running, *spans(span(3, 1)))
        waited = not waiting.done()
        await lock.rollback()
        await blocker.close()
        return waited, known.stored + (await waiting).stored

    assert run(store, session) == (True, 2)


WAITING = """SELECT EXISTS (
    SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"""
"""Whether anybody waits for who asks."""


def test_what_is_being_stored_while_caches_are_emptied(store: str) -> None:
    """A resource waits for its row, and the ids of its keys are forgotten meanwhile."""

    async def session(running: Sidecar) -> None:
        await send(running, *spans(span(1, 1), resource={"service.name": "a"}))
        holder: Any = await asyncpg.connect(store)
        try:
            async with holder.transaction():
                await holder.execute("LOCK TABLE otel_resources_dim IN EXCLUSIVE MODE")
                sending = asyncio.create_task(send(running, *spans(span(1, 2), resource={"service.name": "b"})))
                while not await holder.fetchval(WAITING):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                running.ingest.dimensions.forget()
            assert (await sending).stored == 1
        finally:
            await holder.close()

    run(store, session)
    assert ask(store, "SELECT value FROM otel_resource_attrs_string ORDER BY 1") == [{"value": "a"}, {"value": "b"}]


def test_what_was_found_before_caches_were_emptied_is_found_again(database_url: str) -> None:
    """An erasure rewrites one of two rows while somebody waits for the other one."""

    async def session(all_of: list[Dimensions]) -> None:
        dimensions = all_of[0]
        known, one, two = series(1), series(2), series(3)
        await dimensions.ensure(SPAN_SERIES, by_hash(known, one), PROMOTION)
        dimensions.forget()
        await dimensions.ensure(SPAN_SERIES, by_hash(known), PROMOTION)
        holder: Any = await asyncpg.connect(database_url)
        insert = "INSERT INTO otel_span_series_dim (series_hash, scope_id, name, kind_id, attributes) "
        async with holder.transaction():
            await holder.execute(f"{insert} VALUES ($1, 1, 'work 3', 1, '{{}}')", two.hash)
            ensuring = asyncio.create_task(dimensions.ensure(SPAN_SERIES, by_hash(known, one, two), PROMOTION))
            while not await holder.fetchval(WAITING):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            rewrite = "UPDATE otel_span_series_dim SET series_hash = 'x' WHERE name = 'work 2' RETURNING 1"
            await asyncio.to_thread(ask, database_url, rewrite)
            dimensions.forget()
        await holder.close()
        assert await ensuring == {one.hash}, "it is made anew"
        find = "SELECT series_hash AS hash, series_id AS id FROM otel_span_series_dim"
        rows = await asyncio.to_thread(ask, database_url, find)
        ids = {row["hash"]: row["id"] for row in rows}
        for entry in (known, one, two):
            assert dimensions.known(SPAN_SERIES, entry.hash) == ids[entry.hash]

    with_dimensions(database_url, session)
