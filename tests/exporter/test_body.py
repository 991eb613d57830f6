"""A request's body against its limits, codings and deadlines; and that no body, whatever it is, ends in a 5xx."""

import asyncio
import gzip
import socket
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from itertools import islice
from random import Random

import httpx
import msgspec
import pytest
import zstandard

from exporter.otlp.http import PATHS
from exporter.otlp.message_json import message_to_json
from exporter.otlp.records import LOGS, METRICS, SPANS
from exporter.shop import Shop
from tests.exporter.asking import JSON, PROTOBUF, Asker, asker, own_database, status_of
from tests.exporter.sending import NOW, log, logs
from tests.running import Server, serving

MAX_BODY_BYTES = 64 * 1024
SETTINGS = {"MAX_BODY_BYTES": "64KiB", "BODY_STALL_TIMEOUT": "300ms"}
INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = 3, 4, 8
SIGNALS = {"traces": SPANS, "logs": LOGS, "metrics": METRICS}


@pytest.fixture(scope="module")
def app(server_url: str, template: str) -> Iterator[Asker]:
    with own_database(server_url, template) as url, asker(url, SETTINGS) as asking:
        yield asking


@pytest.fixture(scope="module")
def small(server_url: str, template: str) -> Iterator[Server]:
    """A server with small limits."""
    with own_database(server_url, template) as url, serving(url, SETTINGS) as server:
        yield server


def raw_deflate(body: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(body) + squeeze.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "GZIP": gzip.compress,
    "x-gzip": lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]),
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "identity": bytes,
    "": bytes,
    "deflate, gzip": lambda body: gzip.compress(zlib.compress(body)),
}


@pytest.mark.parametrize("size_bytes", [10, 20_000], ids=["on the loop", "in a thread"])
@pytest.mark.parametrize("coding", CODINGS)
def test_every_coding_of_a_body_is_the_same_body(app: Asker, coding: str, size_bytes: int) -> None:
    """A log has no key by which it would be found twice: only the body's digest tells."""
    _, body = logs(log(Random(size_bytes).randbytes(size_bytes).hex()))
    before = app.run(app.postel.counted('accepted_records_total{signal="logs"}'))
    answer = app.post("/v1/logs", CODINGS[coding](body), content_encoding=coding)
    assert (answer.status_code, answer.content) == (200, b"")
    stored = app.run(app.postel.counted('accepted_records_total{signal="logs"}')) - before
    assert stored == (coding == "gzip")  # the first of them


@pytest.mark.parametrize("coding", ["br", "compress", "gzip, br", "gzip, gzip, gzip"])
def test_other_codings(app: Asker, coding: str) -> None:
    answer = app.post("/v1/logs", b"{}", JSON, content_encoding=coding)
    assert answer.status_code == 415
    code, message = status_of(answer, JSON)
    assert code == INVALID_ARGUMENT
    assert coding.rpartition(" ")[2] in message


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("harm", ["cut", "corrupt", "followed"])
def test_compression_that_is_cut_short_or_corrupt(app: Asker, coding: str, harm: str) -> None:
    whole = CODINGS[coding](logs(log("x" * 500))[1])
    body = {"cut": whole[:-1], "corrupt": whole[:20] + b"\xff\xff\xff" + whole[23:], "followed": whole + b"more"}[harm]
    answer = app.post("/v1/logs", body, content_encoding=coding)
    assert answer.status_code == 400
    code, message = status_of(answer)
    assert code == INVALID_ARGUMENT
    assert coding in message


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "identity"])
def test_a_body_too_large_before_or_after_decompression(app: Asker, coding: str) -> None:
    bomb = bytes(50 * 1024 * 1024 if coding == "gzip" else 1024 * 1024)
    answer = app.post("/v1/logs", CODINGS[coding](bomb), JSON, content_encoding=coding)
    assert answer.status_code == 413
    code, message = status_of(answer, JSON)
    assert code == RESOURCE_EXHAUSTED
    assert "max_body_bytes" in message and str(MAX_BODY_BYTES) in message


def test_the_largest_body_is_taken(app: Asker) -> None:
    body = b'{"padding":"%s"}' % (b"x" * (MAX_BODY_BYTES - 14))
    assert app.post("/v1/logs", body, JSON).status_code == 200
    assert app.post("/v1/logs", body + b" ", JSON).status_code == 413


def test_a_stalled_body(app: Asker) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(3)
        yield b"}"

    began = time.monotonic()
    answer = app.post("/v1/logs", stalling(), JSON)
    assert time.monotonic() - began < 2
    assert answer.status_code == 408
    assert status_of(answer, JSON) == (DEADLINE_EXCEEDED, "no byte of the body arrived for 0.3 s")


def test_a_slow_body_that_goes_on(app: Asker) -> None:
    async def dripping() -> AsyncIterator[bytes]:
        for piece in (b"{", b" ", b" ", b" ", b"}"):
            yield piece
            await asyncio.sleep(0.1)

    assert app.post("/v1/logs", dripping(), JSON).content == b"{}"


def connected(server: Server) -> socket.socket:
    host, _, port = server.url.rpartition("/")[2].rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def head(length: str, **headers: str) -> bytes:
    lines = ["POST /v1/logs HTTP/1.1", "host: x", f"content-type: {JSON}", length]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


def received(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


def test_a_client_that_stalls_is_told_and_left(small: Server) -> None:
    with closing(connected(small)) as connection:
        connection.sendall(head("content-length: 10") + b"{")
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"content-type: application/json\r\n" in answer.lower()


def test_a_client_that_hangs_up_harms_nobody(small: Server) -> None:
    for _ in range(3):
        with closing(connected(small)) as connection:
            connection.sendall(head("content-length: 1000") + b"{")
    assert small.post("logs", b"{}", JSON).content == b"{}"


def test_a_client_still_sending_sees_that_its_body_is_too_large(small: Server) -> None:
    for size in (MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES, 50 * MAX_BODY_BYTES):
        answer = small.post("logs", bytes(size))
        assert answer.status_code == 413
        assert status_of(answer)[0] == RESOURCE_EXHAUSTED


def test_refusals_before_the_body_was_read_reach_the_client(small: Server) -> None:
    for path, media_type, status in (("logs", "text/plain", 415), ("no", JSON, 404)):
        assert small.post(path, bytes(5_000_000), media_type).status_code == status


def test_chunks_and_expect_continue(small: Server) -> None:
    with closing(connected(small)) as connection:
        connection.sendall(head("transfer-encoding: chunked", expect="100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        for piece in (b"1\r\n{\r\n", b"1\r\n}\r\n0\r\n\r\n"):
            connection.sendall(piece)
        answer = b""
        while not answer.endswith(b"\r\n\r\n{}"):
            answer += connection.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200 ")
        # The connection is kept: senders use one for hours.
        connection.sendall(head("content-length: 2", connection="close") + b"{}")
        assert received(connection).startswith(b"HTTP/1.1 200 ")


def harmed(rng: Random, body: bytes) -> bytes:
    """A body with a few bytes changed, cut out, doubled or put in."""
    found = bytearray(body)
    for _ in range(rng.randint(1, 6)):
        at, length = rng.randrange(len(found) + 1), rng.randint(1, 12)
        middle = (rng.randbytes(length), b"", found[at : at + length] * 2, rng.choice(SCRAPS))
        found[at : at + length] = rng.choice(middle)
    return bytes(found)


SCRAPS = [
    b'"',
    b"}",
    b"[]",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b'"\\ud800\\u0000"',
    b"\0",
    b"\xff",
    b'""',
]


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("name", SIGNALS)
def test_no_body_causes_a_5xx(app: Asker, name: str, media_type: str) -> None:
    rng = Random(f"{name} {media_type}")
    shop = Shop(7, start_unix_nano=NOW, pods=1)
    stream = {"traces": shop.traces, "logs": shop.logs, "metrics": shop.metrics}[name](25)
    requests = [r.SerializeToString() if media_type == PROTOBUF else message_to_json(r) for r in islice(stream, 15)]

    async def send_all() -> list[httpx.Response]:
        found: list[httpx.Response] = []
        for request in requests:
            bodies = [harmed(rng, request) for _ in range(12)]
            found += await asyncio.gather(*(app.postel.post(PATHS[SIGNALS[name]], b, media_type) for b in bodies))
        return found

    answers = app.run(send_all())
    assert {answer.status_code for answer in answers} == {200, 400}
    for answer in answers:
        assert answer.headers["content-type"] == media_type
        assert len(answer.content) < 4096
        if media_type == JSON:
            assert isinstance(msgspec.json.decode(answer.content), dict)
    assert app.get("/readyz").status_code == 200
