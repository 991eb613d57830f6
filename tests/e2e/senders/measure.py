"""Measures what each SDK's exporter does with the answers it may get, and writes the table of docs/senders.md.

Run as `.venv/bin/python -m tests.e2e.senders.measure`: three minutes, most of them waiting until senders give up.
"""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise

import msgspec
from msgspec import Struct

from tests.e2e.senders.programs import program, run
from tests.e2e.senders.scripted import CUT, SILENCE, Answer, Scripted, scripted
from tests.house.source import ROOT

SDKS = {"python": "Python", "javascript": "JavaScript (Node)", "go": "Go", "java": "Java"}
LONGEST_S = 60.0
BACK_AFTER_S = 3.0
_SIGNAL = "traces"
_AT_ONCE = 4
PAGE = ROOT / "docs" / "senders.md"
_BEGIN, _END = "<!-- measured -->\n", "<!-- end of what is measured -->\n"


class Outcome(Struct):
    """How one record fared: the server that got it, and after how many seconds the SDK was done; None: never."""

    server: Scripted
    seconds: float | None


def send(language: str, url: str) -> float | None:
    """Seconds that a sender takes for one record, given up or not; None when it had to be ended."""
    try:
        said = msgspec.json.decode(run(language, url, "one", _SIGNAL, timeout_s=LONGEST_S))
    except subprocess.TimeoutExpired:
        return None
    return float(said["seconds"])


def answered(language: str, *script: Answer) -> Outcome:
    """What a sender does with a script."""
    with scripted(*script) as server:
        return Outcome(server, send(language, server.url))


def tries(outcome: Outcome) -> str:
    """How often a sender tried, when, and when it gave up."""
    times = [arrival.at for arrival in outcome.server.arrivals]
    end = "still trying after 60 s" if outcome.seconds is None else f"given up after {outcome.seconds:.1f} s"
    if len(times) == 1:
        return f"1 try, {end}"
    gaps = ", ".join(f"{later - earlier:.1f}" for earlier, later in pairwise(times))
    return f"{len(times)} tries, {gaps} s apart; {end}"


def after(*answers: Answer) -> Callable[[str], str]:
    """The case of a server that answers so, the last one for ever."""
    return lambda language: tries(answered(language, *answers))


def header(name: str, absent: str = "none") -> Callable[[str], str]:
    """The case of a header of a request."""

    def of(language: str) -> str:
        (arrival,) = answered(language, Answer()).server.arrivals
        return f"`{arrival.headers[name]}`" if name in arrival.headers else absent

    return of


def request_timeout(language: str) -> str:
    """How long a sender waits for an answer, and how often."""
    outcome = answered(language, Answer(SILENCE))
    waits = ", ".join(f"{arrival.waited_s:.1f}" for arrival in outcome.server.arrivals if arrival.waited_s)
    return f"{waits} s waited; {tries(outcome)}"


def refused(language: str) -> str:
    """How long a sender tries where nobody listens."""
    seconds = send(language, f"http://127.0.0.1:{_free_port()}")
    return "still trying after 60 s" if seconds is None else f"given up after {seconds:.1f} s"


def refused_at_first(language: str) -> str:
    """What becomes of a record when somebody listens after a while."""
    port = _free_port()
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, language, f"http://127.0.0.1:{port}")
        wait([sending], BACK_AFTER_S)
        with scripted(Answer(), port=port) as server:
            sending.result()
    return f"delivered {server.arrivals[0].at - started:.1f} s after the start" if server.arrivals else "lost"


def _free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


CASES: dict[str, Callable[[str], str]] = {
    "User-Agent": header("user-agent"),
    "Content-Type": header("content-type"),
    "Content-Encoding": header("content-encoding"),
    "no answer at all, ever": request_timeout,
    "503 with `Retry-After: 2`": after(Answer(503, {"Retry-After": "2"})),
    "503 with `Retry-After: 2` once, then 200": lambda language: _delivered(language, {"Retry-After": "2"}),
    "503": after(Answer(503)),
    "429": after(Answer(429)),
    "429 with `Retry-After: 2`": after(Answer(429, {"Retry-After": "2"})),
    "400": after(Answer(400)),
    "500": after(Answer(500)),
    "connection refused": refused,
    "connection refused for 3 s": refused_at_first,
    "connection reset in the middle of the request": after(Answer(CUT)),
    "connection reset once": lambda language: _delivered(language, None),
}


def _delivered(language: str, retry: dict[str, str] | None) -> str:
    outcome = answered(language, Answer(CUT) if retry is None else Answer(503, retry), Answer())
    times = [arrival.at for arrival in outcome.server.arrivals]
    return f"delivered {times[1] - times[0]:.1f} s later" if len(times) > 1 else "lost"


def table() -> str:
    """The measurements of all SDKs as Markdown."""
    for language in SDKS:
        program(language)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = {case: [pool.submit(ask, language) for language in SDKS] for case, ask in CASES.items()}
        lines = [["", *SDKS.values()], ["---"] * (len(SDKS) + 1)]
        lines += [[case, *(cell.result() for cell in cells)] for case, cells in found.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Put the table into the page."""
    measured = table()
    page = PAGE.read_text()
    head, _, rest = page.partition(_BEGIN)
    PAGE.write_text(f"{head}{_BEGIN}{measured}{_END}{rest.partition(_END)[2]}")
    sys.stdout.write(measured)


if __name__ == "__main__":
    main()
