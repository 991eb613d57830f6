"""Only a 200 with an empty message counts as an acknowledgement, and connections are kept."""

import asyncio

import pytest

from bench.client import JSON, PROTOBUF, Acknowledged, Form, Unacknowledged, send_all

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


def test_json_has_its_own_type_and_its_own_success() -> None:
    success = b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}"
    answers, received, _ = asyncio.run(send([b"a"], success, form=JSON))
    assert len(answers) == 1
    assert b"\r\nContent-Type: application/json\r\n" in received[0]
    with pytest.raises(Unacknowledged):
        asyncio.run(send([b"a"], SUCCESS, form=JSON))
