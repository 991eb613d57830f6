"""Those who ask for what they should not, and tokens that change, beside ingest: rows 19 and 20."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from urllib.parse import quote

import httpx

from exporter.otlp.http import PATHS
from tests.exporter.sending import span, spans
from tests.faults.life import Life, living_on
from tests.faults.outcome import Outcome, verdict_of
from tests.faults.sender import Manner, Sender

CORPUS = (
    "'",
    "' OR '1'='1",
    "'; CREATE TABLE injected (); --",
    "1; SELECT pg_sleep(9)",
    "x' UNION SELECT digest_key FROM otel_secrets --",
    "$$; CREATE TABLE injected_too (); $$",
    "') ; DROP TABLE otel_spans_fact; --",
    "\\'; CREATE TABLE injected_again (); --",
    "%27%3B%20CREATE%20TABLE%20injected_encoded%20()",
    "{1,2,3}",
    '{"$gt": ""}',
    "${jndi:ldap://x}",
    "../../etc/passwd",
    "\u0000",
    "\ufeff\u202e",
    "%",
    "_" * 5000,
    "-1",
    "1e999",
    "NaN",
    str(2**64),
    str(-(2**63) - 1),
    "99999999999999999999999999",
)
PARAMETERS = (
    *("limit", "offset", "cursor", "count", "start_time", "end_time", "since", "service", "namespace", "status"),
    *("min_duration", "max_duration", "format", "trace_id", "span_id", "name", "kind", "severity", "event_name"),
    *("attributes.key", "resource.service.name"),
)
ENDPOINTS = ("traces", "spans", "logs", "metrics", "metrics/series", "services", "traces/{}", "traces/{}/spans")
UNBOUNDED = (
    "traces?start_time=0&end_time=9223372036854775807&limit=1000&count=exact",
    "spans?start_time=1970-01-01T00:00:00Z&limit=1000&count=exact",
    "logs?start_time=0&offset=9999&limit=1000&count=exact",
    "metrics/series?name=gauge1&start_time=0&limit=1000&format=otlp",
    "services?since=3650d",
)
ANSWERS = {200, 400, 404, 503}
_ANSWER_S = 13.0
_SHARE = 0.9
INJECTED = "SELECT count(*) FROM pg_class WHERE relname LIKE 'injected%'"


def hostile_reads(seconds: float, database_url: str) -> Outcome:
    """Row 19: an injection corpus and unbounded ranges on the read API while bodies come in."""
    with living_on(database_url) as life, Sender([life.url], manner=Manner(pace_s=0.06)) as sender:
        sender.wait_for(20)
        calm = _rate(sender, seconds / 2)
        with reading(life) as (answers, wrong):
            beside = _rate(sender, seconds)
            # Each of them at least once.
            while len(answers) < len(CORPUS) * len(PARAMETERS) // 4:
                time.sleep(0.05)
        sender.finish()
        verdict = verdict_of(life.postgres_url, sender, [life.url])
        verdict.problems += wrong[:5]
        if life.ask(lambda connection: connection.fetchval(INJECTED)):
            verdict.problems.append("something was injected")
    share = beside / calm
    missed = [f"ingest at {share:.0%}"] if share < _SHARE else []
    figures = f"{len(answers):,} reads, slowest {max(answers):.1f} s; ingest at {share:.0%}; nothing injected"
    return Outcome(f"injection corpus and unbounded reads for {seconds:g} s", len(answers), verdict, figures, missed)


def tokens_rotated(times: int, database_url: str) -> Outcome:
    """Row 20: tokens are rotated under load; who brings none, a wrong one or an old one is never let in."""
    with tempfile.NamedTemporaryFile("w", prefix="postel-tokens-") as file:
        path = Path(file.name)
        path.write_text("token-0\n")
        with living_on(database_url, {"INGEST_TOKEN_FILE": file.name}) as life:
            with Sender([life.url], manner=Manner(token="token-0")) as sender, intruding(life) as (tries, let_in):
                for turn in range(times):
                    sender.wait_for(12)
                    path.write_text(f"token-{turn}\ntoken-{turn + 1}\n")
                    sender.token = f"token-{turn + 1}"
                    sender.wait_for(24)
                    path.write_text(f"token-{turn + 1}\n")
                    sender.wait_for(12)
                sender.finish()
            old = _post(life, {"authorization": "Bearer token-0"}, 1)
            verdict = verdict_of(life.postgres_url, sender, [life.url])
    verdict.problems += [f"an old token was answered {old}"] if old != 401 else []
    verdict.problems += [f"an intruder was answered {status}" for status in let_in[:5]]
    figures = f"{len(tries)} tries without a token or with a wrong one, none let in"
    return Outcome("tokens rotated under load", times, verdict, figures)


@contextmanager
def reading(life: Life) -> Iterator[tuple[list[float], list[str]]]:
    """Read with every parameter and text of the corpus in turn; yields how long each took, and what went wrong."""
    took: list[float] = []
    wrong: list[str] = []

    def read(client: httpx.Client, path: str, parameters: dict[str, str] | None) -> None:
        began = time.monotonic()
        answer = client.get(f"{life.url}/api/{path}", params=parameters)
        took.append(time.monotonic() - began)
        if answer.status_code not in ANSWERS or took[-1] > _ANSWER_S:
            wrong.append(f"{path} {parameters}: {answer.status_code} after {took[-1]:.1f} s")

    def repeat(over: threading.Event) -> None:
        texts, unbounded = cycle(CORPUS), cycle(UNBOUNDED)
        with httpx.Client(timeout=60, verify=False) as client:
            for turn, endpoint in enumerate(cycle(ENDPOINTS)):
                for parameter in PARAMETERS[turn % 4 :: 4]:
                    if over.is_set():
                        return
                    text = next(texts)
                    read(client, endpoint.format(quote(text)), {parameter: text})
                read(client, next(unbounded), None)

    with _repeating(repeat):
        yield took, wrong


@contextmanager
def intruding(life: Life) -> Iterator[tuple[list[int], list[int]]]:
    """Send with no token and with wrong ones; yields the answers, and those among them that let somebody in."""
    tries: list[int] = []
    let_in: list[int] = []

    def repeat(over: threading.Event) -> None:
        for turn in count(1):
            headers = {"authorization": ("Bearer", "Bearer token", "Basic token-0", "token-0")[turn % 4]}
            tries.append(_post(life, headers if turn % 5 else {}, turn))
            let_in.extend(tries[-1:] if tries[-1] != 401 else [])
            if over.wait(0.05):
                return

    with _repeating(repeat):
        yield tries, let_in


def _post(life: Life, headers: dict[str, str], number: int) -> int:
    signal, body = spans(span(1, (1 << 50) + number))
    sent = {"content-type": "application/x-protobuf", **headers}
    return httpx.post(f"{life.url}{PATHS[signal]}", content=body, headers=sent, timeout=30, verify=False).status_code


def _rate(sender: Sender, seconds: float) -> float:
    began, before = time.monotonic(), sender.acknowledged_bodies()
    time.sleep(seconds)
    return (sender.acknowledged_bodies() - before) / (time.monotonic() - began)


@contextmanager
def _repeating(work: Callable[[threading.Event], None]) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)
