"""`postel load` obeys OTLP/HTTP: what is retried, when, and what it counts."""

import argparse
import asyncio
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import respx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from exporter.errors import ConfigurationError
from exporter.load import LoadOptions, Requests, Summary, add_arguments, options_from, run
from exporter.load_sender import Body, Sender, Tally, partial_success
from exporter.otlp.http import Encoding
from exporter.retry import LONGEST_BACK_OFF_S, Retry
from exporter.shop import SIGNALS
from tests.exporter.clock import Clock

URL = "http://receiver.test:4318"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
OK = httpx.Response(200, headers=PROTOBUF)


def send(*answers: httpx.Response | type[Exception], give_up_s: float = 300.0) -> tuple[Tally, list[float]]:
    """Send one body of 10 spans to a receiver that answers so; returns what was counted and waited."""
    tally, clock = Tally(), Clock()

    async def main() -> None:
        # Reading the certificate store takes longer than the test.
        async with httpx.AsyncClient(base_url=URL, verify=False) as client:
            sender = Sender(client, {"traces": tally}, Retry(give_up_s, clock.sleep, lambda: clock.now, Random(1)))
            await sender.send(Body("traces", 10, b"spans"))

    with respx.mock:
        route = respx.post(f"{URL}/v1/traces").mock(side_effect=list(answers))
        asyncio.run(main())
        assert route.call_count == len(answers)
    return tally, clock.waits


def load(options: LoadOptions, answer: httpx.Response = OK) -> tuple[Summary, list[httpx.Request], str]:
    """Run a load against a receiver that always answers so; returns its requests and the output too."""
    out = io.StringIO()
    with respx.mock:
        route = respx.post(url__startswith=f"{URL}/v1/").mock(return_value=answer)
        summary = asyncio.run(run(options, out, sleep=Clock().sleep))
        requests = [call.request for call in route.calls]
    return summary, requests, out.getvalue()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_overload_is_retried(status: int) -> None:
    tally, waits = send(httpx.Response(status), OK)
    assert (tally.sent, tally.acknowledged, tally.failed, tally.retried) == (10, 10, 0, 1)
    assert len(waits) == 1


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_network_errors_are_retried(error: type[Exception]) -> None:
    tally, _ = send(error, error, OK)
    assert (tally.acknowledged, tally.failed, tally.retried) == (10, 0, 2)
    assert list(tally.problems.values()) == [2]


@pytest.mark.parametrize("status", [400, 401, 404, 413, 415, 500, 501])
def test_other_errors_are_not_retried(status: int) -> None:
    tally, waits = send(httpx.Response(status))
    assert (tally.sent, tally.acknowledged, tally.failed, tally.retried) == (10, 0, 10, 0)
    assert waits == []


def test_what_cannot_be_sent_is_not_retried() -> None:
    tally, _ = send(httpx.LocalProtocolError)
    assert tally.failed == 10


def test_retry_after_seconds_are_obeyed() -> None:
    _, waits = send(httpx.Response(503, headers={"Retry-After": "7"}), httpx.Response(429), OK)
    assert waits[0] == 7.0
    assert waits[1] < 2


def test_back_off_doubles_with_jitter_up_to_a_limit() -> None:
    _, waits = send(*[httpx.Response(503)] * 12, OK, give_up_s=1e6)
    limits = [min(LONGEST_BACK_OFF_S, 0.5 * 2**attempt) for attempt in range(12)]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
    assert len(set(waits)) == 12


def test_gives_up_in_the_end() -> None:
    tally, waits = send(*[httpx.Response(503, headers={"Retry-After": "4"})] * 3, give_up_s=9)
    assert waits == [4, 4]
    assert (tally.failed, tally.retried) == (10, 2)


def test_partial_success_is_counted() -> None:
    answer = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=3, error_message="no id")
    )
    tally, _ = send(httpx.Response(200, headers=PROTOBUF, content=answer.SerializeToString()))
    assert (tally.sent, tally.acknowledged, tally.rejected, tally.failed) == (10, 7, 3, 0)
    assert tally.problems == {"no id": 1}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no"}}', (3, "no")),
        (b'{"partialSuccess":{"rejectedLogRecords":3}}', (3, "")),
        (b'{"partialSuccess":null}', (0, "")),
        (b"{}", (0, "")),
        (b"", (0, "")),
        (b"[]", (0, "a 200 whose body is no OTLP response")),
        (b"<html>", (0, "a 200 whose body is no OTLP response")),
    ],
)
def test_partial_success_in_json(body: bytes, expected: tuple[int, str]) -> None:
    assert partial_success(httpx.Response(200, headers=JSON, content=body), "logs") == expected


def test_a_warning_rejects_nothing() -> None:
    answer = ExportLogsServiceResponse()
    answer.partial_success.error_message = "snake_case key"
    response = httpx.Response(200, headers=PROTOBUF, content=answer.SerializeToString())
    assert partial_success(response, "logs") == (0, "snake_case key")
    assert partial_success(httpx.Response(200, content=b"\xff"), "logs")[0] == 0


@pytest.mark.parametrize(
    ("headers", "content", "problem"),
    [
        (PROTOBUF, b"\x08\x03\x12\x07corrupt", "400: corrupt"),
        (JSON, b'{"code":3,"message":"corrupt"}', "400: corrupt"),
        (JSON, b"corrupt", "400: Bad Request"),
        ({"Content-Type": "text/html"}, b"<html>", "400: Bad Request"),
    ],
)
def test_what_the_server_says_is_kept(headers: dict[str, str], content: bytes, problem: str) -> None:
    tally, _ = send(httpx.Response(400, headers=headers, content=content))
    assert tally.problems == {problem: 1}


def test_only_a_few_different_problems_are_kept() -> None:
    tally = Tally()
    for number in range(20):
        tally.note(f"problem {number}")
    tally.note("problem 0")
    assert len(tally.problems) == 5
    assert tally.problems["problem 0"] == 2


def test_run_sends_gzipped_protobuf_by_default() -> None:
    options = LoadOptions(url=URL, signals=("traces",), records=300, batch=100, token="s3cret", seed=1)
    summary, requests, out = load(options)
    assert summary.complete
    assert summary.tallies["traces"].acknowledged == 300
    for request in requests:
        assert request.headers["Content-Type"] == "application/x-protobuf"
        assert request.headers["Content-Encoding"] == "gzip"
        assert request.headers["Authorization"] == "Bearer s3cret"
        body = ExportTraceServiceRequest.FromString(gzip.decompress(request.content))
        assert sum(len(s.spans) for r in body.resource_spans for s in r.scope_spans) == 100
    assert "300" in out
    assert "records/s" in out


def test_run_sends_all_signals_at_a_rate() -> None:
    clock, out = Clock(), io.StringIO()
    options = LoadOptions(url=URL, records=600, batch=1_000, rate=50, connections=2)
    with respx.mock:
        respx.post(url__startswith=f"{URL}/v1/").mock(return_value=OK)
        summary = asyncio.run(run(options, out, sleep=clock.sleep))
    # One request of 50 records each second, as `rate` is less than `batch`.
    assert sum(tally.requests for tally in summary.tallies.values()) == 12
    assert all(tally.sent for tally in summary.tallies.values())
    assert clock.waits[0] == 0
    assert 10 < clock.waits[-1] <= 11


def test_run_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.load._PROGRESS_S", 0.05)
    summary, _, out = load(LoadOptions(url=URL, signals=("logs",), duration_s=0.2, rate=200, batch=50, compress=False))
    assert summary.elapsed_s < 4
    assert summary.complete
    # A line of progress, and the summary's own rate.
    assert out.count("records/s") >= 2


def test_run_sends_what_it_is_given() -> None:
    out = io.StringIO()
    requests: Requests = iter([("traces", ExportTraceServiceRequest())])
    with respx.mock:
        route = respx.post(f"{URL}/v1/traces").mock(return_value=httpx.Response(400))
        summary = asyncio.run(run(LoadOptions(url=URL), out, requests=requests))
        assert route.call_count == 1
    assert summary.tallies["traces"].requests == 1
    assert "traces: 1 x 400: Bad Request" in out.getvalue()


def test_a_cancelled_run_prints_its_summary() -> None:
    out = io.StringIO()

    async def main() -> None:
        task = asyncio.create_task(run(LoadOptions(url=URL, signals=("logs",), batch=10), out))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with respx.mock:
        respx.post(f"{URL}/v1/logs").mock(return_value=OK)
        asyncio.run(main())
    assert "acknowledged" in out.getvalue()


def keys(value: Any) -> set[str]:
    """All keys of the objects in a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_json_bodies_are_otlp_json() -> None:
    requests = []
    for signal in SIGNALS:
        options = LoadOptions(url=URL, signals=(signal,), records=200, rate=200, encoding=Encoding.JSON, compress=False)
        requests += load(options)[1]
    bodies = {request.url.path: json.loads(request.content) for request in requests}
    names = set().union(*map(keys, bodies.values()))
    assert {request.headers["Content-Type"] for request in requests} == {"application/json"}
    span = bodies["/v1/traces"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert len(span["traceId"]) == 32
    assert len(span["spanId"]) == 16
    assert int(span["traceId"], 16)
    assert isinstance(span["kind"], int)
    assert int(span["startTimeUnixNano"]) > 1e18
    assert isinstance(span["startTimeUnixNano"], str)
    assert names >= {"intValue", "stringValue", "asDouble", "bucketCounts", "isMonotonic"}
    assert not [name for name in names if "_" in name]


def flags(arguments: Sequence[str]) -> LoadOptions:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return options_from(parser.parse_args(arguments))


def test_flags_default_to_the_options_defaults() -> None:
    assert flags([]) == LoadOptions()


def test_flags(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    text = f"--url {URL} --signals metrics,traces --rate 500 --duration 1m30s --json --no-gzip --seed 3"
    options = flags([*text.split(), "--token-file", str(tmp_path / "token")])
    assert options.signals == ("traces", "metrics")
    assert (options.rate, options.duration_s) == (500, 90)
    assert (options.encoding, options.compress) == (Encoding.JSON, False)
    assert (options.token, options.seed) == ("s3cret", 3)


def test_bad_flags_are_all_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        flags(["--url", "localhost:4318", "--signals", "spans", "--token-file", "/nowhere"])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["--url", "--signals", "--token-file"]


@pytest.mark.parametrize("arguments", [["--rate", "0"], ["--duration", "5"], ["--records", "many"]])
def test_unreadable_flags_say_what_they_want(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        flags(arguments)
    assert "must be" in capsys.readouterr().err
