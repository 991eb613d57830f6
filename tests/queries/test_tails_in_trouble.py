"""Tails whose reader does not read, or whose database is away: nothing is buffered without bound, none is skipped."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from exporter.embedded_place import settle, spawn_options
from queries.streams import HEARTBEAT_S
from queries.tails import LOOK_S, MOST_LOOKS
from tests.faults.life import living, living_on
from tests.faults.proxy import proxying
from tests.faults.standby import replicated
from tests.queries.sending import ago, send_logs
from tests.queries.tailing import tailing
from tests.running import Server, serving, wait_until_ready

LOGS = "/api/logs/tail"
MIB = 1 << 20


def send_large(server: Server, service: str, count: int, size: int) -> None:
    """Store log records whose bodies have this size, all of them in one request."""
    request = ExportLogsServiceRequest()
    place = request.resource_logs.add()
    place.resource.attributes.add(key="service.name").value.string_value = service
    records = place.scope_logs.add().log_records
    for _ in range(count):
        records.add(time_unix_nano=ago(0)).body.string_value = os.urandom(size // 2).hex()
    assert server.post("logs", request.SerializeToString()).status_code == 200


def memory_of(server: Server) -> int:
    """Bytes of memory that the process has."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def unread(server: Server, service: str) -> socket.socket:
    """A connection that asks for a tail, and does not read what comes."""
    place = urlsplit(server.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((place.hostname, place.port))
    connection.sendall(f"GET {LOGS}?service={service} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    """All that was sent until the response's end."""
    connection.settimeout(10)
    found = bytearray()
    while not found.endswith(b"\r\n0\r\n\r\n"):
        piece = connection.recv(1 << 16)
        assert piece, "cut before the end"
        found += piece
    return bytes(found)


def test_who_does_not_read_is_told_so_and_dropped(database_url: str, service: str) -> None:
    idle = f"{service}-idle"
    with serving(database_url) as server, closing(unread(server, service)) as stuck:
        send_large(server, "warm up", 10, MIB)
        with (
            tailing(server, LOGS, service=service) as tail,
            tailing(server, LOGS, service=idle) as lines,
            tailing(server, LOGS, {"accept": "text/event-stream"}, service=idle) as events,
        ):
            before, most, sent = memory_of(server), 0, 0
            until = time.monotonic() + MOST_LOOKS * LOOK_S + 5
            while time.monotonic() < until:
                send_large(server, service, 10, MIB // 2)
                sent += 10
                most = max(most, memory_of(server))
                time.sleep(0.1)
            assert len({record["body"] for record in tail.wait_for(sent, 30)}) == len(tail.records) == sent
        assert sent * MIB // 2 > 100 * MIB
        assert most - before < 60 * MIB
        answer = read_to_end(stuck)
        assert [line for _, line in lines.lines] == [""] * (len(lines.lines))
        beats = int((MOST_LOOKS * LOOK_S + 5) / (HEARTBEAT_S + 2))
        assert len(lines.lines) >= beats
        assert [line for _, line in events.lines].count(":") >= 1 + beats
    assert len(answer) < sent * MIB // 4
    last = json.loads(answer.removesuffix(b"\r\n0\r\n\r\n").split(b"\n")[-2])
    assert last["error"]["code"] == "too_slow"
    assert "read faster" in last["error"]["hint"]


def test_the_server_does_not_wait_for_who_does_not_read(database_url: str, service: str) -> None:
    with serving(database_url) as server, closing(unread(server, service)) as stuck:
        for _ in range(4):
            send_large(server, service, 10, MIB // 2)
            time.sleep(0.6)
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait(20) == 0
        assert time.monotonic() - began < 4
        assert stuck.recv(100).startswith(b"HTTP/1.1 200")


def test_what_is_committed_while_the_database_is_out_of_reach(database_url: str, service: str) -> None:
    """Of one replica: the other one writes on."""
    impatient = {"STATEMENT_TIMEOUT": "1s", "REQUEST_DEADLINE": "2s"}
    times = [ago(second) for second in (40, 30, 20, 10)]
    with (
        proxying(database_url) as proxy,
        serving(database_url) as writing,
        serving(proxy.url, impatient) as reading,
        tailing(reading, LOGS, service=service) as tail,
    ):
        send_logs(writing, service, times[:1])
        tail.wait_for(1)
        proxy.silent = True
        send_logs(writing, service, times[1:2])
        time.sleep(4)
        send_logs(writing, service, times[2:3])
        assert httpx.get(f"{reading.url}{LOGS}", verify=False, timeout=30).status_code == 503
        assert tail.bodies() == [f"at {times[0]}"] and tail.ended == ""
        proxy.silent = False
        tail.wait_for(3)
        send_logs(writing, service, times[3:])
        tail.wait_for(4)
        time.sleep(1.2)
        assert tail.bodies() == [f"at {time}" for time in times]


def test_postgresql_is_started_again(service: str) -> None:
    with living() as life:
        assert life.process is not None
        server = Server(life.url, life.postgres_url, life.process)
        with tailing(server, LOGS, service=service) as tail:
            for turn in range(3):
                moment = ago(turn)
                send_logs(server, service, [moment])
                tail.wait_for(turn + 1)
                os.kill(int(life.postmaster[0]), signal.SIGKILL if turn else signal.SIGINT)
                time.sleep(1)
                wait_until_ready(server)
            send_logs(server, service, [ago(3)])
            tail.wait_for(4, 20)
            time.sleep(1.2)
            assert len(set(tail.bodies())) == len(tail.bodies()) == 4


def test_a_standby_is_promoted(service: str) -> None:
    """Its transactions go on with the numbers of the primary that it followed."""
    with replicated() as pair, proxying(pair.url) as proxy, living_on(proxy.url) as life:
        assert life.process is not None
        server = Server(life.url, proxy.url, life.process)
        times = [ago(second) for second in (40, 30, 20, 10)]
        with tailing(server, LOGS, service=service) as tail:
            send_logs(server, service, times[:1])
            tail.wait_for(1)
            send_logs(server, service, times[1:2])
            pair.fence()
            pair.promote()
            proxy.move(pair.url)
            for time_sent in times[2:]:
                send_until_stored(server, service, time_sent)
            tail.wait_for(4)
            time.sleep(1.2)
            assert sorted(tail.bodies()) == sorted(f"at {time}" for time in times)


def send_until_stored(server: Server, service: str, time_unix_nano: int) -> None:
    """Store a log record, trying for a while."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return send_logs(server, service, [time_unix_nano])
        except AssertionError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_numbers_of_transactions_have_more_digits_than_rows_show(service: str) -> None:
    with living() as life:
        assert life.process is not None and life.data_dir is not None
        life.end(signal.SIGTERM)
        place = settle(life.data_dir)
        command = [str(place.bin_dir / "pg_resetwal"), "--epoch=3", str(life.data_dir / "pgdata")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **spawn_options(place.account))
        life.start()
        server = Server(life.url, life.postgres_url, life.process)
        with tailing(server, LOGS, {"accept": "text/event-stream"}, service=service) as tail:
            for second in (3, 2, 1):
                send_logs(server, service, [ago(second)])
            tail.wait_for(3)
            ids = [line for _, line in tail.lines if line.startswith("id: ")]
            assert 3 << 32 < int(ids[-1].partition("-")[2].partition(":")[0]) < 4 << 32


def test_what_takes_too_long_to_look_for_is_said(database_url: str, service: str) -> None:
    """For ever; what is only locked for a moment comes."""

    async def locked(seconds: float) -> None:
        connection = await asyncpg.connect(database_url)
        # A reader needs it, a writer does not.
        await connection.execute("BEGIN; LOCK TABLE otel_scopes_dim IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(seconds)
        await connection.close()

    with serving(database_url) as server, tailing(server, LOGS, service=service) as tail:
        times = [ago(second) for second in (3, 2, 1)]
        send_logs(server, service, times[:1])
        tail.wait_for(1)
        for count, seconds, moment in ((2, 1.5, times[1]), (3, 8.0, times[2])):
            with ThreadPoolExecutor(1) as pool:
                locking = pool.submit(asyncio.run, locked(seconds))
                time.sleep(0.2)
                send_logs(server, service, [moment])
                locking.result()
            tail.wait_for(count)
        assert tail.bodies() == [f"at {moment}" for moment in times[:2]]
        (said,) = [record for record in tail.records if "skipped" in record]
        assert said["skipped"] is None and "longer than 1 s" in said["reason"]
