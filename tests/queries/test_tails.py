"""Tails: every record that any replica commits comes once, within a second, whatever its time, to whoever asks."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from queries.tails import MOST_READERS, RECORDS_AT_ONCE
from tests.queries.sending import SECOND, ago, get, send_logs, send_spans, span
from tests.queries.tailing import Tail, tailing
from tests.running import Server, serving

DAY_S = 86_400
LOGS, SPANS = "/api/logs/tail", "/api/spans/tail"
EVENTS = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
def other(shared: Server) -> Iterator[Server]:
    """Another replica on the database of `shared`: one takes in what the other one's readers get."""
    with serving(shared.database_url) as server:
        yield server


def settled(tail: Tail) -> list[str]:
    """The bodies that came, when nothing more can be on its way."""
    time.sleep(1.5)
    return tail.bodies()


def test_each_record_comes_within_a_second(shared: Server, other: Server, service: str) -> None:
    late_s = []
    with tailing(other, LOGS, service=service) as tail:
        for number in range(1, 6):
            send_logs(shared, service, [ago(0)])
            sent_at = time.monotonic()
            tail.wait_for(number)
            late_s.append(tail.lines[-1][0] - sent_at)
            time.sleep(0.17)
        (record, *_) = tail.records
    assert max(late_s) < 1
    (stored, *_) = get(shared, "/api/logs", service=service)["logs"][::-1]
    assert record == stored
    assert tail.answer.headers["content-type"] == "application/x-ndjson"


def test_spans_come_whole(shared: Server, other: Server, service: str) -> None:
    with tailing(shared, SPANS, service=service) as tail:
        sent = span(1, ago(1), attributes={"http.request.method": "GET"}, error=True)
        sent.events.add(name="retry", time_unix_nano=ago(1))
        send_spans(other, service, [sent, span(2, ago(1))])
        found = {record["span_id"]: record for record in tail.wait_for(2)}
    assert found == {s["span_id"]: s for s in get(shared, "/api/spans", service=service)["spans"]}
    assert [event["name"] for event in found["0000000000000001"]["events"]] == ["retry"]


def test_filters_are_those_of_the_search(shared: Server, other: Server, service: str) -> None:
    with ExitStack() as stack:
        warnings = stack.enter_context(tailing(shared, LOGS, service=service, severity="warn"))
        clients = stack.enter_context(tailing(shared, SPANS, service=service, kind="client", min_duration="5ms"))
        # That of a service which nobody has heard of yet.
        new = stack.enter_context(tailing(shared, LOGS, service=[f"{service}-new", f"{service}-newer"]))
        send_logs(other, service, [ago(3), ago(2)], severity_number=9)
        send_logs(other, service, [ago(1)], severity_number=13)
        for number, kind, ms in ((1, 3, 6), (2, 3, 4), (3, 2, 6)):
            start = ago(1)
            send_spans(other, service, [span(number, start, kind=kind, end_time_unix_nano=start + ms * 1_000_000)])
        send_logs(other, f"{service}-newer", [ago(1)])
        assert [record["severity_number"] for record in warnings.wait_for(1)] == [13]
        assert [record["span_id"] for record in clients.wait_for(1)] == ["0000000000000001"]
        assert [record["service_name"] for record in new.wait_for(1)] == [f"{service}-newer"]
        assert [len(settled(warnings)), len(clients.records), len(new.records)] == [1, 1, 1]


def test_what_was_stored_before_does_not_come(shared: Server, other: Server, service: str) -> None:
    """Times lie among those of records that were there; one body brings the oldest and the latest."""
    times = [ago(20 * DAY_S), ago(9 * DAY_S), ago(5), ago(1)]
    send_logs(shared, service, [time + 1 for time in times])
    with tailing(other, LOGS, service=service) as tail:
        send_logs(shared, service, times)
        send_logs(shared, service, [times[1] + 2])
        send_logs(shared, service, [time + 3 for time in times])
        # Sent again, and stored in the second before.
        send_logs(shared, service, times)
        tail.wait_for(9)
        with tailing(other, LOGS, service=service) as second:
            send_logs(shared, service, [times[2] + 4])
            tail.wait_for(10)
            assert settled(second) == [f"at {times[2] + 4}"]
        expected = [*times, times[1] + 2, *(time + 3 for time in times), times[2] + 4]
        assert sorted(tail.bodies()) == sorted(f"at {time}" for time in expected)


def send_numbered(server: Server, service: str, numbers: range, time_unix_nano: int) -> None:
    """Store log records whose bodies are numbers, every tenth a week old."""
    request = ExportLogsServiceRequest()
    place = request.resource_logs.add()
    place.resource.attributes.add(key="service.name").value.string_value = service
    scope = place.scope_logs.add()
    for number in numbers:
        late = 7 * DAY_S * SECOND if number % 10 == 3 else 0
        scope.log_records.add(time_unix_nano=time_unix_nano - late).body.string_value = str(number)
    assert server.post("logs", request.SerializeToString()).status_code == 200


def test_everything_comes_once_while_two_replicas_write(shared: Server, other: Server, service: str) -> None:
    """Four writers; readers from the beginning, and one that comes while they write: it gets what was sent after it
    came, and may get what was on its way."""
    servers, each, bodies = (shared, other), 5, 60
    acknowledged: list[tuple[float, float, range]] = []

    def write(writer: int) -> None:
        for turn in range(bodies):
            first = (writer * bodies + turn) * each
            began = time.monotonic()
            send_numbered(servers[writer % 2], service, range(first, first + each), ago(0.01 * writer))
            acknowledged.append((began, time.monotonic(), range(first, first + each)))
            time.sleep(0.02)

    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        tails = [stack.enter_context(tailing(server, LOGS, service=service)) for server in servers]
        writing = [pool.submit(write, writer) for writer in range(4)]
        time.sleep(1)
        asked_at = time.monotonic()
        late = stack.enter_context(tailing(other, LOGS, service=service))
        came_at = time.monotonic()
        for writer in writing:
            writer.result()
        everything = [str(number) for number in range(4 * bodies * each)]
        for tail in tails:
            tail.wait_for(len(everything))
            assert sorted(settled(tail), key=int) == everything
        got = late.bodies()
    assert len(set(got)) == len(got)
    after = {str(n) for began, _, numbers in acknowledged if began > came_at for n in numbers}
    before = {str(n) for _, done, numbers in acknowledged if done < asked_at for n in numbers}
    assert after and before
    assert after <= set(got) and not before & set(got)


def test_a_transaction_that_becomes_visible_late(shared: Server, other: Server, service: str) -> None:
    """It waits for a lock, with its rows written, while what began after it is committed."""
    trace = uuid4().bytes
    send_spans(shared, service, [span(1, ago(2), trace=trace)])

    async def locked() -> asyncpg.Connection:
        connection = await asyncpg.connect(shared.database_url)
        await connection.execute("BEGIN")
        await connection.execute("SELECT FROM otel_traces WHERE trace_id = $1 FOR UPDATE", trace.hex())
        return connection

    with tailing(other, SPANS, service=service) as tail, ThreadPoolExecutor(1) as pool, asyncio.Runner() as runner:
        holder = runner.run(locked())
        waiting = pool.submit(send_spans, shared, service, [span(2, ago(2), trace=trace)])
        time.sleep(0.5)
        for number in (3, 4, 5):
            send_spans(other, service, [span(number, ago(2))])
            tail.wait_for(number - 2)
        time.sleep(1)
        assert not waiting.done() and len(tail.records) == 3
        runner.run(holder.close())
        waiting.result()
        assert [int(record["span_id"], 16) for record in tail.wait_for(4)] == [3, 4, 5, 2]
        time.sleep(1.5)
        assert len(tail.records) == 4


def test_records_beside_one_that_postgresql_refuses(service: str, database_url: str) -> None:
    async def refuse() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute("ALTER TABLE otel_logs_fact ADD CONSTRAINT odd CHECK (body <> '17')")
        await connection.close()

    with serving(database_url) as server, tailing(server, LOGS, service=service) as tail:
        asyncio.run(refuse())
        send_numbered(server, service, range(40), ago(1))
        tail.wait_for(39)
        assert sorted(settled(tail), key=int) == [str(number) for number in range(40) if number != 17]


def test_more_than_a_reader_may_get_is_counted(shared: Server, other: Server, service: str) -> None:
    count = 3 * RECORDS_AT_ONCE
    with tailing(shared, LOGS, service=service) as tail:
        send_numbered(other, service, range(count), ago(1))
        deadline = time.monotonic() + 30
        while not (skipped := [record for record in tail.records if "skipped" in record]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        send_numbered(other, service, range(count, count + 3), ago(1))
        while str(count + 2) not in (bodies := tail.bodies()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert RECORDS_AT_ONCE <= len(bodies) < count
    assert len(set(bodies)) == len(bodies)
    assert len(bodies) + sum(record["skipped"] for record in skipped) == count + 3
    assert "records a second" in skipped[0]["reason"]


def test_large_records_come_a_few_at_a_time(shared: Server, other: Server, service: str) -> None:
    with tailing(shared, LOGS, service=service) as tail:
        for number in range(4):
            request = ExportLogsServiceRequest()
            place = request.resource_logs.add()
            place.resource.attributes.add(key="service.name").value.string_value = service
            records = place.scope_logs.add().log_records
            for place_in in range(8):
                records.add(time_unix_nano=ago(1)).body.string_value = f"{number}{place_in}" + "x" * 500_000
            assert other.post("logs", request.SerializeToString()).status_code == 200
        bodies = [record["body"] for record in tail.wait_for(32, 30)]
    assert sorted(body[:2] for body in bodies) == [f"{i}{j}" for i in range(4) for j in range(8)]
    assert {len(body) for body in bodies} == {500_002}


def events(tail: Tail) -> list[dict[str, str]]:
    """The events that came, each as its fields; comments are left out."""
    text = "".join(f"{line}\n" for _, line in tail.lines)
    blocks = text.strip().split("\n\n")
    return [dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":")) for block in blocks]


def test_server_sent_events(shared: Server, other: Server, service: str) -> None:
    with tailing(other, LOGS, EVENTS, service=service) as tail:
        assert tail.answer.headers["content-type"].startswith("text/event-stream")
        send_logs(shared, service, [ago(3), ago(2)], severity_text="two\nlines")
        tail.wait_for(2)
        time.sleep(0.2)
        sent = [event for event in events(tail) if "data" in event]
    assert {frozenset(event) for event in sent} == {frozenset(("id", "data"))}
    assert [json.loads(event["data"]) for event in sent] == get(shared, "/api/logs", service=service)["logs"][::-1]
    by_parameter = httpx.stream("GET", f"{shared.url}{LOGS}?format=sse", verify=False, timeout=10)
    with by_parameter as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(answer.iter_lines()) == ":"


def test_who_comes_back_gets_what_came_meanwhile(shared: Server, other: Server, service: str) -> None:
    with tailing(other, LOGS, EVENTS, service=service) as tail:
        send_logs(shared, service, [ago(5), ago(4)])
        tail.wait_for(2)
        time.sleep(0.2)
        last = [event for event in events(tail) if "data" in event][-1]["id"]
    missed = ago(DAY_S)
    send_logs(shared, service, [missed])
    with tailing(shared, LOGS, EVENTS | {"last-event-id": last}, service=service) as tail:
        send_logs(other, service, [missed + 1])
        tail.wait_for(2)
        assert settled(tail) == [f"at {missed}", f"at {missed + 1}"]
    with tailing(shared, LOGS, EVENTS | {"last-event-id": "1-5:3:"}, service=service) as tail:
        assert settled(tail) == []
    # Longer ago than the ledger goes back.
    with tailing(shared, LOGS, EVENTS | {"last-event-id": "1700000000-5:5:"}, service=service) as tail:
        said, *_ = tail.wait_for(1)
        assert said["skipped"] is None


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("compressed", [(), ("--compressed",)])
def test_curl_shows_each_record_at_once(
    shared: Server, other: Server, service: str, compressed: tuple[str, ...]
) -> None:
    command = ["curl", "-sN", *compressed, f"{other.url}{LOGS}?service={service}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        time.sleep(1)
        for seconds in (3, 2, 1):
            moment = ago(seconds)
            send_logs(shared, service, [moment])
            sent_at = time.monotonic()
            assert json.loads(curl.stdout.readline())["body"] == f"at {moment}"
            assert time.monotonic() - sent_at < 1
        curl.terminate()


def test_what_a_tail_does_not_take(shared: Server) -> None:
    for name, value in (("since", "5m"), ("limit", "5"), ("cursor", "x"), ("width", "80")):
        answer = shared.get(LOGS, **{name: value})
        assert answer.status_code == 400
        assert answer.json()["error"]["parameter"] == name
        assert "tail" in answer.json()["error"]["hint"]
    assert shared.get(SPANS, severity="warn").json()["error"]["parameter"] == "severity"
    assert shared.get(LOGS, format="text").json()["error"]["parameter"] == "format"
    head = httpx.head(f"{shared.url}{SPANS}", verify=False)
    assert (head.status_code, head.headers["content-type"]) == (200, "application/x-ndjson")


def reading_since(server: Server) -> list[str]:
    """When each reading connection began its last statement."""

    async def ask() -> list[str]:
        connection = await asyncpg.connect(server.database_url)
        statement = (
            "SELECT query_start::text FROM pg_stat_activity"
            " WHERE application_name = 'postel reader' AND datname = current_database() ORDER BY 1"
        )
        found = [row[0] for row in await connection.fetch(statement)]
        await connection.close()
        return found

    return asyncio.run(ask())


def test_readers_are_bounded_and_leave_nothing_behind(database_url: str) -> None:
    with serving(database_url) as server:
        with ExitStack() as stack:
            for _ in range(MOST_READERS):
                stack.enter_context(tailing(server, LOGS))
            answer = server.get(SPANS)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert str(MOST_READERS) in answer.json()["error"]["message"]
            first = reading_since(server)
            time.sleep(1.2)
            # However many there are, one of them holds the only connection, and it is free in between.
            assert len(first) == 1 and reading_since(server) != first
            assert get(server, "/api/logs")["logs"] == []
        time.sleep(1.2)
        before = reading_since(server)
        time.sleep(1.2)
        assert reading_since(server) == before, "nobody reads, and yet somebody looks"
        with ExitStack() as stack:
            for _ in range(MOST_READERS):
                stack.enter_context(tailing(server, LOGS))


def test_tokens_are_asked_for(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("reading\n")
    with serving(database_url, {"READ_TOKEN_FILE": str(file)}) as server:
        assert server.get(LOGS).status_code == 401
        with tailing(server, LOGS, {"authorization": "Bearer reading"}) as tail:
            send_logs(server, "shop", [ago(1)])
            tail.wait_for(1)


@pytest.mark.parametrize("headers", [{}, EVENTS])
def test_a_tail_ends_when_the_server_stops(database_url: str, headers: dict[str, str]) -> None:
    with serving(database_url) as server, tailing(server, LOGS, headers) as tail:
        began = time.monotonic()
        server.process.terminate()
        assert tail.wait_until_ended(5) == "whole"
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 3
        assert tail.records[-1]["error"]["code"] == "shutting_down"
