"""`format=otlp`: every field of every record as it was sent, whatever it is filed under."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.e2e.in_process import forget_all
from tests.queries import otlp, samples
from tests.running import Server

PATHS = {"traces": "/api/spans", "logs": "/api/logs", "metrics": "/api/metrics/series"}
MAKE: dict[str, Any] = {"traces": samples.spans, "logs": samples.logs, "metrics": samples.metrics}


@pytest.fixture
def server(shared: Server) -> Server:
    """The module's server, which holds no record and knows no body."""

    async def forget() -> None:
        connection = await asyncpg.connect(shared.database_url)
        await forget_all(connection)
        await connection.close()

    asyncio.run(forget())
    return shared


def pages(server: Server, path: str, **parameters: str) -> list[Any]:
    """Every page of an answer, by its Link headers."""
    answer = server.get(path, **parameters)
    found = [answer.json()]
    while "next" in answer.links:
        answer = httpx.get(server.url + answer.links["next"]["url"], verify=False)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
    return found


def everything(server: Server, signal: str, **parameters: str) -> Any:
    """All that is stored of a signal, as one request."""
    merged = otlp.REQUESTS[signal]()
    for page in pages(server, PATHS[signal], start_time="0", end_time=str((1 << 63) - 1), format="otlp", **parameters):
        merged.MergeFrom(otlp.parse(signal, page))
    return merged


@pytest.mark.parametrize("limit", ["1000", "3"])
@pytest.mark.parametrize("signal", PATHS)
def test_every_field_comes_back(server: Server, signal: str, limit: str) -> None:
    sent = MAKE[signal]("shop")
    answer = server.post(signal, sent.SerializeToString())
    assert (answer.status_code, answer.content) == (200, b"")
    expected = otlp.records(sent)
    found = otlp.records(everything(server, signal, limit=limit))
    assert found == expected


@pytest.mark.parametrize("signal", PATHS)
def test_the_answer_can_be_taken_in_again(server: Server, signal: str) -> None:
    server.post(signal, MAKE[signal]("shop").SerializeToString())
    (page,) = pages(server, PATHS[signal], start_time="0", end_time=str((1 << 63) - 1), format="otlp", limit="1000")
    first = otlp.records(otlp.parse(signal, page))
    answer = httpx.post(f"{server.url}/v1/{signal}", json=page, verify=False)
    assert (answer.status_code, answer.json()) == (200, {})
    if signal == "traces":
        assert otlp.records(everything(server, signal)) == first


def test_a_trace_comes_back_whole(server: Server) -> None:
    sent = samples.spans("shop")
    server.post("traces", sent.SerializeToString())
    answer = server.get(f"/api/traces/{samples.TRACE.hex()}", format="otlp").json()
    assert otlp.records(otlp.parse("traces", answer)) == otlp.records(sent)


@pytest.mark.parametrize("signal", PATHS)
def test_nul_in_a_key(server: Server, signal: str) -> None:
    sent = MAKE[signal]("shop")
    for resource in otlp.resources(sent):
        resource.resource.attributes.extend(samples.attributes({"a\0b\x1ac": 1}))
    server.post(signal, sent.SerializeToString())
    assert otlp.records(everything(server, signal)) == otlp.records(sent)
