"""`postel export` reads on until it has every page: what it asks for, what it tries again, and what it says."""

import argparse
import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from exporter.errors import ConfigurationError
from exporter.export import ExportOptions, Summary, add_arguments, options_from, run
from exporter.export_page import count_records
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.exporter.clock import Clock

URL = "http://postel.test:4318"
LOGS_URL = f"{URL}/api/logs"


def page(*names: str, following: str | None = None, **headers: str) -> httpx.Response:
    """An answer of these log records, and a link to the next page."""
    content = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"eventName": name} for name in names]}]}]}
    if following:
        headers["link"] = f'</api/logs?format=otlp&limit=9&cursor={following}>; rel="next"'
    return httpx.Response(200, headers=headers, content=json.dumps(content).encode() + b"\n")


def export(*answers: httpx.Response | type[Exception], **options: Any) -> tuple[Summary, list[str], str, list[float]]:
    """Export the logs of a Postel that answers so; returns lines, what was said, and what was waited too."""
    output, out, clock = io.BytesIO(), io.StringIO(), Clock()
    with respx.mock:
        route = respx.get(LOGS_URL).mock(side_effect=list(answers))
        summary = asyncio.run(run(ExportOptions(url=URL, signals=(LOGS,), **options), output, out, sleep=clock.sleep))
        assert route.call_count == len(answers)
    return summary, output.getvalue().decode().splitlines(), out.getvalue(), clock.waits


def names(lines: Sequence[str]) -> list[list[str]]:
    """The records by line."""
    return [
        [record["eventName"] for record in json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]]
        for line in lines
    ]


def test_pages_are_lines() -> None:
    summary, lines, out, waits = export(page("a", "b", following="x"), page("c"))
    assert summary.complete
    assert names(lines) == [["a", "b"], ["c"]]
    assert (summary.tallies[LOGS].records, summary.tallies[LOGS].lines, waits) == (3, 2, [])
    assert "logs                3        2         0       0.0" in out
    assert "incomplete" not in out


def test_what_is_asked_for() -> None:
    output, out = io.BytesIO(), io.StringIO()
    options = ExportOptions(url=f"{URL}/behind/a/proxy", since="24h", until="2026-01-31", limit=7, token="s3cret")
    with respx.mock:
        route = respx.get(url__startswith=f"{URL}/behind/a/proxy/api/").mock(
            side_effect=[
                httpx.Response(200, json={"resourceSpans": []}),
                page("a", following="a+b"),
                page("b"),
                httpx.Response(200, json={"resourceMetrics": []}),
            ]
        )
        assert asyncio.run(run(options, output, out)).complete
        requests = [call.request for call in route.calls]
    window = {"format": "otlp", "limit": "7", "start_time": "now-24h", "end_time": "2026-01-31"}
    assert [(request.url.path.removeprefix("/behind/a/proxy"), dict(request.url.params)) for request in requests] == [
        ("/api/spans", window),
        ("/api/logs", window),
        # httpx reads the + of a link as a blank, as any server would.
        ("/api/logs", {"format": "otlp", "limit": "7", "cursor": "a b"}),
        ("/api/metrics/series", window),
    ]
    assert {request.headers["Authorization"] for request in requests} == {"Bearer s3cret"}
    assert names(output.getvalue().decode().splitlines()) == [["a"], ["b"]]


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_network_errors_are_retried(failure: type[Exception]) -> None:
    summary, lines, out, waits = export(page("a", following="x"), failure, failure, page("b"))
    assert summary.complete
    assert names(lines) == [["a"], ["b"]]
    assert summary.tallies[LOGS].retried == len(waits) == 2
    assert f"logs: 2 x {failure.__name__}" in out


def test_retry_after_is_obeyed() -> None:
    busy = httpx.Response(503, headers={"Retry-After": "7"}, json={"error": {"message": "busy", "hint": "try again"}})
    summary, lines, out, waits = export(busy, httpx.Response(429), page("a"))
    assert summary.complete
    assert names(lines) == [["a"]]
    assert waits[0] == 7.0 and waits[1] < 2
    assert "logs: 1 x 503: busy; try again" in out
    assert "logs: 1 x 429: Too Many Requests" in out


def test_gives_up_in_the_end_and_says_how_to_go_on() -> None:
    busy = httpx.Response(503, headers={"Retry-After": "4"})
    summary, lines, out, waits = export(page("a", following="x"), busy, give_up_s=3)
    assert not summary.complete
    assert names(lines) == [["a"]]
    assert waits == []
    assert out.endswith("incomplete: go on with --resume logs:x\n")


@pytest.mark.parametrize("status", [401, 404, 500])
def test_other_errors_are_not_retried(status: int) -> None:
    summary, lines, out, waits = export(httpx.Response(status))
    assert (summary.complete, lines, waits) == (False, [], [])
    assert f"logs: 1 x {status}: " in out
    assert out.endswith("--resume logs:\n")


def test_what_the_server_does_not_understand_is_bad_usage() -> None:
    with pytest.raises(ConfigurationError, match="is no time; type another"):
        export(httpx.Response(400, json={"error": {"message": "is no time", "hint": "type another"}}), since="x")


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"resourceSpans":[]}', b'{"resourceLogs":[3]}'])
def test_what_is_no_page_ends_it(content: bytes) -> None:
    summary, lines, out, _ = export(page("a", following="x"), httpx.Response(200, content=content))
    assert not summary.complete
    assert names(lines) == [["a"]]
    assert "logs: 1 x 200: no page of an export" in out


def test_resumed() -> None:
    output, out = io.BytesIO(), io.StringIO()
    with respx.mock:
        logs = respx.get(LOGS_URL, params={"cursor": "x"}).mock(return_value=page("b"))
        metrics = respx.get(f"{URL}/api/metrics/series", params={"start_time": "0"}).mock(
            return_value=httpx.Response(200, json={"resourceMetrics": []})
        )
        assert asyncio.run(run(ExportOptions(url=URL, start=(LOGS, "x")), output, out)).complete
        assert (logs.call_count, metrics.call_count) == (1, 1)


def test_lines_have_no_breaks_and_differ() -> None:
    content = b'{\n  "resourceLogs": [{"scopeLogs": [{"logRecords": [{"eventName": "a\\nb"}]}]}]\n}\n'
    link = {"link": '</api/logs?cursor=x>; rel="next"'}
    _, lines, _, _ = export(httpx.Response(200, headers=link, content=content), httpx.Response(200, content=content))
    assert names(lines) == [["a\nb"], ["a\nb"]]
    assert lines[0] != lines[1]


def test_progress_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.export._PROGRESS_S", 0.01)

    async def slow(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        return page("a")

    out = io.StringIO()
    with respx.mock:
        respx.get(LOGS_URL).mock(side_effect=slow)
        asyncio.run(run(ExportOptions(url=URL, signals=(LOGS,)), io.BytesIO(), out))
    assert "logs               0 records  0.0 MiB  retries 0" in out.getvalue()


@pytest.mark.parametrize(
    ("signal", "content", "count"),
    [
        (SPANS, {"resourceSpans": [{"scopeSpans": [{"spans": [{}, {}]}, {}]}, {}]}, 2),
        (LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}]}]}]}, 1),
        (
            METRICS,
            {
                "resourceMetrics": [
                    {
                        "scopeMetrics": [
                            {
                                "metrics": [
                                    {name: {"dataPoints": [{}, {}]}}
                                    for name in ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
                                ]
                            }
                        ]
                    }
                ]
            },
            10,
        ),
        (METRICS, {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "none"}]}]}]}, 0),
    ],
)
def test_records_are_counted(signal: str, content: Any, count: int) -> None:
    assert count_records(signal, json.dumps(content).encode()) == count


def flags(arguments: Sequence[str]) -> ExportOptions:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return options_from(parser.parse_args(arguments))


def test_flags_default_to_the_options_defaults() -> None:
    assert flags([]) == ExportOptions()


def test_flags(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    text = (
        f"--url {URL} --signal metrics --signal spans --since 24h --until 1h --limit 5 --give-up 1m --resume metrics:x"
    )
    options = flags([*text.split(), "--token-file", str(tmp_path / "token")])
    assert options.signals == (SPANS, METRICS)
    assert (options.since, options.until, options.limit, options.give_up_s) == ("24h", "1h", 5, 60)
    assert (options.token, options.start) == ("s3cret", (METRICS, "x"))


def test_bad_flags_are_all_named() -> None:
    given = ["--url", "localhost:4318", "--token-file", "/nowhere", "--signal", "spans", "--resume", "logs:x"]
    with pytest.raises(ConfigurationError) as caught:
        flags(given)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["--url", "--token-file", "--resume"]


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--resume", "x"], ["--resume", "traces:x"]])
def test_unreadable_flags_say_what_they_want(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        flags(arguments)
    assert "must be" in capsys.readouterr().err
