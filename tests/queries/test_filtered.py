"""Filters on attributes are counted with how long their questions took, stored, and added up over replicas."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from exporter import filtered
from exporter.database import Database
from exporter.errors import StorageUnavailable
from exporter.otlp.anyvalue import key_hash
from queries.errors import NotFound, QueryTimeout
from queries.filtered import MOST_KEYS, Filtered, Key, Use, key_of
from queries.filters import parse
from tests.exporter.asking import NOWHERE, Asker, asker, own_database
from tests.exporter.sending import gauge, metrics, point, span, spans
from tests.sql.rows import ask

STORED = "SELECT signal, key_hash, filters, seconds FROM otel_attribute_filters ORDER BY 1, 2"


def uses(found: Filtered) -> dict[Key, Use]:
    """What is counted, which is forgotten."""
    return {(signal, hash_): Use(filters, seconds) for signal, hash_, filters, seconds in found.take()}


def count(found: Filtered, *parameters: str, signal: str = "spans") -> None:
    with found.counting([(text.partition(".")[0], parse(text, "1")) for text in parameters], signal):
        pass


def counter(found: Asker) -> Filtered:
    counted = found.postel.sidecar.filtered
    assert isinstance(counted, Filtered)
    return counted


async def store(found: Asker) -> None:
    await filtered.store(found.postel.sidecar._control, counter(found))


def test_by_what_the_filter_is_on() -> None:
    found = Filtered()
    count(found, "attr.a", "attr.a__gt", "resource.a", "scope.a", "event.a")
    count(found, "attr.a", signal="logs")
    assert {key: use.filters for key, use in uses(found).items()} == {
        key_of(owner, "a"): 1 for owner in ("spans", "resource", "scope", "span_events", "logs")
    }
    assert uses(found) == {}


def test_how_long_the_question_takes() -> None:
    found = Filtered()
    for _ in range(2):
        with found.counting([("attr", parse("attr.a", "1"))], "spans"):
            time.sleep(0.02)
    [use] = uses(found).values()
    assert use.filters == 2
    assert 0.04 <= use.seconds < 1


def test_what_takes_too_long_counts_and_what_is_wrong_does_not() -> None:
    found = Filtered()
    for error, counted in ((QueryTimeout("late"), 1), (asyncio.CancelledError(), 1), (NotFound("no"), 0)):
        with pytest.raises(type(error)), found.counting([("attr", parse("attr.a", "1"))], "spans"):
            raise error
        assert len(uses(found)) == counted


def test_keys_are_bounded() -> None:
    found = Filtered()
    for number in range(MOST_KEYS + 5):
        count(found, f"attr.{number}")
    count(found, "attr.0")
    counted = uses(found)
    assert len(counted) == MOST_KEYS
    assert counted[key_of("spans", "0")].filters == 2


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        ("/api/spans", {"attr.k": "1", "event.k": "1"}, {"spans", "span_events"}),
        ("/api/traces", {"attr.k": "1", "resource.k": "1"}, {"spans", "resource"}),
        ("/api/logs", {"attr.k": "1", "scope.k__exists": "false"}, {"logs", "scope"}),
        ("/api/metrics", {"resource.k": "1"}, {"resource"}),
        ("/api/metrics/series", {"attr.k": "1", "name": "m"}, {"metrics"}),
        ("/api/metrics/labels", {"attr.k": "1", "name": "m"}, {"metrics"}),
        (f"/api/traces/{1:032x}/spans", {"attr.k": "1"}, {"spans"}),
        (f"/api/logs/trace/{1:032x}", {}, set()),
        ("/api/spans", {"attr.k": "1", "kind": "nonsense"}, set()),
        ("/api/services", {}, set()),
    ],
)
def test_every_endpoint_counts(store_asker: Asker, path: str, asked: dict[str, str], expected: set[str]) -> None:
    store_asker.get(path, **asked)
    assert set(uses(counter(store_asker))) == {key_of(owner, "k") for owner in expected}


@pytest.fixture(scope="module")
def store_asker(server_url: str, template: str) -> Iterator[Asker]:
    """An application with a span and a metric."""
    with own_database(server_url, template) as url, asker(url) as found:
        found.post("/v1/traces", spans(span(1, 1))[1])
        found.post("/v1/metrics", metrics(gauge("m", point(1)))[1])
        yield found


def test_replicas_add_up(database_url: str) -> None:
    with asker(database_url) as first, asker(database_url) as second:
        first.post("/v1/traces", spans(span(1, 1, time.time_ns(), {"asked.for": 1}))[1])
        for found, times in ((first, 2), (second, 3)):
            for _ in range(times):
                assert found.get("/api/spans", **{"attr.asked.for": "1"}).status_code == 200
            found.get("/api/spans", **{"attr.typed.by.mistake": "1"})
            found.run(store(found))
            found.run(store(found))
        by_key = {(row["signal"], row["key_hash"]): row for row in ask(database_url, STORED)}
        assert by_key.keys() == {("spans", key_hash("asked.for")), ("spans", key_hash("typed.by.mistake"))}
        [stored] = [row for (_, hash_), row in by_key.items() if hash_ == key_hash("asked.for")]
        assert stored["filters"] == 5
        # What is not stored yet is known to who counted it.
        second.get("/api/spans", **{"attr.asked.for__exists": "true"})
        for found, times in ((first, 5), (second, 6)):
            listed = {item["key"]: item for item in found.get("/api/attributes", signal="spans").json()["attributes"]}
            assert listed.keys() == {"asked.for"}
            assert listed["asked.for"]["filtered"] == times
            assert listed["asked.for"]["filter_seconds"] >= round(stored["seconds"], 6) > 0


def test_the_text_that_was_typed_is_not_stored(database_url: str) -> None:
    with asker(database_url) as found:
        found.get("/api/spans", **{"attr.my-password-is-hunter2": "1"})
        found.run(store(found))
        rows = ask(database_url, "SELECT f::text AS text FROM otel_attribute_filters AS f")
        assert len(rows) == 1
        assert "hunter2" not in rows[0]["text"]
        assert b"hunter2".hex() not in rows[0]["text"]


def test_no_more_keys_are_stored_than_fit(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtered, "MOST_KEYS", 2)
    with asker(database_url) as found:
        for keys in ("ab", "cd", "ac"):
            count(counter(found), *(f"attr.{key}" for key in keys))
            found.run(store(found))
        rows = {row["key_hash"]: row["filters"] for row in ask(database_url, STORED)}
        assert rows == {key_hash("a"): 2, key_hash("b"): 1}


def test_what_cannot_be_stored_is_kept() -> None:
    found = Filtered()
    count(found, "attr.a")

    async def fail() -> None:
        database = Database(NOWHERE, 1, 1.0, "test")
        with pytest.raises(StorageUnavailable):
            await filtered.store(database, found)
        await database.close()

    asyncio.run(fail())
    count(found, "attr.a")
    assert uses(found)[key_of("spans", "a")].filters == 2


def test_the_server_stores_what_it_counts(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.sidecar._ROUND_S", 0.1)
    with asker(database_url) as found:
        found.get("/api/logs", **{"attr.k": "1"})
        deadline = time.monotonic() + 20
        while not (rows := ask(database_url, STORED)):
            assert time.monotonic() < deadline
            found.run(asyncio.sleep(0.1))
        assert [(row["signal"], row["filters"]) for row in rows] == [("logs", 1)]
