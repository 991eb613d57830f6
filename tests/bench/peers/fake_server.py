"""A server that answers as it is told and stores nothing, run as a process: `python fake_server.py PORT MODE`."""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answering(BaseHTTPRequestHandler):
    """GET is answered 200, POST by the mode: `acknowledge` or `refuse`."""

    protocol_version = "HTTP/1.1"
    mode = "acknowledge"

    def do_GET(self) -> None:
        """Readiness."""
        self.answer(200, b"")

    def do_POST(self) -> None:
        """A body."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.mode == "acknowledge":
            self.answer(200, b"")
        else:
            self.answer(503, b"the table\nis full")

    def answer(self, status: int, body: bytes) -> None:
        """Status and body."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    _, port, Answering.mode = sys.argv
    if Answering.mode == "die":
        raise SystemExit("there is no such table")
    # One process below it in its session, and one in a session of its own, as job runners are.
    for alone in (False, True):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=alone)
    ThreadingHTTPServer(("127.0.0.1", int(port)), Answering).serve_forever()
