"""Only a 200 with an empty message counts as an acknowledgement, and connections are kept."""

import asyncio
import time

import pytest

from bench.client import JSON, PROTOBUF, Acknowledged, Form, Unacknowledged, asking, send_all, send_paced

SUCCESS = b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"


async def send(
    bodies: list[bytes], answer: bytes, connections: int = 1, form: Form = PROTOBUF
) -> tuple[list[Acknowledged], list[bytes], int]:
    """What the client says, what a server read that answers everything the same, and how many connections it saw."""
    received: list[bytes] = []
    seen = 0

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.partition(b"Content-Length: ")[2].split()[0])
                received.append(head + await reader.readexactly(length))
                if not answer:
                    return
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer_all, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        answers = await send_all(host, port, "/v1/logs", bodies, connections, form)
    return answers, received, seen


def test_bodies_go_over_kept_connections() -> None:
    answers, received, connections = asyncio.run(send([b"a", b"bc", b"d"], SUCCESS, connections=2))
    assert len(answers) == 3
    assert all(answer.latency_s > 0 for answer in answers)
    assert sorted(request.rpartition(b"\r\n\r\n")[2] for request in received) == [b"a", b"bc", b"d"]
    assert all(request.startswith(b"POST /v1/logs HTTP/1.1\r\n") for request in received)
    assert connections == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 503 \r\ncontent-length: 4\r\n\r\nbusy", "503 : busy"),
        (b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n\x0a\x00", "200"),
        (b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n", "unknown length"),
        (b"", "closed the connection"),
    ],
)
def test_anything_else_ends_the_run(answer: bytes, reason: str) -> None:
    with pytest.raises(Unacknowledged, match=reason):
        asyncio.run(send([b"a"], answer))


def test_a_question_is_answered_with_status_and_content() -> None:
    async def ask() -> list[tuple[int, bytes]]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for status in (b"200", b"404"):
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split(b" ")[1]
                writer.write(b"HTTP/1.1 %s \r\nContent-Length: %d\r\n\r\n%s" % (status, len(path), path))
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            async with asking(host, port) as asker:
                answers = [await asker.get("/api/spans?limit=1"), await asker.get("/api/none")]
        assert all(answer.latency_s > 0 for answer in answers)
        return [(answer.status, answer.content) for answer in answers]

    assert asyncio.run(ask()) == [(200, b"/api/spans?limit=1"), (404, b"/api/none")]


async def paced(bodies: int, bodies_per_s: float, connections: int, *, slow_s: float) -> list[Acknowledged]:
    """Sends to a server that answers the first request late by `slow_s` and the others at once."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(1)
                asked += 1
                await asyncio.sleep(slow_s if asked == 1 else 0)
                writer.write(SUCCESS)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        return await send_paced(host, port, "/v1/logs", [b"a"] * bodies, connections, bodies_per_s)


def test_paced_bodies_go_at_their_moments() -> None:
    began = time.monotonic()
    answers = asyncio.run(paced(21, 100.0, 4, slow_s=0))
    assert len(answers) == 21
    # The last one is due 0.2 s after the first, and none may be sent before its moment.
    assert answers[-1].at - began >= 0.2
    assert all(answer.latency_s >= 0 for answer in answers)


def test_a_wait_for_a_busy_connection_counts() -> None:
    """While the first answer takes 0.3 s, the bodies after it fall due and wait: they are as late as that."""
    answers = asyncio.run(paced(11, 100.0, 1, slow_s=0.3))
    latencies = sorted(answer.latency_s for answer in answers)
    assert sum(latency > 0.15 for latency in latencies) == 11


def test_other_connections_do_not_wait_for_a_slow_answer() -> None:
    latencies = [answer.latency_s for answer in asyncio.run(paced(11, 100.0, 4, slow_s=0.5))]
    assert min(latencies) < 0.4 < max(latencies)


def test_json_has_its_own_type_and_its_own_success() -> None:
    success = b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}"
    answers, received, _ = asyncio.run(send([b"a"], success, form=JSON))
    assert len(answers) == 1
    assert b"\r\nContent-Type: application/json\r\n" in received[0]
    with pytest.raises(Unacknowledged):
        asyncio.run(send([b"a"], SUCCESS, form=JSON))
