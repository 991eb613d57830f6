"""Bodies made to hurt: nobody else waits for them long, and they take little memory."""

import asyncio
import gc
import gzip
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from struct import pack

import httpx
import pytest

from exporter.otlp.http import PATHS
from exporter.otlp.records import LOGS, METRICS, SPANS
from tests.exporter.asking import JSON, PROTOBUF, Asker, asker, own_database, status_of
from tests.exporter.sending import HOUR, NOW, enveloped, field, log, logs
from tests.running import Server, serving

LONGEST_S = 0.1
SLACK = 2.0
"""What is measured is CPU time of the whole process between two turns of the event loop: other processes do not count,
but a slower processor and whatever else the process computes in between do. Without threads and pieces it is 10 x."""
MEBIBYTE = 1 << 20


def fixed64(number: int, value: int) -> bytes:
    return bytes((number << 3 | 1,)) + pack("<Q", value)


def attribute(key: str, value: str) -> bytes:
    return field(1, key.encode()) + field(2, field(1, value.encode()))


def span(number: int, *parts: bytes) -> bytes:
    ids = field(1, number.to_bytes(16, "big")) + field(2, number.to_bytes(8, "big"))
    return ids + field(5, b"work") + fixed64(7, NOW + number) + fixed64(8, NOW + number + 1) + b"".join(parts)


def many_spans() -> bytes:
    keys = [f"key.{k}" for k in range(8)]
    return enveloped(*(span(i + 1, *(field(9, attribute(k, f"value {i % 97}")) for k in keys)) for i in range(15_000)))


def many_events() -> bytes:
    return enveloped(span(1, *(field(11, fixed64(1, NOW + i) + field(2, b"event")) for i in range(100_000))))


def many_points() -> bytes:
    points = (field(1, fixed64(3, NOW + i) + fixed64(6, i)) for i in range(60_000))
    return enveloped(field(1, b"metric") + field(5, b"".join(points)))


def many_keys() -> bytes:
    pairs = (field(1, attribute(f"key.{i}", "v")) for i in range(150_000))
    return enveloped(fixed64(1, NOW) + field(5, field(6, b"".join(pairs))))


def one_bad_among_many() -> bytes:
    record = '{"traceId":"%032x","spanId":"%016x","name":"work","startTimeUnixNano":"%d"}'
    records = [record % (i, i, NOW + i) for i in range(1, 15_000)]
    records.insert(7000, '{"traceId":5}')
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % ",".join(records).encode()


def underscores() -> bytes:
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"%b"}}]}]}]}' % (b"_a" * 5_000_000)


LARGE: Mapping[str, tuple[str, str, Callable[[], bytes]]] = {
    "many spans": (SPANS, PROTOBUF, many_spans),
    "many events": (SPANS, PROTOBUF, many_events),
    "many points": (METRICS, PROTOBUF, many_points),
    "many keys": (LOGS, PROTOBUF, many_keys),
    "one bad among many": (SPANS, JSON, one_bad_among_many),
    "what looks like a key": (LOGS, JSON, underscores),
}


async def longest_gap(app: Asker, path: str, body: bytes, media_type: str) -> tuple[httpx.Response, float]:
    """The answer, and the longest CPU time in seconds that passed between two turns of the event loop."""
    longest, going = 0.0, True

    async def tick() -> None:
        nonlocal longest
        before = time.process_time()
        while going:
            await asyncio.sleep(0.001)
            now = time.process_time()
            longest, before = max(longest, now - before), now

    ticking = asyncio.create_task(tick())
    answer = await app.postel.post(path, body, media_type)
    going = False
    await ticking
    return answer, longest


@pytest.mark.parametrize("kind", LARGE)
def test_nobody_waits_long_for_a_large_body(large: Asker, kind: str) -> None:
    signal, media_type, make = LARGE[kind]
    answer, longest = large.run(longest_gap(large, PATHS[signal], make(), media_type))
    assert answer.status_code == 200, answer.content
    assert longest < LONGEST_S * SLACK


@pytest.fixture(scope="module")
def large(server_url: str, template: str) -> Iterator[Asker]:
    with own_database(server_url, template) as url, asker(url, {"REQUEST_DEADLINE": "60s"}) as asking:
        # As `postel serve` does: what other tests have left behind is not looked through each time.
        gc.collect()
        gc.freeze()
        yield asking
        gc.unfreeze()


def test_a_body_of_too_many_records(large: Asker) -> None:
    for media_type, body in (
        (PROTOBUF, field(1, field(2, b"\x12\x00" * 600_000))),
        (JSON, b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}' % b",".join([b"{}"] * 400_000)),
    ):
        answer = large.post("/v1/logs", body, media_type)
        assert answer.status_code == 413
        assert "max_body_records (250000)" in status_of(answer, media_type)[1]


# ---- memory, in a process of its own


def nested(depth: int) -> bytes:
    value = b""
    for _ in range(depth):
        value = field(5, field(1, value))
    return enveloped(fixed64(1, NOW) + field(5, value))


BOMBS: Mapping[str, tuple[str, Callable[[], bytes], int]] = {
    "a thousand to one": (PROTOBUF, lambda: bytes(20 * MEBIBYTE), 400),
    "a thousand to one, spaces": (JSON, lambda: b"{}" + b" " * (20 * MEBIBYTE - 2), 200),
    "records of two bytes": (PROTOBUF, lambda: field(1, field(2, b"\x12\x00" * 9_000_000)), 413),
    "deep protobuf": (PROTOBUF, lambda: nested(2000), 200),
    "deep JSON": (JSON, lambda: b'{"resourceLogs":' + b"[" * 100_000, 400),
    "a million keys": (JSON, lambda: b"{%b}" % b",".join(b'"k%d":0' % i for i in range(1_000_000)), 200),
    "a large promoted value": (
        PROTOBUF,
        lambda: enveloped(fixed64(1, NOW) + field(6, attribute("exception.type", "x" * 5_000_000))),
        200,
    ),
    "ten thousand attributes": (
        PROTOBUF,
        lambda: enveloped(fixed64(1, NOW) + b"".join(field(6, attribute(f"k{i}", "v")) for i in range(10_000))),
        200,
    ),
}
ROOM_KIB = 64 * 1024


@pytest.fixture(scope="module")
def bombed(server_url: str, template: str) -> Iterator[Server]:
    with own_database(server_url, template) as url, serving(url) as server:
        for _ in range(3):
            server.post("logs", logs(*(log("warm", NOW) for _ in range(2000)))[1])
        yield server


def peak_kib(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_takes_little_memory(bombed: Server, kind: str) -> None:
    media_type, make, status = BOMBS[kind]
    before = peak_kib(bombed)
    answer = bombed.post("logs", gzip.compress(make(), 1), media_type, content_encoding="gzip")
    assert answer.status_code == status, answer.content
    assert peak_kib(bombed) - before <= ROOM_KIB
    assert bombed.post("logs", logs(log("another", NOW - HOUR))[1]).status_code == 200
