"""Dropped attributes are in no table, wherever they stood, also where the record was refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar

from exporter import promotion
from exporter.otlp.http import Encoding
from exporter.otlp.records import SPANS
from exporter.promotion import OWNERS, Promotion
from exporter.sidecar import Sidecar
from tests.exporter.sending import (
    NOW,
    any_value,
    attributes,
    enveloped,
    field,
    gauge,
    log,
    logs,
    metrics,
    point,
    run,
    send,
    sent,
    span,
    spans,
    totals,
)
from tests.sql.rows import ask

SECRET = "hunter2"
HAS = {"password": SECRET, "kept": "yes"}


@pytest.fixture(params=["password", "pass*"])
def lists(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Promotion]:
    """`password` is dropped for every owner, by its name or by a pattern."""
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text("drop:\n" + "".join(f"  {owner}: [{request.param}]\n" for owner in OWNERS))
    yield promotion.load(overrides=overrides)


def tables_with(url: str, text: str) -> list[str]:
    """The tables that hold a text anywhere."""
    names = ask(
        url, "SELECT relname::text AS name FROM pg_class WHERE relkind IN ('r', 'p') AND relname ~ '^(otel|attr)'"
    )
    return [row["name"] for row in names if ask(url, f"SELECT FROM {row['name']} AS t WHERE t::text LIKE '%{text}%'")]


def every_owner(service: str) -> list[tuple[str, bytes]]:
    """Bodies in which everything that can carry attributes carries the secret."""
    resource = HAS | {"service.name": service}
    full = span(1, 1, has=HAS)
    full.events.add(name="e", attributes=attributes(HAS))
    full.links.add(attributes=attributes(HAS))
    exemplar = Exemplar(as_int=1, filtered_attributes=attributes(HAS))
    return [
        spans(full, resource=resource),
        logs(log("l", has=HAS), resource=resource),
        metrics(gauge("g", point(1, has=HAS, exemplars=[exemplar])), resource=resource),
    ]


def test_dropped_attributes_are_in_no_table(store: str, lists: Promotion) -> None:
    assert totals(sent(store, *every_owner("a"), lists=lists)) == (3, 0, 0)
    assert tables_with(store, SECRET) == []
    assert tables_with(store, "password") == []
    kept = tables_with(store, "kept")
    assert {"otel_resources_dim", "otel_span_series_dim", "otel_span_events", "otel_span_links"} <= set(kept)
    assert {"otel_log_series_dim", "otel_metric_series_dim", "otel_exemplars"} <= set(kept)


def test_a_key_behind_another_key_does_not_get_by(store: str, lists: Promotion) -> None:
    """Of two keys in one KeyValue the last counts, to every parser of protobuf."""
    hidden = field(1, b"kept") + KeyValue(key="password", value=any_value(SECRET)).SerializeToString()
    body = enveloped(span(1, 1).SerializeToString() + field(9, hidden))
    assert totals(sent(store, (SPANS, body), lists=lists)) == (1, 0, 0)
    assert tables_with(store, SECRET) == []


def test_without_the_list_they_are_kept(store: str) -> None:
    sent(store, *every_owner("a"))
    assert len(tables_with(store, SECRET)) >= 7


def test_what_differs_only_there_is_one(store: str, lists: Promotion) -> None:
    given: list[dict[str, Any]] = [{"password": i, "service.name": "s"} for i in range(3)]
    bodies = [logs(log(str(i), has={"password": i}), resource=resource) for i, resource in enumerate(given)]
    bodies += [metrics(gauge("g", point(i, NOW + i, {"password": i})), resource=r) for i, r in enumerate(given)]
    bodies += [spans(span(1, 1, has={"password": i}), span(2, i + 1), resource=r) for i, r in enumerate(given)]
    assert totals(sent(store, *bodies, lists=lists)) == (10, 2, 0), "a span that differs only there is the same"
    for table in ("resources_dim", "log_series_dim", "metric_series_dim", "span_series_dim"):
        assert ask(store, f"SELECT count(*) AS n FROM otel_{table}") == [{"n": 1}], table


def test_a_refused_record_is_kept_without_them(store: str, lists: Promotion) -> None:
    """It used to be kept as it was sent."""
    attribute = {"key": "password", "value": {"stringValue": SECRET}}
    kept = {"key": "kept", "value": {"stringValue": "yes"}}
    bad = {
        "traceId": f"{1:032x}",
        "startTimeUnixNano": "x",
        "attributes": [attribute, kept],
        "events": [{"attributes": [attribute]}],
        "links": [{"attributes": {"password": SECRET}}],
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [bad]}]}]}).encode()

    async def session(running: Sidecar) -> None:
        assert (await send(running, "spans", body, Encoding.JSON)).rejected == 1

    run(store, session, lists=lists)
    assert tables_with(store, SECRET) == []
    record = json.loads(ask(store, "SELECT record FROM otel_rejected_records")[0]["record"])
    assert record == bad | {"attributes": [kept], "events": [{"attributes": []}], "links": [{"attributes": {}}]}
