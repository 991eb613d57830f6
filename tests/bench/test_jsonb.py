"""J1 and J2 hold what was sent: J1 with resource and scope in the row, J2 by id."""

import msgspec
import pytest

from bench.values import values
from tests.bench.conftest import RECORDS
from tests.bench.reading import loaded, records, rows

RESOURCE = {
    "J1": "resource -> 'attributes'",
    "J2": "(SELECT r.attributes FROM resources AS r WHERE r.id = resource_id)",
}
SCOPE = {"J1": "scope ->> 'name'", "J2": "(SELECT s.name FROM scopes AS s WHERE s.id = scope_id)"}


@pytest.mark.parametrize("side", ["J1", "J2"])
def test_spans(side: str, empty_url: str, bodies: dict[str, list[bytes]]) -> None:
    assert loaded(side, "spans", bodies["spans"], empty_url) == RECORDS
    sent = {span.span_id: (resource, scope, span) for resource, scope, span in records("spans", bodies["spans"])}
    found = rows(
        empty_url,
        "SELECT trace_id, span_id, name, attributes, events,"
        f" {RESOURCE[side]} AS resource, {SCOPE[side]} AS scope FROM spans",
    )
    assert len(found) == len(sent) == RECORDS
    for row in found:
        resource, scope, span = sent[row["span_id"].to_bytes(8, "big", signed=True)]
        assert (row["trace_id"], row["name"], row["scope"]) == (span.trace_id, span.name, scope.name)
        assert msgspec.json.decode(row["resource"]) == values(resource.attributes)
        assert msgspec.json.decode(row["attributes"]) == values(span.attributes)
        assert len(msgspec.json.decode(row["events"] or b"[]")) == len(span.events)


@pytest.mark.parametrize("side", ["J1", "J2"])
def test_logs(side: str, empty_url: str, bodies: dict[str, list[bytes]]) -> None:
    assert loaded(side, "logs", bodies["logs"], empty_url) == RECORDS
    sent = sorted(
        (record.time_unix_nano, record.body.string_value, scope.name)
        for _, scope, record in records("logs", bodies["logs"])
        if record.body.HasField("string_value")
    )
    found = rows(
        empty_url,
        f"SELECT time_unix_nano, body #>> '{{}}' AS body, {SCOPE[side]} AS scope FROM logs"
        " WHERE jsonb_typeof(body) = 'string'",
    )
    assert sorted(map(tuple, found)) == sent != []


@pytest.mark.parametrize("side", ["J1", "J2"])
def test_points(side: str, empty_url: str, bodies: dict[str, list[bytes]]) -> None:
    assert loaded(side, "points", bodies["points"], empty_url) == RECORDS
    sent = sorted(
        (metric.name, point.time_unix_nano, msgspec.json.encode(values(point.attributes), order="sorted"))
        for _, _, metric in records("points", bodies["points"])
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    )
    found = [
        (name, time, msgspec.json.encode(msgspec.json.decode(attributes), order="sorted"))
        for name, time, attributes in rows(empty_url, "SELECT metric_name, time_unix_nano, attributes FROM points")
    ]
    assert sorted(found) == sent
