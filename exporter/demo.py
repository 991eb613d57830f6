"""`make demo`: a sidecar with its own PostgreSQL, an hour of a web shop's telemetry in it, and curl lines that work.

Everything goes the public way: `postel serve` as a process, OTLP over HTTP in, the read API out.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice

import httpx

from exporter.load import LoadOptions, Requests, run
from exporter.shop import Shop

_RECORDS = 30_000
_AGO_NANO = 15 * 60 * 1_000_000_000
_READY_S = 120.0
_SINCE = "since=24h"


def main() -> int:
    """Serve, load, print what to type next, and stay until Ctrl-C; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--bind", default="127.0.0.1:4318", help="where to listen (default %(default)s)")
    parser.add_argument("--data-dir", help="folder of the embedded PostgreSQL (default .postel)")
    parser.add_argument("--records", type=int, default=_RECORDS, help="how many records to send")
    parser.add_argument("--exit", action="store_true", help="stop after the curl lines instead of staying up")
    options = parser.parse_args()
    command = [sys.executable, "-m", "exporter", "serve", "--bind", options.bind]
    command += ["--data-dir", options.data_dir] if options.data_dir else []
    # However it ends, its server ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen(command)
    try:
        url = f"http://{options.bind.replace('127.0.0.1', 'localhost')}"
        _wait_until_ready(url, server)
        load = LoadOptions(url=url, records=options.records, batch=500, seed=time.time_ns())
        summary = asyncio.run(run(load, sys.stderr, requests=_a_while_ago(load)))
        _print_curl_lines(url)
        if not options.exit:
            print("\nPostel stays up; Ctrl-C ends it. The data stays, and the next `make demo` adds to it.", flush=True)
            server.wait()
        return 0 if summary.complete else 1
    except KeyboardInterrupt:
        return 0
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        server.wait()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(server.returncode or 1)
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url}/readyz did not become ready within {_READY_S:.0f} s")


def _a_while_ago(options: LoadOptions) -> Requests:
    """A shop that opened a while ago, so that its traces end before now."""
    assert options.records is not None
    shop = Shop(options.seed or 1, start_unix_nano=time.time_ns() - _AGO_NANO)
    return islice(shop.requests(options.signals, options.batch), options.records // options.batch)


def _print_curl_lines(url: str) -> None:
    print("\nAsk it (every line is a whole command):\n")
    for what, path in _questions(url):
        answer = httpx.get(url + path, timeout=30)
        if answer.status_code != 200 or not answer.content:
            raise SystemExit(f"{what}: {path} answered {answer.status_code}: {answer.text[:200]}")
        print(f"# {what}\ncurl -s '{url}{path}'", flush=True)


def _questions(url: str) -> Iterator[tuple[str, str]]:
    """(what is asked, path) with ids of what is really there."""
    traces = httpx.get(f"{url}/api/traces?{_SINCE}&status=error&limit=1", timeout=30).json()["traces"]
    traces = traces or httpx.get(f"{url}/api/traces?{_SINCE}&limit=1", timeout=30).json()["traces"]
    trace_id, service = traces[0]["trace_id"], traces[0]["service_name"]
    metric = httpx.get(f"{url}/api/metrics?{_SINCE}&limit=1", timeout=30).json()["metrics"][0]["name"]
    text = f"{_SINCE}&format=text"
    yield "what is there", f"/api/services?{text}"
    yield "which service calls which", f"/api/services/graph?{text}"
    yield "the newest traces", f"/api/traces?{_SINCE}&limit=5"
    yield (
        f"the slow traces of {service}, for a terminal",
        f"/api/traces?service={service}&min_duration=10ms&limit=5&{text}",
    )
    yield "one trace, drawn", f"/api/traces/{trace_id}?format=text"
    yield "one trace, exactly as it was sent", f"/api/traces/{trace_id}?format=otlp"
    yield "the spans that failed with a 5xx", f"/api/spans?attr.http.response.status_code__gte=500&limit=5&{text}"
    yield "the newest warnings and errors", f"/api/logs?severity=warn&limit=10&{text}"
    yield "one metric's curves", f"/api/metrics/series?name={metric}&{text}"
    yield "all that can be asked", "/api/openapi.json"


if __name__ == "__main__":
    sys.exit(main())
