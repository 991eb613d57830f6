"""The seed's detector, with old and current names; and the same in SQL, wherever a key lies."""

from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest

from queries.semantics import PREFIXES, detect
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

    for semantic_type in PREFIXES:
        expected = {n for n, attributes in enumerate(given, 1) if detect(attributes) == semantic_type}
        assert expected
        for path in ("/api/spans", f"/api/traces/{trace.hex()}/spans"):
            asked = {"service": service} if path == "/api/spans" else {}
            answer = get(shared, path, semantic_type=semantic_type, limit="1000", **asked)
            assert {int(item["span_id"], 16) for item in answer["spans"]} == expected
            assert {item["semantic_type"] for item in answer["spans"]} == {semantic_type}
    answer = httpx.get(
        f"{shared.url}/api/spans?semantic_type=http&semantic_type=db&limit=1000&service={service}", verify=False
    ).json()
    both = [n for n, attributes in enumerate(given, 1) if detect(attributes) in ("http", "db")]
    assert sorted(int(item["span_id"], 16) for item in answer["spans"]) == both


def test_a_type_that_is_none(shared: Server) -> None:
    answer = shared.get(f"/api/traces/{'1' * 32}/spans", semantic_type="https")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["parameter"], error["hint"]) == ("semantic_type", f"one of {', '.join(PREFIXES)}")
