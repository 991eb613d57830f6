"""Old data in line with the lists: the typed rows and indexes that it would have had under these from the start."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from exporter import promotion, row_indexes
from exporter.backfill import PLACES, Backfill, Difference, Target
from exporter.errors import StorageUnavailable
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.promotion import TYPES, Promotion
from exporter.sidecar import Sidecar
from tests.conftest import Clones, database_of
from tests.exporter.sending import NOW, attributes, gauge, log, logs, metrics, point, run, send, sent, span, spans
from tests.exporter.test_dimensions import WAITING
from tests.exporter.test_row_indexes import COMPLETE, INDEXES, many
from tests.queries.filter_oracle import VALUES
from tests.sql.rows import ask

KEYS = ("plain", "odd key/ö", "nul\0", "")
HASHES = {
    "resource": "resource_hash",
    "scope": "scope_hash",
    SPANS: "series_hash",
    LOGS: "series_hash",
    METRICS: "series_hash",
}


def lists(*keys: str, types: tuple[str, ...] = TYPES) -> Promotion:
    """These keys, and no others, promoted for every owner."""
    return Promotion({owner: dict.fromkeys(keys, frozenset(types)) for owner in HASHES | _CHILDREN}, NO_DROPS)


_CHILDREN = {"span_events": "", "span_links": ""}
NO_DROPS = promotion.load().drops


def bodies() -> list[tuple[str, bytes]]:
    """Every value under every key, on everything that has a typed place."""
    found: list[tuple[str, bytes]] = []
    rng = random.Random(4)
    for number, value in enumerate(VALUES):
        has = {key: rng.choice([value, rng.choice(VALUES)]) for key in KEYS} | {"number": number}
        resource = {"service.name": f"s{number}"} | has
        found.append(of_scope(spans(span(1, number + 1, NOW, has=has), resource=resource), has))
        found.append(logs(log("x", has=has), resource=resource))
        found.append(metrics(gauge("g", point(number, has=has)), resource=resource))
    return found


def of_scope(body: tuple[str, bytes], has: Mapping[str, Any]) -> tuple[str, bytes]:
    """The same spans of a scope with attributes."""
    request = TracesData.FromString(body[1])
    request.resource_spans[0].scope_spans[0].scope.attributes.extend(attributes(has))
    return body[0], request.SerializeToString()


def typed(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All typed rows, by what they are of and not by ids."""
    found = {}
    for owner, kind in PLACES.items():
        for of_type in TYPES:
            table = f"{kind.attributes}{of_type}"
            rows = ask(
                url,
                f"SELECT d.{HASHES[owner]} AS hash, k.key, t.value::text AS value FROM {table} AS t"
                f" JOIN {kind.table} AS d USING ({kind.id_column}) JOIN attribute_keys AS k USING (key_id)",
            )
            found[table] = sorted((row["hash"], row["key"], row["value"]) for row in rows)
    return found


async def skip_rest(_took_s: float) -> None:
    """Tests have no ingest to spare."""


def align(url: str, owner: str, key: str, types: Mapping[str, Any] | tuple[str, ...], size: int = 7) -> Difference:
    """What was done; what is left to do must be nothing."""

    async def session() -> Difference:
        work = Backfill(url, Target(owner, key, frozenset(types)), size=size)
        work.rest = skip_rest
        try:
            before = await work.difference()
            done = await work.align()
            assert done == before
            assert not await work.difference()
            return done
        finally:
            await work.close()

    return asyncio.run(session())


def test_it_is_as_if_the_lists_had_been_so_from_the_start(clones: Clones, server_url: str) -> None:
    """Also of some of the types, and back."""
    few = ("int", "double", "bytes")
    taken = {name: clones.take() for name in ("none", "all", "few", "changing")}
    urls = {name: database_of(server_url, clone) for name, clone in taken.items()}
    sent(urls["none"], *bodies(), lists=lists())
    sent(urls["all"], *bodies(), lists=lists(*KEYS))
    sent(urls["few"], *bodies(), lists=lists(*KEYS, types=few))
    sent(urls["changing"], *bodies(), lists=lists())
    expected = {name: typed(url) for name, url in urls.items()}
    assert not any(expected["none"].values()) and all(expected["all"].values())
    for name, types in (("all", TYPES), ("few", few), ("all", TYPES), ("none", ()), ("few", few)):
        done = [align(urls["changing"], owner, key, types) for owner in PLACES for key in KEYS]
        assert any(found.missing + found.surplus for found in done)
        assert typed(urls["changing"]) == expected[name], name
    for clone in taken.values():
        clones.drop(clone)


def test_an_index_where_values_lie_on_rows_and_none_after(store: str) -> None:
    sent(store, many("order"), many("other"))
    partitions = len(ask(store, "SELECT FROM otel_partitions WHERE parent = 'otel_spans_fact'"))
    assert align(store, SPANS, "order", ("string",)).unindexed == partitions
    assert ask(store, COMPLETE) == [{"key": "order", "is_complete": True}]
    asyncio.run(row_indexes.make(store, lists("other")))
    assert len(ask(store, INDEXES)) == 2 * partitions
    assert align(store, SPANS, "order", ()).indexed == partitions
    assert ask(store, COMPLETE) == [{"key": "other", "is_complete": True}]
    assert len(ask(store, INDEXES)) == partitions
    sent(store, many("order", day=-20))
    assert len(ask(store, INDEXES)) == len(ask(store, "SELECT FROM otel_partitions WHERE parent = 'otel_spans_fact'"))
    assert not any("'order'" in row["made"] for row in ask(store, INDEXES)), "nor has a partition that is made later"


@pytest.mark.parametrize("key", ["it's", 'quo"ted', "back\\slash", "k" * 3000, "nul\0"])
def test_any_key_loses_its_index(store: str, key: str) -> None:
    sent(store, many(key))
    assert align(store, SPANS, key, ("string",)).unindexed > 0
    assert align(store, SPANS, key, ()).indexed > 0
    assert ask(store, INDEXES) == []


def test_an_index_that_was_cut_off_is_dropped_too(store: str) -> None:
    sent(store, many("order"))
    align(store, SPANS, "order", ("string",))
    broken = """UPDATE pg_index SET indisvalid = false WHERE indexrelid = (
        SELECT indexrelid FROM pg_index WHERE pg_get_indexdef(indexrelid) LIKE '%jsonb_hash%' LIMIT 1) RETURNING 1"""
    assert len(ask(store, broken)) == 1
    align(store, SPANS, "order", ())
    assert ask(store, INDEXES) == []


def test_a_key_that_nobody_has(store: str) -> None:
    for owner in PLACES:
        assert align(store, owner, "nobody's", TYPES) == align(store, owner, "nobody's", ()) == Difference()


def test_one_that_was_cut_off_goes_on(store: str) -> None:
    """From where it was; what came into rows that were done already is found in the end."""
    sent(store, *(spans(span(1, i + 1, has={"order": i % 50, "n": i % 40})) for i in range(200)), lists=lists())
    total = ask(store, "SELECT count(*) AS n FROM otel_span_series_dim")[0]["n"]
    assert total > 100
    seen: list[int] = []

    async def interrupted() -> None:
        work = Backfill(store, Target(SPANS, "order", frozenset(TYPES)), lambda done, _: seen.append(done), size=10)

        async def cut_off(_took_s: float) -> None:
            if len(seen) == 5:
                raise ConnectionAbortedError

        work.rest = cut_off
        try:
            await work.align()
        finally:
            await work.close()

    with pytest.raises((ConnectionAbortedError, StorageUnavailable)):
        asyncio.run(interrupted())
    assert seen == [0, 10, 20, 30, 40]
    progress = "SELECT owner, types, last_id > 0 AS has_come FROM otel_backfills"
    assert ask(store, progress) == [{"owner": "spans", "types": sorted(TYPES), "has_come": True}]
    removed = """DELETE FROM otel_span_series_attrs_int
        WHERE series_id = (SELECT min(series_id) FROM otel_span_series_dim) RETURNING 1"""
    assert len(ask(store, removed)) == 1
    again: list[int] = []

    async def resumed() -> Difference:
        work = Backfill(store, Target(SPANS, "order", frozenset(TYPES)), lambda done, _: again.append(done), size=10)
        work.rest = skip_rest
        try:
            return await work.align()
        finally:
            await work.close()

    done = asyncio.run(resumed())
    assert again[:2] == [40, 50] and done.missing == total - 40 + 1
    assert ask(store, "SELECT count(*) AS n FROM otel_span_series_attrs_int") == [{"n": total}]
    assert ask(store, progress) == []


def test_other_types_begin_anew(store: str) -> None:
    """Where one promotion was cut off says nothing of another one."""
    sent(store, *bodies(), lists=lists())
    noted = """INSERT INTO otel_backfills (key_hash, last_id, owner, types)
        SELECT key_hash, 1 << 40, 'spans', '{int}' FROM attribute_keys WHERE key = 'plain' RETURNING 1"""
    assert len(ask(store, noted)) == 1
    assert align(store, SPANS, "plain", ("string",)).missing > 0


def test_only_one_at_a_time(store: str) -> None:
    sent(store, *bodies(), lists=lists())

    async def session() -> Difference:
        first = Backfill(store, Target(SPANS, "plain", frozenset(TYPES)), size=7)
        second = Backfill(store, Target(LOGS, "plain", frozenset()), size=7)
        refused = 0

        async def meanwhile(_took_s: float) -> None:
            nonlocal refused
            with pytest.raises(StorageUnavailable, match="another `postel promote` or `postel demote`"):
                await second.align()
            refused += 1

        first.rest = meanwhile
        try:
            done = await first.align()
            assert refused > 2
            await second.align()
            return done
        finally:
            await first.close()
            await second.close()

    assert asyncio.run(session()).missing > 0


def test_series_that_come_meanwhile(store: str) -> None:
    """A server with earlier lists goes on writing: the second round finds what came during the first one."""
    sent(store, *bodies(), lists=lists())

    async def session(running: Sidecar) -> tuple[int, int]:
        work = Backfill(store, Target(SPANS, "plain", frozenset(TYPES)), size=7)
        number = 0

        async def meanwhile(_took_s: float) -> None:
            nonlocal number
            number += 1
            await send(running, *spans(span(2, number, has={"plain": f"late {number}"})))

        work.rest = meanwhile
        try:
            await work.align()
            return number, (await work.difference()).missing
        finally:
            await work.close()

    number, left = run(store, session, lists=lists())
    assert number > 10 and 0 < left < 0.7 * number
    assert align(store, SPANS, "plain", TYPES).missing >= left


def test_a_row_that_is_pruned_meanwhile_leaves_no_typed_row(store: str) -> None:
    """It was there as it was looked for, and is not any more as its typed row is to be written."""
    fill = """INSERT INTO otel_resources_dim (dropped_attributes_count, resource_hash, schema_url, attributes)
        SELECT 0, n::text::bytea, '', '{"plain": "x"}' FROM generate_series(1, 10) AS n RETURNING 1"""
    ask(store, fill)
    ask(store, "INSERT INTO attribute_keys (key_hash, key) VALUES (sha256('plain'), 'plain') RETURNING 1")

    async def session() -> Difference:
        pruning: Any = await asyncpg.connect(store)
        work = Backfill(store, Target("resource", "plain", frozenset(TYPES)))
        work.rest = skip_rest
        try:
            transaction = pruning.transaction()
            await transaction.start()
            gone = await pruning.fetch("DELETE FROM otel_resources_dim WHERE resource_id % 2 = 0 RETURNING 1")
            aligning = asyncio.create_task(work.align())
            while not await pruning.fetchval(WAITING):
                assert not aligning.done(), "it waits for nobody"
                await asyncio.sleep(0.01)
            await pruning.execute("DELETE FROM otel_resource_attrs_string WHERE resource_id % 2 = 0")
            await transaction.commit()
            assert len(gone) == 5
            return await aligning
        finally:
            await work.close()
            await pruning.close()

    asyncio.run(session())
    assert ask(store, "SELECT count(*) AS n FROM otel_resource_attrs_string") == [{"n": 5}]
