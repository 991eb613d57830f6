"""`postel serve` with the PostgreSQL that it brings along, as a user runs it: started, stopped, killed, adopted."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from msgspec import Struct

from tests.exporter.sending import NOW, log, logs, span, spans
from tests.running import Server, stop, wait_until_ready

GRACE_S = 6.0
SECRET = "hunter2"


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data folder for the whole module, in a place that every account can enter."""
    with tempfile.TemporaryDirectory(prefix="postel-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "data"


class Run(Struct):
    """A running `postel serve`: its server, what it printed until it listened, and the file of its log."""

    server: Server
    printed: list[str]
    log: Path

    def ended(self, number: signal.Signals) -> tuple[int, float]:
        """Its exit code after a signal, and the seconds until then."""
        began = time.monotonic()
        self.server.process.send_signal(number)
        return self.server.process.wait(GRACE_S + 20), time.monotonic() - began


def clean_environment(**settings: str) -> dict[str, str]:
    found = {name: text for name, text in os.environ.items() if not name.startswith("POSTEL_")}
    return found | {f"POSTEL_{name}": text for name, text in settings.items()}


@contextmanager
def serve(data_dir: Path) -> Iterator[Run]:
    """`postel serve` on a free port with its data in a folder, ready; it is ended with the block, if not before."""
    command = [sys.executable, "-W", "error", "-m", "exporter", "serve", "--bind", "127.0.0.1:0", "--data-dir"]
    with ExitStack() as stack:
        written = Path(stack.enter_context(tempfile.NamedTemporaryFile(prefix="postel-log-")).name)
        stderr = stack.enter_context(written.open("wb"))
        environment = clean_environment(SHUTDOWN_GRACE=f"{GRACE_S:.0f}s")
        process = subprocess.Popen(
            [*command, str(data_dir)], env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        stack.callback(stop, process)
        assert process.stdout is not None
        printed: list[str] = []
        while not printed or "listens on" not in printed[-1]:
            line = process.stdout.readline()
            assert line, written.read_text()
            printed.append(line.rstrip("\n"))
        server = Server(printed[-1].rpartition(" ")[2], "", process)
        wait_until_ready(server)
        yield Run(server, printed, written)


def stored(server: Server) -> set[str]:
    """The bodies of all logs."""
    found: set[str] = set()
    path: str | None = "/api/logs?since=6h&limit=1000"
    while path is not None:
        answer = httpx.get(f"{server.url}{path}", timeout=30, verify=False)
        assert answer.status_code == 200, answer.text
        found.update(record["body"] for record in answer.json()["logs"])
        link = answer.links.get("next", {}).get("url")
        path = link and "/api/" + link.partition("/api/")[2]
    return found


class Senders:
    """Clients that send one log a request as fast as they can, until nobody answers."""

    def __init__(self, server: Server, mark: str, number: int = 4) -> None:
        self._url, self._mark = server.url, mark
        self.acknowledged: set[str] = set()
        self.statuses: set[int] = set()
        self._threads = [threading.Thread(target=self._send, args=(i,)) for i in range(number)]

    def __enter__(self) -> "Senders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self, sender: int) -> None:
        with httpx.Client(timeout=30, headers={"content-type": "application/x-protobuf"}, verify=False) as client:
            for number in range(1_000_000):
                text = f"{self._mark} {sender} {number} {SECRET}"
                body = logs(log(text, NOW + sender * 1_000_000 + number))[1]
                try:
                    status = client.post(f"{self._url}/v1/logs", content=body).status_code
                except httpx.TransportError:
                    return
                self.statuses.add(status)
                if status == 200:
                    self.acknowledged.add(text)

    def wait_for(self, number: int) -> None:
        """Until so many are acknowledged."""
        deadline = time.monotonic() + 30
        while len(self.acknowledged) < number:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def postmaster_file(data_dir: Path) -> Path:
    return data_dir / "pgdata" / "postmaster.pid"


def test_says_where_the_data_is_and_keeps_it(made: Path) -> None:
    with serve(made) as run:
        assert run.printed[0] == f"embedded PostgreSQL keeps its data in {made}"
        assert re.fullmatch(r"postel listens on http://127\.0\.0\.1:[1-9]\d*", run.printed[-1])
        assert run.server.post("logs", logs(log("kept"))[1]).status_code == 200
        code, took_s = run.ended(signal.SIGTERM)
        assert code == 0
        assert took_s < GRACE_S
    assert not postmaster_file(made).exists()
    with serve(made) as run:
        assert "kept" in stored(run.server)
        assert run.ended(signal.SIGINT)[0] == 0
    assert not postmaster_file(made).exists()


def test_a_stop_while_it_starts_leaves_nothing_running(made: Path) -> None:
    for data_dir in (made, made.with_name("fresh")):
        command = [sys.executable, "-m", "exporter", "serve", "--bind", "127.0.0.1:0", "--data-dir", str(data_dir)]
        with subprocess.Popen(command, env=clean_environment(), stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert "keeps its data in" in process.stderr.readline()
            process.terminate()
            assert process.wait(20) == 0
        assert not postmaster_file(data_dir).exists()
        running = subprocess.run(["pgrep", "-f", f"postgres -D {data_dir}/"], capture_output=True, check=False)
        assert running.stdout == b""


def test_a_stop_under_load_loses_nothing_that_was_acknowledged(made: Path) -> None:
    with serve(made) as run, Senders(run.server, "stop") as senders:
        senders.wait_for(100)
        code, took_s = run.ended(signal.SIGTERM)
        log = run.log.read_text()
    assert code == 0
    assert took_s < GRACE_S
    assert {json.loads(line)["level"] for line in log.splitlines()} == {"info"}, log
    assert senders.statuses <= {200, 503}
    assert not postmaster_file(made).exists()
    with serve(made) as run:
        assert senders.acknowledged <= stored(run.server)


@pytest.mark.parametrize("database_too", [False, True])
def test_a_kill_under_load_loses_nothing_that_was_acknowledged(made: Path, database_too: bool) -> None:
    mark = f"kill {database_too}"
    with serve(made) as run, Senders(run.server, mark) as senders:
        senders.wait_for(100)
        postmaster = int(postmaster_file(made).read_text().split()[0])
        if database_too:
            os.kill(postmaster, signal.SIGKILL)
        run.ended(signal.SIGKILL)
        while database_too and Path(f"/proc/{postmaster}").exists():
            time.sleep(0.01)  # until whoever inherits it has seen its end
    assert postmaster_file(made).exists()
    with serve(made) as run:
        assert senders.acknowledged <= stored(run.server)
        assert ("adopted" in run.log.read_text()) is not database_too
        assert run.ended(signal.SIGTERM)[0] == 0
    assert not postmaster_file(made).exists()


def test_its_log_is_json_and_quotes_nothing_that_was_sent(made: Path) -> None:
    with serve(made) as run:
        secret = SECRET.encode()
        for media_type in ("application/json", "application/x-protobuf", secret.decode()):
            for body in (b'{"resourceLogs":["' + secret, b"\n\x7f" + secret, spans(span(1, 1, name=SECRET))[1]):
                assert run.server.post("logs", body, media_type).status_code in (200, 400, 415)
        body = logs(log(SECRET, has={SECRET: "\0" + SECRET}, trace_id=secret))[1]
        assert run.server.post("logs", body).status_code == 200
        os.kill(int(postmaster_file(made).read_text().split()[0]), signal.SIGKILL)
        run.server.post("logs", logs(log(f"{SECRET} again"))[1])
        assert run.ended(signal.SIGTERM)[0] == 0
        written = run.log.read_text()
    events = [json.loads(line) for line in written.splitlines()]
    assert {"time", "level", "message"} == set.intersection(*map(set, events))
    assert "ready" in [event["message"] for event in events]
    assert SECRET not in written
    assert SECRET not in (made / "postgres.log").read_text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_what_cannot_be_had_is_one_line_and_exit_code_2(made: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, tempfile.NamedTemporaryFile() as file:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        cases = {
            f"--bind: bind: cannot listen on {address}: ": ("--bind", address, "--data-dir", str(made)),
            "--bind: bind: cannot listen on 192.0.2.1:4318: ": ("--bind", "192.0.2.1:4318", "--data-dir", str(made)),
            f"--data-dir {file.name}: ": ("--bind", "127.0.0.1:0", "--data-dir", file.name),
        }
        for said, arguments in cases.items():
            command = [sys.executable, "-m", "exporter", "serve", *arguments]
            done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=30)
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith(said)
            assert done.stderr.count("\n") == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_demo_prints_curl_lines_that_work(made: Path) -> None:
    bind = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "exporter.demo", "--bind", bind, "--data-dir", str(made), "--records", "3000"]
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        lines: list[str] = []
        for line in demo.stdout:
            if "Ctrl-C" in line:
                break
            lines.append(line.rstrip("\n"))
        try:
            questions = [line for line in lines if line.startswith("curl ")]
            for question in questions:
                asked = question.replace("curl ", "curl --show-error --write-out '\\n%{http_code}' ", 1)
                done = subprocess.run(asked, shell=True, capture_output=True, text=True, timeout=30)
                content, _, status = done.stdout.rpartition("\n")
                assert (done.returncode, status, done.stderr) == (0, "200", ""), question
                assert len(content) > 100, question
            assert all(any(f"/api/{signal}" in line for line in questions) for signal in ("traces", "logs", "metrics"))
        finally:
            # Which does what Ctrl-C does.
            demo.send_signal(signal.SIGTERM)
        assert demo.wait(30) == 0
    assert not postmaster_file(made).exists()


def test_the_demo_ends_by_itself_where_that_is_asked_for(made: Path) -> None:
    arguments = ["--exit", "--bind", f"127.0.0.1:{free_port()}", "--data-dir", str(made), "--records", "1500"]
    command = [sys.executable, "-m", "exporter.demo", *arguments]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\ncurl -s 'http://localhost:") >= 5
    assert not postmaster_file(made).exists()
