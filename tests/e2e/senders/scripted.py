"""An HTTP server that answers OTLP requests by a script, and notes when each came and with what headers."""

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct, field


class Answer(Struct, frozen=True):
    """What a request is answered: a status; 0 cuts the connection before the body is read, -1 never answers."""

    status: int = 200
    headers: dict[str, str] = {}


CUT, SILENCE = 0, -1


class Arrival(Struct):
    """A request: when it came (monotonic clock), and how long the sender waited for an answer that did not come."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes = b""
    waited_s: float = 0.0


class Scripted(Struct):
    """A running server: its URL, what it answers (the last answer again and again), and what came."""

    url: str
    script: Sequence[Answer]
    arrivals: list[Arrival] = field(default_factory=list)


@contextmanager
def scripted(*script: Answer, port: int = 0) -> Iterator[Scripted]:
    """A server until the block ends; the n-th request gets the n-th answer."""
    state = Scripted("", script)
    taken = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            arrival = Arrival(time.monotonic(), self.path, {name.lower(): text for name, text in self.headers.items()})
            with taken:
                answer = script[min(len(state.arrivals), len(script) - 1)]
                state.arrivals.append(arrival)
            if answer.status == CUT:
                # A reset rather than an end of stream: the way of a process that is killed.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            arrival.body = self._read_body()
            if answer.status == SILENCE:
                self.connection.recv(1)
                arrival.waited_s = time.monotonic() - arrival.at
                self.close_connection = True
                return
            self.send_response(answer.status)
            media_type = arrival.headers.get("content-type", "application/json")
            content = b"{}" if media_type == "application/json" else b""
            for name, text in {
                "Content-Type": media_type,
                "Content-Length": str(len(content)),
                **answer.headers,
            }.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(content)

        def _read_body(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", "0")))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size + 2)[:-2]
            self.rfile.readline()
            return body

        def log_message(self, *_arguments: Any) -> None:
            """Nothing: the arrivals are the log."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: Any) -> None:
            """Nothing: senders that break off are what this server is for."""

    server = Server(("127.0.0.1", port), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
