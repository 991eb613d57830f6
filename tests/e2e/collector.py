"""A real OpenTelemetry Collector, built by `make collector`, with the configurations of `manifests/collector/`."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from tests.e2e.toolchains import without
from tests.running import Server, stop

ROOT = Path(__file__).parents[2]
BINARY = ROOT / "build" / "collector" / "otelcol"
CONFIGURATIONS = ROOT / "manifests" / "collector"
USER_AGENT = "OpenTelemetry_Collector_with_what_sends_to_Postel"
_READY_S = 30.0


class Collector(Struct):
    """A running Collector: where it takes OTLP over gRPC and HTTP, and its process."""

    grpc: str
    http: str
    process: subprocess.Popen[str]


def require_collector() -> None:
    """Skip the test where the Collector is not built."""
    if not BINARY.exists():
        without("collector", "it is not built: make collector")


def stored(server: Server) -> dict[str, int]:
    """How many records of each signal a Postel has stored."""
    found = re.findall(r'^postel_accepted_records_total\{signal="(\w+)"\} (\S+)', server.get("/metrics").text, re.M)
    return {signal: int(float(count)) for signal, count in found}


def wait_until_stored(server: Server, expected: Mapping[str, int], within_s: float = 30.0) -> None:
    """Wait until a Postel has stored at least as many records of each signal."""
    deadline = time.monotonic() + within_s
    while any((found := stored(server)).get(signal, 0) < count for signal, count in expected.items()):
        assert time.monotonic() < deadline, (found, expected)
        time.sleep(0.1)


@contextmanager
def collecting(
    postel_url: str, folder: Path, *configurations: str, settings: Mapping[str, str] | None = None
) -> Iterator[Collector]:
    """A Collector that sends to `postel_url` until the block ends, when it has sent what it holds.

    `configurations` are files of `manifests/collector/`, each over the one before; `settings` their variables.
    """
    grpc, http = free_port(), free_port()
    environment = {
        "PATH": "/usr/bin:/bin",
        "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{grpc}",
        "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{http}",
        "POSTEL_QUEUE_DIR": str(folder / "queue"),
        "POSTEL_URL": postel_url,
        "POSTEL_BATCH_TIMEOUT": "200ms",
        **(settings or {}),
    }
    named = [argument for name in configurations for argument in ("--config", str(CONFIGURATIONS / name))]
    with (folder / "collector.log").open("w") as log:
        process = subprocess.Popen([BINARY, *named], env=environment, stdout=log, stderr=log, text=True)
    try:
        deadline = time.monotonic() + _READY_S
        while not (_listens(grpc) and _listens(http)):
            said = (folder / "collector.log").read_text()
            assert process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.05)
        yield Collector(f"127.0.0.1:{grpc}", f"http://127.0.0.1:{http}", process)
    finally:
        stop(process)


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
