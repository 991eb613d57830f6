"""What takes place is measured: sums are the whole, services are counted, the costliest key is found."""

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from typing import Any

import asyncpg
import pytest

from queries import sampling, services, storage
from queries.params import SIGNALS
from queries.storage import Stored, days_until
from tests.exporter.asking import asker, own_database
from tests.exporter.sending import DAY
from tests.queries.test_rollups import compute
from tests.queries.weighing import HEAVY, HEAVY_RECORDS, Loaded, loaded
from tests.sql.rows import ask

WHOLE = """SELECT sum(pg_total_relation_size(oid))::bigint AS bytes FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
GIB = 1 << 30


@pytest.fixture(scope="module")
def full(server_url: str, template: str) -> Iterator[Loaded]:
    """A loaded database."""
    with own_database(server_url, template) as url, loaded(url) as found:
        yield found


def get(found: Loaded, **asked: Any) -> Any:
    answer = found.asker.get("/api/storage", **{"limit": "1000", **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def total(lines: list[dict[str, Any]]) -> int:
    return sum(line["bytes"] for line in lines)


def test_parts_are_the_whole(full: Loaded) -> None:
    answer = get(full)
    [whole] = ask(full.url, WHOLE)
    # Statistics and the visibility of rows are kept in files, too, that grow by themselves.
    assert answer["bytes"] == pytest.approx(whole["bytes"], rel=0.01)
    assert total(answer["tables"]) == answer["bytes"]
    parts = ("heap_bytes", "toast_bytes", "index_bytes")
    assert all(sum(line[part] for part in parts) == line["bytes"] for line in answer["tables"])
    signals = total(answer["signals"])
    assert total(answer["services"]) == pytest.approx(signals, rel=0.001)
    partitioned = [line for line in answer["tables"] if line["kind"] in ("records", "rollups")]
    empty = sum(line["bytes"] for line in ask(full.url, "SELECT * FROM v_otel_storage WHERE heap_bytes = 0"))
    assert total(answer["partitions"]) == pytest.approx(total(partitioned), abs=empty)
    assert {line["estimated"] for name in ("signals", "tables", "partitions") for line in answer[name]} == {False}
    assert {line["estimated"] for name in ("services", "keys") for line in answer[name]} == {True}


def test_records_are_told_by_statistics(full: Loaded) -> None:
    records = {line["signal"]: line["records"] for line in get(full)["signals"]}
    assert records["spans"] == pytest.approx(sum(full.sent["traces"].values()), rel=0.02)
    assert records["logs"] == pytest.approx(sum(full.sent["logs"].values()) + 1, rel=0.02)
    assert records["metrics"] == pytest.approx(sum(full.sent["metrics"].values()), rel=0.02)


def test_records_of_services_are_counted(full: Loaded) -> None:
    for _ in range(2):
        services = {
            (line["service_name"], line["service_namespace"]): (line["spans"], line["logs"], line["points"])
            for line in get(full)["services"]
        }
        assert services.pop(("heavy", "other")) == (0, 1, 0)
        names = {name for name, _ in services}
        assert names == set().union(*full.sent.values())
        for (name, _), found in services.items():
            assert found == tuple(full.sent[signal][name] for signal in ("traces", "logs", "metrics"))
        # At once, and again when minutes say so.
        running = full.asker.postel.sidecar
        full.asker.run(compute(running))


def test_services_are_sampled_where_counting_takes_too_long(full: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(services, "count", never)
    monkeypatch.setattr(sampling, "SERVICE_BYTES", 1 << 21)
    lines = {line["service_name"]: line for line in get(full, signal="spans")["services"]}
    assert not any(line["counted"] for line in lines.values())
    everything = sum(full.sent["traces"].values())
    for name, line in lines.items():
        assert line["spans"] == pytest.approx(full.sent["traces"][name], abs=0.1 * everything)
    assert sum(line["spans"] for line in lines.values()) == pytest.approx(everything, rel=0.05)


def test_the_costliest_key_is_found(full: Loaded) -> None:
    first, second, *_ = get(full)["keys"]
    assert (first["key"], first["signal"]) == (HEAVY, "spans")
    assert first["bytes"] == pytest.approx(HEAVY_RECORDS * (1024 + len(HEAVY)), rel=0.1)
    assert first["share"] == pytest.approx(first["bytes"] / get(full)["signals"][0]["bytes"], abs=0.001)
    assert second["bytes"] < first["bytes"]


def test_keys_are_all_that_is_stored_of_attributes(full: Loaded) -> None:
    columns = {
        "spans": ("otel_spans_fact", "otel_span_series_dim"),
        "span_events": ("otel_span_events",),
        "logs": ("otel_logs_fact", "otel_log_series_dim"),
        "metrics": ("otel_exemplars", "otel_metric_series_dim"),
        "resource": ("otel_resources_dim",),
    }
    keys = get(full)["keys"]
    for owner, tables in columns.items():
        sizes = [ask(full.url, f"SELECT sum(pg_column_size(attributes)) AS bytes FROM {table}") for table in tables]
        stored = sum(rows[0]["bytes"] or 0 for rows in sizes)
        assert total([key for key in keys if key["signal"] == owner]) == pytest.approx(stored, rel=0.1), owner


def test_estimates_of_a_part_are_near(full: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    sampled = {(key["signal"], key["key"]): key["bytes"] for key in get(full)["keys"]}
    monkeypatch.setattr(sampling, "KEY_BYTES", 1 << 30)
    exact = {(key["signal"], key["key"]): key["bytes"] for key in get(full)["keys"]}
    assert sampled != exact
    assert sampled["spans", HEAVY] == pytest.approx(exact["spans", HEAVY], rel=0.3)


def test_only_what_is_asked_for(full: Loaded) -> None:
    answer = get(full, signal="logs", limit="3")
    assert [line["signal"] for line in answer["signals"]] == ["logs"]
    assert {line["signal"] for name in ("tables", "partitions", "keys") for line in answer[name]} == {"logs"}
    assert {len(answer[name]) for name in ("tables", "services", "keys")} == {3}
    assert answer["bytes"] == get(full)["bytes"]


def test_no_table_is_scanned(full: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = "spans_fact|span_events|span_links|logs_fact|metrics_data_points|exemplars|traces"
    read = f"""SELECT sum(seq_scan) AS scans, sum(seq_tup_read) AS rows, sum(n_live_tup) AS all_rows
    FROM pg_stat_user_tables WHERE relname ~ '^otel_({facts})'"""
    for name, value in (("KEY_BYTES", 1 << 16), ("SERVICE_BYTES", 1 << 16), ("_LEAST_BLOCKS", 8)):
        monkeypatch.setattr(sampling, name, value)
    running = full.asker.postel.sidecar
    full.asker.run(compute(running))

    def statistics() -> dict[str, int]:
        """What was read by connections that have ended: they tell it then."""
        connected = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ 'postel'"
        )
        ended = {row["pid"] for row in ask(full.url, connected)}
        full.asker.run(running.renew())
        get(full)
        deadline = time.monotonic() + 20
        while ended & {row["pid"] for row in ask(full.url, connected)}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return ask(full.url, read)[0]

    before = statistics()
    for _ in range(3):
        get(full)
        assert full.asker.get("/api/attributes", signal="scope").status_code == 200
    after = statistics()
    assert after["scans"] == before["scans"]
    assert 0 < after["rows"] - before["rows"] < after["all_rows"]


def test_the_view_is_cheap_at_hundreds_of_partitions(full: Loaded) -> None:
    make = f"""SELECT otel_create_partitions(
        s, array(SELECT {DAY}::bigint * d FROM generate_series(20000, 20039) AS d), {DAY})
    FROM unnest(ARRAY['spans', 'logs', 'metrics']) AS s"""
    ask(full.url, make)
    plan = ask(full.url, "EXPLAIN ANALYZE SELECT * FROM v_otel_storage", given="SELECT * FROM v_otel_storage")
    found = "\n".join(row["QUERY PLAN"] for row in plan)
    assert int(re.findall(r"actual time=\S+ rows=(\d+)", found)[0]) > 500
    # 45 ms on an idle machine.
    assert float(re.findall(r"Execution Time: (\S+) ms", found)[0]) < 500


def test_errors(full: Loaded) -> None:
    for asked, said in (
        ({"signal": "traces"}, "one of spans, logs, metrics, resource, scope"),
        ({"budget": "much"}, "500MiB"),
        ({"since": "1h"}, ""),
    ):
        answer = full.asker.get("/api/storage", **asked)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["parameter"] == next(iter(asked))
        assert said in error["message"] + error["hint"]


def test_text(full: Loaded) -> None:
    answer = full.asker.get("/api/storage", format="text", budget="1TiB", limit="5")
    head, *rest = answer.text.splitlines()
    assert " in all, " in head and " days until 1.00TiB are reached" in head
    assert max(map(len, rest)) <= 100
    [line] = [line for line in rest if line.startswith(HEAVY)]
    assert "~" in line and "MiB" in line and "%" in line


def test_an_empty_database(database_url: str) -> None:
    with asker(database_url) as found:
        answer = found.get("/api/storage", budget="1GiB").json()
        assert answer["bytes"] > 0
        assert answer["bytes_per_day"] == 0 and answer["days_until_budget"] is None
        assert answer["services"] == answer["keys"] == answer["partitions"] == []
        assert [(line["records"], line["bytes_per_record"]) for line in answer["signals"]] == [(0, None)] * 3
        assert found.get("/api/attributes").json()["suggestions"] is None
        assert "will not be reached" in found.get("/api/storage", budget="1GiB", format="text").text


def line(signal: str, size: int, rows: int, day: int) -> Any:
    """A line of v_otel_storage: a partition that ended so many days ago."""
    return {
        "kind": "records",
        "signal": signal,
        "table_name": f"otel_{signal}_fact",
        "start_time_unix_nano": -(day + 1) * DAY,
        "end_time_unix_nano": -day * DAY,
        "row_count": rows,
        "bytes": size,
    }


def test_tables_that_go_meanwhile_are_left_out(database_url: str) -> None:
    async def session() -> list[Any]:
        asking, dropping = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
        over = asyncio.Event()

        async def drop() -> None:
            while not over.is_set():
                for statement in ("CREATE TABLE otel_short (a int PRIMARY KEY, b text)", "DROP TABLE otel_short"):
                    await dropping.execute(statement)

        task = asyncio.create_task(drop())
        try:
            return [row for _ in range(300) for row in await asking.fetch("SELECT * FROM v_otel_storage")]
        finally:
            over.set()
            await task
            await asking.close()
            await dropping.close()

    sizes = ("row_count", "bytes", "heap_bytes", "toast_bytes", "index_bytes")
    assert [row for row in asyncio.run(session()) if None in [row[size] for size in sizes]] == []


def test_growth_is_records_a_day_times_what_each_takes() -> None:
    stored = Stored([line("spans", 5 * GIB, 1000, 1), line("spans", 5 * GIB, 1000, 0)], {"spans": 100.0})
    assert stored.bytes_per_day("spans") == pytest.approx(GIB / 2)
    assert stored.bytes_per_day("logs") == 0
    assert [days_until(stored, budget, lambda _: None, 0) for budget in (None, 9 * GIB, 10 * GIB, 12 * GIB)] == [
        None,
        0.0,
        0.0,
        4.0,
    ]
    assert days_until(Stored(stored.lines, {}), 12 * GIB, lambda _: None, 0) is None


def test_what_retention_takes_away_makes_room() -> None:
    # A day is 1 GiB; what is five days old goes.
    lines = [line("spans", GIB, 100, day) for day in range(3)]
    stored = Stored(lines, {"spans": 100.0})

    def kept(_: str) -> float:
        return 5 * 86_400.0

    # 3, 4 and 5 GiB, when the oldest two days have become older than five: then one goes for each that comes.
    assert days_until(stored, 4 * GIB, kept, 0) == 1.0
    assert days_until(stored, 7 * GIB, kept, 0) is None
    assert days_until(stored, 7 * GIB, lambda _: None, 0) == 4.0


def growth(url: str, first_seen: datetime, days: int) -> float:
    """Records a day, of 900 on each of the last days up to today, where the first resource was seen then."""
    given = f"""
    INSERT INTO otel_resources_dim (first_seen, dropped_attributes_count, resource_hash, schema_url, attributes)
    VALUES ('{first_seen}', 0, '', '', '{{}}');
    INSERT INTO otel_ingest_totals (day, signal, received, stored, deduplicated, dropped, rejected)
    SELECT (now() AT TIME ZONE 'UTC')::date - d, 'spans', 900, 900, 0, 0, 0 FROM generate_series(0, {days - 1}) AS d"""
    ask(url, "SELECT", given=given)
    with asker(url) as found:
        return float(found.get("/api/storage").json()["signals"][0]["records_per_day"])


def test_growth_of_the_first_days_begins_with_the_first_record(database_url: str) -> None:
    now = datetime.now(UTC)
    first = datetime.combine(now.date() - timedelta(days=1), clock(18, 0), UTC)
    assert growth(database_url, first, 2) == pytest.approx(1800 * 86_400 / (now - first).total_seconds(), rel=0.01)


def test_growth_is_that_of_a_week_though_older_resources_are_gone(database_url: str) -> None:
    now = datetime.now(UTC)
    week = datetime.combine(now.date() - timedelta(days=7), clock(0, 0), UTC)
    found = growth(database_url, now - timedelta(days=2), 30)
    assert found == pytest.approx(8 * 900 * 86_400 / (now - week).total_seconds(), rel=0.01)


def test_growth_of_the_first_minutes_is_that_of_an_hour(database_url: str) -> None:
    now = datetime.now(UTC)
    first = max(now - timedelta(minutes=10), datetime.combine(now.date(), clock(0, 0), UTC))
    assert growth(database_url, first, 1) == pytest.approx(900 * 24, rel=0.01)


def test_every_signal_of_filters_is_one_that_can_be_asked_for() -> None:
    assert set(storage.SIGNALS) < set(SIGNALS)
    assert {sampling.SIGNAL_OF.get(place.owner, place.owner) for place in sampling.PLACES} == set(SIGNALS)
    assert asyncio.iscoroutinefunction(sampling.costs)
