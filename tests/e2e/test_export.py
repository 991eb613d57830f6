"""`postel export` loses nothing: its lines, sent to another Postel, make an equal database."""

import asyncio
import io
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from signal import SIGINT
from typing import Any

import httpx
import pytest
from google.protobuf.message import Message

from exporter.export import LONGEST_LINE_BYTES, ExportOptions, run
from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.shop import Shop
from tests.conftest import Clones, database_of
from tests.e2e.otlp_records import Record, assert_same, from_json, keep_first, make_unique, records, walk
from tests.e2e.otlp_strategy import REQUESTS, SEED, START_UNIX_NANO, sample
from tests.e2e.stored_rows import rows_of
from tests.exporter.conftest import violations
from tests.queries import samples
from tests.queries.sending import SECOND, ago, send_logs, send_spans, span
from tests.running import Server, serving

SIGNALS = {"traces": SPANS, "logs": LOGS, "metrics": METRICS}
"""Last part of a path of OTLP/HTTP -> signal."""
_ENVELOPES = {"resourceSpans": SPANS, "resourceLogs": LOGS, "resourceMetrics": METRICS}
_RANDOM_REQUESTS = 12
_SHOP_REQUESTS = 6


@pytest.fixture
def second(server_url: str, clones: Clones) -> Iterator[Server]:
    """Another Postel, empty."""
    name = clones.take()
    with serving(database_of(server_url, name)) as running:
        yield running
    clones.drop(name)


def export(server: Server, **options: Any) -> list[str]:
    """The lines of a complete export."""
    output, out = io.BytesIO(), io.StringIO()
    summary = asyncio.run(run(ExportOptions(url=server.url, **options), output, out))
    assert summary.complete, out.getvalue()
    # Not str.splitlines(), which knows other ends of lines; JSON does not escape those.
    *lines, end = output.getvalue().decode().split("\n")
    assert not end
    assert sum(tally.lines for tally in summary.tallies.values()) == len(lines)
    assert sum(tally.records for tally in summary.tallies.values()) == sum(by_signal(lines).values(), Counter()).total()
    return lines


def signal_of(line: str) -> str:
    """The one signal of a line."""
    (name,) = json.loads(line)
    return _ENVELOPES[name]


def by_signal(lines: list[str]) -> dict[str, Counter[Record]]:
    """The records of an export."""
    found: dict[str, Counter[Record]] = {signal: Counter() for signal in _ENVELOPES.values()}
    for line in lines:
        signal = signal_of(line)
        found[signal] += records(from_json(REQUESTS[signal](), json.loads(line)))
    return found


def send(server: Server, lines: list[str]) -> None:
    """POST each line, of which nothing may be refused."""
    with httpx.Client(base_url=server.url, timeout=60, verify=False) as client:
        for line in lines:
            headers = {"content-type": "application/json"}
            answer = client.post(PATHS[signal_of(line)], content=line.encode(), headers=headers)
            assert (answer.status_code, answer.content) == (200, b"{}"), answer.text


def requests() -> Iterator[tuple[str, Message]]:
    """A shop's telemetry, one request of everything there is, and random ones: (last part of the path, request)."""
    shop = Shop(SEED, start_unix_nano=START_UNIX_NANO - 15 * 60 * SECOND)
    yield from islice(shop.requests(("traces", "logs", "metrics"), 200), _SHOP_REQUESTS)
    now = START_UNIX_NANO - SECOND
    made: list[tuple[str, Message]] = [
        ("traces", samples.spans("odd", now)),
        ("logs", samples.logs("odd", now)),
        ("metrics", samples.metrics("odd", now)),
    ]
    yield from made
    for name, signal in SIGNALS.items():
        taken: set[Any] = set()
        for request in sample(signal, _RANDOM_REQUESTS, SEED + 1):
            stored = without_empty_places(request)
            make_unique(stored, taken)
            yield name, stored


def without_empty_places(request: Message) -> Message:
    """The records of a request alone: a resource, scope or metric that has none is no part of an export."""
    found = type(request)()
    (envelope,) = request.DESCRIPTOR.fields
    for resource, scopes, scope, inside, record in walk(request):
        place = getattr(found, envelope.name).add()
        place.CopyFrom(resource)
        place.ClearField(scopes)
        part = getattr(place, scopes).add()
        part.CopyFrom(scope)
        part.ClearField(inside)
        getattr(part, inside).add().CopyFrom(record)
    return found


@pytest.mark.parametrize("limit", [1000, 25])
def test_what_is_exported_makes_an_equal_database(server: Server, second: Server, limit: int) -> None:
    sent: dict[str, Counter[Record]] = {signal: Counter() for signal in SIGNALS.values()}
    for name, request in requests():
        answer = server.post(name, request.SerializeToString())
        assert (answer.status_code, answer.content) == (200, b"")
        sent[SIGNALS[name]] += records(request)

    lines = export(server, limit=limit)
    found = by_signal(lines)
    for signal, expected in sent.items():
        stored, conflicts = keep_first(signal, expected)
        assert not conflicts
        assert_same(stored, found[signal])
    assert len(lines) == len(set(lines))
    assert all(len(line) < LONGEST_LINE_BYTES for line in lines)

    send(second, lines)
    assert asyncio.run(violations(second.database_url)) == []
    first_rows, second_rows = (asyncio.run(rows_of(url)) for url in (server.database_url, second.database_url))
    for table, rows in first_rows.items():
        differing = sorted(rows - second_rows[table]), sorted(second_rows[table] - rows)
        assert (table, *differing) == (table, [], [])
    again = by_signal(export(second, limit=limit))
    for signal, expected in found.items():
        assert_same(expected, again[signal])


def test_equal_records_stay_as_many(server: Server, second: Server) -> None:
    timeless: Any = {"metrics": [{"name": "m", "gauge": {"dataPoints": [{}, {}, {}]}}]}
    points = from_json(REQUESTS[METRICS](), {"resourceMetrics": [{"scopeMetrics": [timeless]}]})
    send_logs(server, "shop", [ago(60)] * 5)
    assert server.post("metrics", points.SerializeToString()).status_code == 200
    lines = export(server, limit=1)
    assert len({line.replace(" ", "").replace("\t", "") for line in lines}) == 2
    assert len(lines) == len(set(lines)) == 8

    send(second, lines)
    # The same line again is a repetition.
    send(second, lines)
    assert by_signal(export(second)) == by_signal(lines)


def test_what_arrives_meanwhile_neither_hides_nor_repeats(server: Server) -> None:
    moments = [ago(1 + number // 5 * 60) for number in range(150)]
    send_logs(server, "shop", moments)
    send_spans(server, "shop", [span(number + 1, moment) for number, moment in enumerate(moments)])
    before = by_signal(export(server))
    done = threading.Event()

    def write() -> None:
        for number in count(1_000):
            if done.is_set():
                return
            # Newer than all, and late.
            for moment in (ago(0), ago(number % 30 * 60)):
                send_logs(server, "shop", [moment])
                send_spans(server, "shop", [span(number, moment)])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        found = by_signal(export(server, limit=3))
    finally:
        done.set()
        thread.join()
    after = by_signal(export(server))
    for signal in (SPANS, LOGS):
        assert not before[signal] - found[signal]
        assert not found[signal] - after[signal]
        assert found[signal].total() > before[signal].total()


def test_window_and_signals(server: Server) -> None:
    send_spans(server, "shop", [span(1, ago(3600)), span(2, ago(600)), span(3, ago(60))])
    send_logs(server, "shop", [ago(600)])

    def numbers(**options: Any) -> list[int]:
        found = by_signal(export(server, signals=(SPANS,), **options))
        assert not found[LOGS]
        return sorted(int.from_bytes(dict(record)["span_id"], "big") for _, _, record in found[SPANS])

    assert numbers() == [1, 2, 3]
    assert numbers(since="30m") == numbers(since="now-30m") == [2, 3]
    assert numbers(until="5m") == [1, 2]
    assert numbers(since=str(ago(1800)), until=str(ago(300))) == [2]
    assert [signal_of(line) for line in export(server)] == [SPANS, LOGS]


def test_long_lines_are_cut_at_records(server: Server) -> None:
    send_logs(server, "shop", [ago(number) for number in range(20, 30)], severity_text="x" * 200_000)
    send_logs(server, "shop", [ago(40)], severity_text="x" * LONGEST_LINE_BYTES)
    send_logs(server, "shop", [ago(number) for number in range(60, 80)])
    output, out = io.BytesIO(), io.StringIO()
    summary = asyncio.run(run(ExportOptions(url=server.url), output, out))
    lengths = [len(line) for line in output.getvalue().splitlines()]
    assert sum(length >= LONGEST_LINE_BYTES for length in lengths) == summary.tallies[LOGS].long_lines == 1
    assert summary.tallies[LOGS].records == 31
    # Lines grow again after the long one.
    assert len(lengths) < 12
    assert "logs: 1 lines of 1 MiB or more" in out.getvalue()


def postel(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "exporter", "export", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_command(server: Server, tmp_path: Path) -> None:
    send_spans(server, "shop", [span(number, ago(number)) for number in range(1, 6)])
    send_logs(server, "shop", [ago(60)])
    done = postel("--url", server.url, "--limit", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    assert [signal_of(line) for line in lines] == [SPANS, SPANS, SPANS, LOGS]
    assert "spans               5        3         0       0.0" in done.stderr

    file = tmp_path / "dump.jsonl"
    flags = ["--url", server.url, "--limit", "2", "--output", str(file)]
    done = postel(*flags, "--signal", "logs", "--signal", "spans")
    assert (done.returncode, done.stdout) == (0, "")
    assert file.read_text().split("\n")[:-1] == lines

    # As if it had ended after the first line.
    file.write_text(lines[0] + "\n")
    page = server.get("/api/spans", start_time="0", end_time=str(2**63 - 1), limit="2", format="otlp")
    cursor = httpx.URL(page.links["next"]["url"]).params["cursor"]
    assert postel(*flags, "--resume", f"spans:{cursor}").returncode == 0
    assert file.read_text().split("\n")[:-1] == lines


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--since", "yesterday"], "start_time: is no time: 'yesterday'; for example now-15m"),
        (["--limit", "5000"], "limit: must be a whole number from 1 to 1000"),
        (["--resume", "spans:nonsense"], "cursor: is none of ours"),
    ],
)
def test_what_the_server_does_not_understand_is_bad_usage(server: Server, flags: list[str], said: str) -> None:
    done = postel("--url", server.url, *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_nobody_reads_on(server: Server) -> None:
    send_logs(server, "shop", [ago(60)] * 300)
    command = [sys.executable, "-m", "exporter", "export", "--url", server.url, "--limit", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert "incomplete: go on with --resume logs:" in said
    assert said.endswith("postel export: [Errno 32] Broken pipe\n")


def test_an_interrupted_export_can_be_gone_on_with(server: Server, tmp_path: Path) -> None:
    send_logs(server, "shop", [ago(60 + number) for number in range(400)])
    file = tmp_path / "dump.jsonl"
    flags = ["export", "--url", server.url, "--limit", "1", "--output", str(file)]
    command = [sys.executable, "-m", "exporter", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not file.exists() or not file.stat().st_size:
            time.sleep(0.01)
        process.send_signal(SIGINT)
        said = process.stderr.read()
    assert process.returncode == 1
    assert file.read_text().count("\n") < 400
    start = said.splitlines()[-1].removeprefix("incomplete: go on with ").split()
    assert postel(*flags[1:], *start).returncode == 0
    assert by_signal(file.read_text().split("\n")[:-1])[LOGS].total() == 400
