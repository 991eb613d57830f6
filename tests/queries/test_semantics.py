"""The seed's detector, with old and current names; and the same in SQL, wherever a key lies."""

import asyncio
from random import Random
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from queries.semantics import PREFIXES, beginnings, detect, path, span_series
from tests.queries.sending import ago, get, send_spans, span
from tests.running import Server

SEED = {
    "ai_agent": ["gen_ai.", "llm."],
    "http": ["http.", "url."],
    "db": ["db."],
    "messaging": ["messaging."],
    "rpc": ["rpc."],
    "faas": ["faas."],
    "aws": ["aws."],
    "gcp": ["gcp."],
    "azure": ["az."],
}
"""SEMANTIC_PREFIXES as the seed has it."""
LONG = "x" * 5000
"""So long a value lies on the row."""
OF_TYPE = """
    SELECT s.span_id FROM otel_spans_fact AS s
    WHERE s.trace_id = $1 AND (s.series_id = ANY($2::bigint[]) OR s.series_id = ANY($3::bigint[]))
        AND jsonb_path_exists(s.attributes, $5::text::jsonpath) IS NOT TRUE
        AND (s.series_id = ANY($2) OR jsonb_path_exists(s.attributes, $4::text::jsonpath))"""
"""Spans of a type: of series that are ($2) or may be ($3), by the paths of its keys ($4) and of those before ($5)."""


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["http.method"], "http"),
        (["http.request.method", "url.path"], "http"),
        (["http.response.status_code"], "http"),
        (["url.full"], "http"),
        (["gen_ai.system", "http.method"], "ai_agent"),
        (["gen_ai.operation.name"], "ai_agent"),
        (["mcp.method.name"], "ai_agent"),
        (["db.system.name"], "db"),
        (["db.query.text", "server.address"], "db"),
        (["messaging.system"], "messaging"),
        (["messaging.destination.name", "network.peer.address"], "messaging"),
        (["rpc.service"], "rpc"),
        (["rpc.system.name", "db.namespace"], "db"),
        (["faas.name"], "faas"),
        (["faas.trigger", "aws.lambda.invoked_arn"], "faas"),
        (["aws.region"], "aws"),
        (["aws.request_id", "rpc.method"], "rpc"),
        (["az.namespace"], "azure"),
        (["azure.resource_provider.namespace"], "azure"),
        (["gcp.project"], "gcp"),
        (["gcp.client.service", "azure.client.id"], "gcp"),
        (["https", "dbx", "http", "DB.system", "app.http.method"], None),
        ([], None),
    ],
)
def test_detects(keys: list[str], expected: str | None) -> None:
    assert detect(keys) == expected
    assert detect(reversed(keys)) == expected


def test_everything_of_the_seed_is_in_it() -> None:
    assert list(PREFIXES) == list(SEED)
    for semantic_type, prefixes in SEED.items():
        assert [detect([f"{prefix}x"]) for prefix in prefixes] == [semantic_type] * len(prefixes)


def spans_of_every_kind() -> list[dict[str, Any]]:
    """Attributes with keys of up to four types, in the series (short values) or on the row (long ones)."""
    random = Random(7)
    names = [f"{prefix}name" for prefixes in PREFIXES.values() for prefix in prefixes] + ["app.name", "https.name"]
    return [{key: random.choice(["short", LONG]) for key in random.sample(names, n % 5)} for n in range(200)]


def test_the_same_in_sql(shared: Server, service: str) -> None:
    now, trace = ago(5), uuid4().bytes
    given = spans_of_every_kind()
    send_spans(shared, service, [span(n, now, trace=trace, attributes=found) for n, found in enumerate(given, 1)])

    async def found(semantic_type: str) -> set[int]:
        connection: Any = await asyncpg.connect(shared.database_url)
        series = await span_series(connection, semantic_type)
        rows = await connection.fetch(OF_TYPE, trace.hex(), *series, *map(path, beginnings(semantic_type)))
        await connection.close()
        return {row["span_id"] for row in rows}

    for semantic_type in PREFIXES:
        expected = {n for n, attributes in enumerate(given, 1) if detect(attributes) == semantic_type}
        assert expected
        assert asyncio.run(found(semantic_type)) == expected
        answer = get(shared, f"/api/traces/{trace.hex()}/spans", semantic_type=semantic_type, limit="1000")
        assert {int(item["span_id"], 16) for item in answer["spans"]} == expected


def test_a_type_that_is_none(shared: Server) -> None:
    answer = shared.get(f"/api/traces/{'1' * 32}/spans", semantic_type="https")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["parameter"], error["hint"]) == ("semantic_type", f"one of {', '.join(PREFIXES)}")
