"""Starts and stops `postel serve` as a user would: a process of its own, on a free port.

HTTP without TLS needs no certificates (`verify=False`): httpx takes a tenth of a second of CPU to load them, each time.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from msgspec import Struct

_READY_S = 30.0
_STOP_S = 40.0


class Server(Struct):
    """A running sidecar: its URL, the database's, and its process."""

    url: str
    database_url: str
    process: subprocess.Popen[str]

    def post(
        self, signal_path: str, body: bytes, encoding: str = "application/x-protobuf", **headers: str
    ) -> httpx.Response:
        """POST a body to /v1/<signal_path>."""
        sent = {"content-type": encoding, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx.post(f"{self.url}/v1/{signal_path}", content=body, headers=sent, timeout=60, verify=False)

    def get(self, path: str, **parameters: str) -> httpx.Response:
        """GET a path of the read API or another one."""
        return httpx.get(f"{self.url}{path}", params=parameters, timeout=60, verify=False)


@contextmanager
def serving(
    database_url: str,
    settings: Mapping[str, str] | None = None,
    *,
    ready: bool = True,
    checkout: Path | None = None,
) -> Iterator[Server]:
    """`postel serve` on a free port until the block ends; `settings` are POSTEL_* variables without the prefix.

    `checkout` is a folder with other code to run than this.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTEL_")}
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout)
    environment |= {f"POSTEL_{name}": value for name, value in (settings or {}).items()}
    command = [sys.executable, "-m", "exporter", "serve", "--bind", "127.0.0.1:0", "--database-url", database_url]
    process = subprocess.Popen(command, env=environment, cwd=checkout, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = next((m for line in process.stdout if (m := re.search(r"listens on (https?://\S+)", line))), None)
        assert found is not None, "the server ended before it listened"
        server = Server(found.group(1), database_url, process)
        if ready:
            wait_until_ready(server)
        yield server
    finally:
        stop(process)


def wait_until_ready(server: Server) -> None:
    """Wait for /readyz to say so."""
    deadline = time.monotonic() + _READY_S
    while (answer := httpx.get(f"{server.url}/readyz", timeout=10, verify=False)).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)


def stop(process: subprocess.Popen[str]) -> None:
    """SIGTERM, and wait; SIGKILL where that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
