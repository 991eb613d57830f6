"""Hot reload as an administrator sees it: a server, a mounted ConfigMap, and telemetry that goes on all the while."""

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.exporter.mounting import Mount
from tests.exporter.sending import attributes, gauge, log, logs, metrics, point, span, spans
from tests.running import Server, serving
from tests.sql.rows import ask

SECRET = "hunter2"
LOOKED_S = 15.0
"""A second is enough where nobody else uses the machine."""
FLIPS = 20


def until(server: Server, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """/api/config, as soon as something holds of it."""
    deadline = time.monotonic() + LOOKED_S
    found: dict[str, Any]
    while not holds(found := server.get("/api/config").json()):
        assert time.monotonic() < deadline, found["overrides"]
        time.sleep(0.05)
    return found


def drops(owner: str, *keys: str) -> Callable[[dict[str, Any]], bool]:
    """That an owner drops these keys, and no others."""
    return lambda found: next(of["dropped"] for of in found["lists"] if of["owner"] == owner) == list(keys)


def has_state(name: str) -> Callable[[dict[str, Any]], bool]:
    """That the overrides file is in this state."""
    return lambda found: found["overrides"]["state"] == name


def counted(server: Server, line: str) -> float:
    """A line of /metrics."""
    lines = dict(found.rsplit(" ", 1) for found in server.get("/metrics").text.splitlines())
    return float(lines[f"postel_overrides_{line}"])


def store(server: Server, *bodies: tuple[str, bytes]) -> None:
    """Send bodies, all of which are taken."""
    for signal, body in bodies:
        answer = server.post("traces" if signal == "spans" else signal, body)
        assert answer.status_code == 200, answer.text


def everywhere(number: int, has: dict[str, Any]) -> list[tuple[str, bytes]]:
    """A span, a log record and a point with these attributes in every place; the trace id is the number."""
    full = span(number, number, has=has)
    full.events.add(name="e", attributes=attributes(has))
    full.links.add(attributes=attributes(has))
    resource = {"service.name": "shop", **has}
    correlated = log("l", has=has, trace_id=number.to_bytes(16, "big"))
    return [
        spans(full, resource=resource),
        logs(correlated, resource=resource),
        metrics(gauge("g", point(number, has=has | {"n": number})), resource=resource),
    ]


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "config", "promote: {spans: {string: [custom.id]}}\n")


def test_a_configmap_through_its_life(database_url: str, mount: Mount, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(database_url, {"ATTRIBUTE_OVERRIDES": str(mount.file)}) as server:
        since = until(server, has_state("in_force"))["lists_since_unix_nano"]
        typed = "SELECT value FROM otel_span_series_attrs_string WHERE value = ANY($1)"
        sent = spans(span(1, 1, has={"custom.id": "a", "custom.other": "b"}))
        store(server, sent)
        assert [row["value"] for row in ask(database_url, typed, ["a", "b"])] == ["a"]

        mount.put("promote: {spans: {string: [custom.other]}}\ndrop: {spans: [password, 'user.*'], logs: [password]}\n")
        found = until(server, drops("spans", "password", "user.*"))
        assert found["lists_since_unix_nano"] > since and found["overrides"]["problems"] == []
        store(server, *everywhere(2, {"custom.other": "c", "custom.id": "d", "password": SECRET, "user.id": SECRET}))
        assert [row["value"] for row in ask(database_url, typed, ["c", "d"])] == ["c"]
        (row,) = ask(
            database_url, "SELECT attributes FROM v_otel_spans_enriched WHERE trace_key = $1::uuid", f"{2:032x}"
        )
        assert row["attributes"] == {"custom.other": "c", "custom.id": "d"}

        mount.put(f"drop: {{logs: [{SECRET}], spns: [a]}}\npromote: {{logs: {{text: [{SECRET}]}}}}\n")
        refused = until(server, has_state("refused"))
        assert [problem.removeprefix(f"{mount.file}:") for problem in refused["overrides"]["problems"]] == [
            "1: drop.…: unknown key, did you mean spans?",
            "2: promote.logs.…: unknown key, did you mean string?",
        ]
        assert drops("spans", "password", "user.*")(refused)
        assert counted(server, 'reloads_total{outcome="refused"}') == 1 and counted(server, "in_force") == 0
        drawn = server.get("/api/config", format="text").text
        assert "(refused)" in drawn and "spans dropped: password, user.*" in drawn and SECRET not in drawn

        mount.put(None)
        until(server, has_state("absent"))
        store(server, *everywhere(3, {"password": SECRET, "n": 3}))
        assert "password" not in str(ask(database_url, "SELECT attributes FROM v_otel_logs_enriched"))
        assert counted(server, 'reloads_total{outcome="vanished"}') == 1 and counted(server, "in_force") == 0

        mount.put("drop: {logs: [n]}\n")
        until(server, drops("logs", "n"))
        assert counted(server, "in_force") == 1 and counted(server, 'reloads_total{outcome="loaded"}') == 2
        assert counted(server, "loaded_timestamp_seconds") > since / 1e9
        store(server, *everywhere(4, {"password": "known", "n": 4}))
        (row,) = ask(
            database_url, "SELECT attributes FROM v_otel_logs_enriched WHERE trace_key = $1::uuid", f"{4:032x}"
        )
        assert row["attributes"] == {"password": "known"}
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    told = [line["message"] for line in lines if "attribute overrides" in line["message"]]
    assert [message.split(", ")[0].split(": ")[1] for message in told] == [
        "other lists are in force",
        "refused",
        "vanished",
        "other lists are in force",
    ]
    assert SECRET not in str(lines)


def records(url: str) -> list[tuple[str, str]]:
    """(trace id, everything about a record) of spans and logs."""
    every = """
    SELECT trace_id, s.attributes || s.resource_attributes::jsonb AS here, s.events::text || s.links::text AS below
    FROM v_otel_spans_enriched AS s
    UNION ALL
    SELECT trace_id, l.attributes || l.resource_attributes::jsonb, l.attributes::text
    FROM v_otel_logs_enriched AS l
    """
    return [(row["trace_id"], f"{row['here']} {row['below']}") for row in ask(url, every)]


def test_no_request_is_of_two_minds(database_url: str, mount: Mount) -> None:
    """Lists flip while small and large bodies come in: each is stored wholly under one of both."""
    owners = ("resource", "spans", "span_events", "span_links", "logs")
    lists = [f"drop: {{{', '.join(f'{owner}: [{key}]' for owner in owners)}}}\n" for key in ("key.a", "key.b")]
    has = {"key.a": "value.a", "key.b": "value.b"}
    stopped = Event()

    def sending(first: int, many: int) -> int:
        number = first
        while not stopped.is_set():
            full = [span(number, n, has=has | {"pad": "x" * 100}) for n in range(1, many + 1)]
            for one in full:
                one.events.add(name="e", attributes=attributes(has))
                one.links.add(attributes=attributes(has))
            store(server, spans(*full, resource={"service.name": f"s{number % 7}", **has}))
            store(server, *everywhere(number + 500_000, has)[:2])
            number += 1
        return number - first

    mount.put(lists[0])
    with serving(database_url, {"ATTRIBUTE_OVERRIDES": str(mount.file)}) as server, ThreadPoolExecutor(4) as pool:
        senders: list[Future[int]] = [
            pool.submit(sending, 1 + place * 1_000_000, many) for place, many in enumerate((1, 10, 10, 6000))
        ]
        for flip in range(1, FLIPS + 1):
            mount.put(lists[flip % 2])
            until(server, drops("spans", "key.b" if flip % 2 else "key.a"))
        stopped.set()
        assert all(sender.result() > 1 for sender in senders), "no request failed, and nobody stood still"
        last = 9_000_000
        store(server, *everywhere(last, has))
    minds: dict[str, set[tuple[bool, bool]]] = {}
    for trace_id, text in records(database_url):
        minds.setdefault(trace_id, set()).add(("value.a" in text, "value.b" in text))
        assert ("key.a" in text) == ("value.a" in text)
    spread = {next(iter(found)) for found in minds.values() if len(found) == 1}
    assert {len(found) for trace, found in minds.items() if int(trace, 16) % 1_000_000 < 500_000} == {1}
    assert spread == {(True, False), (False, True)}, "of both lists there was something"
    assert minds[f"{last:032x}"] == {(False, True)}, "the very next request"


def test_an_idle_server_takes_next_to_nothing(database_url: str, mount: Mount) -> None:
    with serving(database_url, {"ATTRIBUTE_OVERRIDES": str(mount.file)}) as server:
        time.sleep(2)
        before = cpu_s(server.process.pid)
        time.sleep(5)
        assert cpu_s(server.process.pid) - before < 0.1


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
