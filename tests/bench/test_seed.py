"""S holds what was sent, each attribute in the table that the promotion lists say, and S+FK has the foreign keys."""

import asyncio
from collections import Counter, defaultdict
from typing import Any

import msgspec
import pytest

from bench.baseline import connect
from bench.corpus import SIGNALS
from bench.seed import Ids, Seed
from bench.values import values
from exporter.promotion import TYPES, load
from tests.bench.conftest import RECORDS
from tests.bench.reading import loaded, records, rows

KINDS = ("number", "histogram", "exp_histogram", "summary")
FOREIGN_KEYS = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace"


def attributes(url: str, prefix: str, owner_id: str) -> dict[int, dict[str, Any]]:
    """Owner's id -> its attributes, of all six tables."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for kind in TYPES:
        statement = f"SELECT {owner_id}, key, value FROM {prefix}_{kind} JOIN attribute_keys USING (key_id)"
        for owner, key, value in rows(url, statement):
            found[owner][key] = value
    for owner, other in rows(url, f"SELECT {owner_id}, attributes FROM {prefix}_other"):
        found[owner] |= msgspec.json.decode(other)
    return found


def test_spans(empty_url: str, bodies: dict[str, list[bytes]]) -> None:
    assert loaded("S", "spans", bodies["spans"], empty_url) == RECORDS
    sent = {span.span_id.hex(): (resource, span) for resource, _, span in records("spans", bodies["spans"])}
    spans = attributes(empty_url, "otel_span_attrs", "span_id")
    resources = attributes(empty_url, "otel_resource_attrs", "resource_id")
    found = rows(empty_url, "SELECT * FROM otel_spans_fact JOIN otel_resources_dim USING (resource_id)")
    assert len(found) == len(sent) == RECORDS
    for row in found:
        resource, span = sent[row["span_id_hex"]]
        assert (row["trace_id"], row["name"]) == (span.trace_id.hex(), span.name)
        assert spans[row["span_id"]] == values(span.attributes)
        assert resources[row["resource_id"]] == values(resource.attributes)
        assert row["service_name"] == resources[row["resource_id"]]["service.name"]


def test_events_and_links_belong_to_their_spans(empty_url: str, bodies: dict[str, list[bytes]]) -> None:
    loaded("S", "spans", bodies["spans"], empty_url)
    spans = [span for _, _, span in records("spans", bodies["spans"])]
    events = rows(
        empty_url, "SELECT span_id_hex, e.name FROM otel_span_events AS e JOIN otel_spans_fact USING (span_id)"
    )
    sent = Counter((span.span_id.hex(), event.name) for span in spans for event in span.events)
    assert Counter(map(tuple, events)) == sent != Counter()
    found = attributes(empty_url, "otel_span_event_attrs", "event_id").values()
    assert sum(map(len, found)) == sum(len(event.attributes) for span in spans for event in span.events)
    links = rows(
        empty_url, "SELECT span_id_hex, linked_span_id_hex FROM otel_span_links JOIN otel_spans_fact USING (span_id)"
    )
    assert Counter(map(tuple, links)) == Counter(
        (span.span_id.hex(), link.span_id.hex()) for span in spans for link in span.links
    )


def test_what_is_promoted_is_typed_and_nothing_else(empty_url: str, bodies: dict[str, list[bytes]]) -> None:
    loaded("S", "spans", bodies["spans"], empty_url)
    promoted = load().promoted["spans"]
    for kind in TYPES:
        keys = {
            row[0]
            for row in rows(empty_url, f"SELECT key FROM otel_span_attrs_{kind} JOIN attribute_keys USING (key_id)")
        }
        assert all(kind in promoted[key] for key in keys)
        assert keys or kind not in ("string", "int")
    other = {row[0] for row in rows(empty_url, "SELECT jsonb_object_keys(attributes) FROM otel_span_attrs_other")}
    sent = {pair.key for _, _, span in records("spans", bodies["spans"]) for pair in span.attributes}
    assert other >= sent - promoted.keys() != set()


def test_logs(empty_url: str, bodies: dict[str, list[bytes]]) -> None:
    assert loaded("S", "logs", bodies["logs"], empty_url) == RECORDS
    found = attributes(empty_url, "otel_log_attrs", "log_id")
    stored = [
        (row["time_unix_nano"], row["trace_id"], row["severity_number"], sorted(found[row["log_id"]]))
        for row in rows(empty_url, "SELECT * FROM otel_logs_fact")
    ]
    sent = [
        (each.time_unix_nano, each.trace_id.hex() or None, each.severity_number, sorted(values(each.attributes)))
        for _, _, each in records("logs", bodies["logs"])
    ]
    assert sorted(stored, key=repr) == sorted(sent, key=repr)


def test_points(empty_url: str, bodies: dict[str, list[bytes]]) -> None:
    assert loaded("S", "points", bodies["points"], empty_url) == RECORDS
    stored = []
    for kind in KINDS:
        found = attributes(empty_url, f"otel_metric_{kind}_attrs", "data_point_id")
        table = f"otel_metrics_data_points_{kind} JOIN otel_metrics_dim USING (metric_id)"
        for id, name, time in rows(empty_url, f"SELECT data_point_id, name, time_unix_nano FROM {table}"):
            stored.append((name, time, sorted(found[id].items())))
    sent = [
        (metric.name, point.time_unix_nano, sorted(values(point.attributes).items()))
        for _, _, metric in records("points", bodies["points"])
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]
    assert sorted(stored, key=repr) == sorted(sent, key=repr)


def test_histograms_keep_their_buckets(empty_url: str, bodies: dict[str, list[bytes]]) -> None:
    loaded("S", "points", bodies["points"], empty_url)
    found = rows(empty_url, "SELECT explicit_bounds, bucket_counts FROM otel_metrics_data_points_histogram")
    sent = [
        (list(point.explicit_bounds), list(point.bucket_counts))
        for _, _, metric in records("points", bodies["points"])
        for point in metric.histogram.data_points
    ]
    assert sorted(map(tuple, found)) == sorted(sent) != []


@pytest.mark.parametrize("signal", SIGNALS)
def test_only_with_foreign_keys_are_there_any(signal: str, empty_url: str) -> None:
    async def create() -> tuple[int, int, int]:
        control = await connect(empty_url)
        try:
            async with control.transaction():
                await Seed(signal, control).create()
            without = await control.fetchval(FOREIGN_KEYS)
            await control.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            await Seed(signal, control, foreign_keys=True).create()
            attribute_tables = await control.fetchval(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE '%\\_attrs\\_%'"
            )
            return without, await control.fetchval(FOREIGN_KEYS), attribute_tables
        finally:
            await control.close()

    without, found, attribute_tables = asyncio.run(create())
    # Each attribute table refers to its owner, and the five typed ones in six to their key.
    of_attributes = attribute_tables + attribute_tables * 5 // 6
    of_facts = {"spans": 6, "logs": 4, "points": 2 + 4 * 3}[signal]
    assert (without, found) == (0, of_attributes + of_facts)


def test_ids_are_taken_in_blocks_and_once(empty_url: str) -> None:
    async def take() -> list[int]:
        control = await connect(empty_url)
        try:
            await Seed("logs", control).create()
            ids = Ids(control, "otel_logs_fact", "log_id")
            return [id for count in (1, 4_000, 0, 3_000, 12_000) for id in await ids.take(count)]
        finally:
            await control.close()

    taken = asyncio.run(take())
    assert len(set(taken)) == len(taken) == 19_001
